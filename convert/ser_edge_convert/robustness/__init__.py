"""How a finished model fares with recordings that are not as clean as the corpora's."""

from ser_edge_convert.robustness.measuring import measure

__all__ = ["measure"]
