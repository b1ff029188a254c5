"""Classifies recordings with MediaPipe's AudioClassifier, in a Python that has mediapipe:

python mediapipe_audio.py WAVEFORM.tflite SAMPLES.npz ANSWERS.json

SAMPLES holds an array of samples a clip and ``sample_rate``; ANSWERS gets, for each clip in
their order, the classes by name and their scores. The task reads labels and sample rate from
the file's own metadata; nothing else is told to it.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from mediapipe.tasks import python
from mediapipe.tasks.python import audio
from mediapipe.tasks.python.components import containers


def main(model, samples, answers):
    options = audio.AudioClassifierOptions(base_options=python.BaseOptions(model_asset_path=model))
    found = []
    with np.load(samples) as clips, audio.AudioClassifier.create_from_options(options) as task:
        rate = float(clips["sample_rate"])
        for number in range(len(clips.files) - 1):
            data = containers.AudioData.create_from_array(clips[f"clip_{number}"], rate)
            (result,) = task.classify(data)
            (head,) = result.classifications
            found.append({entry.category_name: entry.score for entry in head.categories})
    with Path(answers).open("w", encoding="utf-8") as stream:
        json.dump(found, stream)
    print(f"mediapipe {version('mediapipe')}")


if __name__ == "__main__":
    main(*sys.argv[1:])
