"""What one would write without ser-edge: librosa for the features, Keras for the network.

``librosa_keras.py NETWORK.keras RECIPE.json CLIP``. Log-mel bands and MFCC, in
the layout "sequence" or "flat", cut or padded to the recipe's length.
"""

import json
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import librosa
import numpy as np

network_path, recipe_path, clip_path = sys.argv[1:]
with open(recipe_path, encoding="utf-8") as stream:  # noqa: PTH123 - a script as users write it
    recipe = json.load(stream)

samples, rate = librosa.load(clip_path, sr=recipe["sample_rate"])
if recipe["trim_db"]:
    samples, _ = librosa.effects.trim(samples, top_db=recipe["trim_db"])
if recipe["level"]:
    samples *= recipe["level"] / np.sqrt(np.mean(samples**2))
frames = {
    "n_fft": recipe["fft_length"],
    "win_length": recipe["window_length"],
    "hop_length": recipe["hop_length"],
}
columns = []
for feature in recipe["features"]:
    scale = {"n_mels": feature["bands"], "fmin": feature["fmin"], "fmax": feature["fmax"]}
    mel = librosa.feature.melspectrogram(y=samples, sr=rate, **frames, **scale)
    levels = librosa.power_to_db(mel, top_db=feature["top_db"])
    if feature["kind"] == "mfcc":
        levels = librosa.feature.mfcc(S=levels, n_mfcc=feature["count"])
    columns.append(levels.T)
features = np.concatenate(columns, axis=1)
count = recipe["frames"]
spare = max(0, count - len(features))
features = np.pad(features, ((spare // 2, spare - spare // 2), (0, 0)))
start = (len(features) - count) // 2
features = features[start : start + count]
features = ((features - features.mean(0)) / (features.std(0) + 1e-6)).astype(np.float32)

network = keras.models.load_model(network_path, compile=False)
logits = network.predict(features.reshape(1, *network.input_shape[1:]), verbose=0)
print(int(np.argmax(logits)))
