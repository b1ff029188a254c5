"""Changes made to training utterances: to features in every epoch, to waveforms in kept copies.

``features`` needs numpy alone. ``waveform`` and ``effects`` load audiomentations, SciPy and
librosa, and only when a copy is made: nothing that does not augment imports them.
"""

from ser_edge_train.augmentation.features import (
    Level,
    augment,
    mask_stretches,
    mix,
    shift_in_time,
)

__all__ = ["Level", "augment", "mask_stretches", "mix", "shift_in_time"]
