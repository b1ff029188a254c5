"""The floor: numpy, the interpreter, one invoke. ``bare.py MODEL``, no audio and no features."""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
entrance = interpreter.get_input_details()[0]
interpreter.set_tensor(entrance["index"], np.zeros(entrance["shape"], entrance["dtype"]))
interpreter.invoke()
print(int(np.argmax(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))))
