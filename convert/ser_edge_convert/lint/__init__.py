"""What a target makes of each operator of a graph, by the target's own documented table."""

from ser_edge_convert.lint.linting import lint
from ser_edge_convert.lint.report import Finding, Report, Status

__all__ = ["Finding", "Report", "Status", "lint"]
