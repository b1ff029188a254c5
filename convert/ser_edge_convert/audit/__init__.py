"""What a conversion cost, proved on speakers that nobody trained, chose or calibrated on.

The reference's answers are those that a run's network gave when its part was
scored (``predictions.csv``), so nothing here needs Keras or TensorFlow. A
model file answers the same clips, and every figure is of pairs: the same clip,
before and after.
"""

from ser_edge_convert.audit.auditing import audit
from ser_edge_convert.audit.limits import Limits

__all__ = ["Limits", "audit"]
