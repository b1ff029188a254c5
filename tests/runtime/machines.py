"""What the tests must know of the machine that they run on."""

from __future__ import annotations

import importlib.util
import platform

ARM_32 = platform.machine().startswith("armv")
ARM = ARM_32 or platform.machine() in ("aarch64", "arm64")

# On ARM, tflite-runtime's library makes the processor take the smallest numbers for zero.
SUBNORMALS = not (ARM and importlib.util.find_spec("tflite_runtime"))

# tflite-runtime's wheel for 32-bit ARM was built without.
XNNPACK_BUILT_IN = not ARM_32

# Of sums of a hundred or two float32 products: eight partial sums side by side on x86, four on
# ARM, which leaves twice the rounding.
LEAST_ROUNDING = 2e-7 if platform.machine() in ("x86_64", "AMD64") else 4e-7
