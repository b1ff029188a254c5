#!/usr/bin/env bash
# Makes a model that ships, its scores and the pages that show them:
#   EMBEDDINGS=whisper.npz docs/make_model.sh NAME CORPORA [WORK] [--score-test]
# NAME is a model's and its recipe's: small, default, accurate or open. CORPORA holds ravdess, crema-d,
# tess and savee; EMBEDDINGS are those of the large encoder that teaches it (docs/teacher.md); WORK, by
# default runs/, takes the manifest, the run and the features (6 GB while it trains). A run that was
# stopped is gone on with. With --score-test the test speakers are scored, once:
# docs/test-scorings.csv refuses a second network of the same recipe. Weights repeat to the byte on
# one kind of kernels: those that ship were fitted with TF_ENABLE_ONEDNN_OPTS=1 on a processor with
# AVX-512 and BF16; without that, training leaves oneDNN off, as other processors have it.
set -euo pipefail
cd "$(dirname "$0")/.."
name=${1:?name of a model and its recipe}
corpora=${2:?folder of the four corpora}
work=${3:-runs}
embeddings=${EMBEDDINGS:?embeddings of the recordings, an .npz file: docs/teacher.md}
run=$work/$name
model=runtime/ser_edge_runtime/models/$name.tflite
mkdir -p "$work"

[ -f "$work/manifest.csv" ] || ser-edge scan "$corpora"/{ravdess,crema-d,tess,savee} --out "$work/manifest.csv"
scores=$work/$name-teacher.csv
[ -f "$scores" ] || ser-edge teach "$embeddings" --recipe "$name" --data "$work/manifest.csv" --out "$scores"
if [ -d "$run" ]; then
    ser-edge train --run "$run" --resume --store "$work/features"
else
    ser-edge train --recipe "$name" --data "$work/manifest.csv" --teacher "$scores" --hint "$embeddings" \
        --run "$run" --store "$work/features"
fi
part=validation
if [ "${4:-}" = --score-test ]; then
    part=test
    ser-edge evaluate "$run" --part test --ledger docs/test-scorings.csv
fi
# Weights alone in int8 are as fast on XNNPACK as int8 throughout. With int8 at its ends the last
# layer cannot stay in floats, and small needs that.
settings=(--target cpu --variant dynamic --min-agreement 0.985)
# It keeps 98.1 % of the answers to validation speakers, in 283 KB. int8 that keeps 98.5 % leaves 8
# layers in floats and takes 341.
[ "$name" != default ] || settings=(--target cpu --variant dynamic --min-agreement 0.98)
# Ranges of twenty clips, not of two hundred: on validation speakers two layers in floats do then
# what takes four, and 16 KB, with the ranges of more.
[ "$name" != small ] || \
    settings=(--target micro --variant int8 --repair --calibration-size 20 --min-agreement 0.98)
licence="research and non-commercial use only; see LICENSE.weights.txt beside the file"
if [ "$name" = open ]; then
    licence="MIT; made from the CREMA-D database (Cao et al., 2014; Open Database License 1.0), which is to be named"
fi
ser-edge convert "$run" --store "$work/features" --name "ser-edge $name" --licence "$licence" \
    "${settings[@]}" \
    --out "$work/$name.tflite"
cp "$work/$name.tflite" "$model"
[ "$name" != default ] || python docs/make_scores.py
# The card of this one fold; of the recipe's five, once docs/make_recipe_runs.sh has trained them:
#   python docs/make_card.py RUNS --model MODEL --data "$work/manifest.csv"
python docs/make_card.py "$run" --model "$model" --part "$part" --data "$work/manifest.csv"
