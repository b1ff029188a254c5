"""Keras and TensorFlow, in two thirds of the time that ``import keras`` takes.

Where scikit-learn and matplotlib are installed, Keras loads both as it is imported, for a wrapper
around its networks and for galleries of pictures. Nothing here uses either, and whoever does not
find them has all the rest. So they are out of sight while Keras is loaded, and there again after.
"""

from __future__ import annotations

import sys

_UNUSED = ("sklearn", "matplotlib")

_hidden = [name for name in _UNUSED if name not in sys.modules]
# None makes an import fail as that of a library does that is not installed.
sys.modules.update(dict.fromkeys(_hidden))  # type: ignore[arg-type]  # typed as modules alone
try:
    import keras
    import tensorflow as tf
    from keras import layers, ops
finally:
    for _name in _hidden:
        del sys.modules[_name]

__all__ = ["keras", "layers", "ops", "tf"]
