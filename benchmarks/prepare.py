"""Writes what librosa_keras.py needs for a model: its network and its front end, by its recipe.

``prepare.py MODEL FOLDER [RECIPE]``. The network is untrained: its speed and
its memory do not depend on the weights.
"""

import json
import sys
from pathlib import Path

from ser_edge_runtime.model_file import read_model_file
from ser_edge_train.networks import build
from ser_edge_train.recipes import load_recipe

model_path, folder = Path(sys.argv[1]), Path(sys.argv[2])
metadata = read_model_file(model_path).metadata
recipe = load_recipe(sys.argv[3])
spec = metadata.front_end
described = json.loads(spec.to_json())
kinds = {feature["kind"] for feature in described["features"]}
if not kinds <= {"log_mel", "mfcc"}:
    raise SystemExit(f"{model_path}: librosa_keras.py has no {', '.join(sorted(kinds))}")
network = build(
    recipe.network.name, spec.output_shape, len(metadata.labels), **recipe.network_parameters
)
network.save(folder / "network.keras")
(folder / "recipe.json").write_text(json.dumps({**described, "frames": spec.clip_frames}))
