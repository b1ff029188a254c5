"""Conversion of trained Keras models to TFLite, and the gate on what it cost."""
