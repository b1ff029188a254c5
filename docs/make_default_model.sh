#!/usr/bin/env bash
# Makes the model that ships, its scores and the pages that show them:
#   docs/make_default_model.sh CORPORA [WORK] [--score-test]
# CORPORA holds ravdess, crema-d, tess and savee; WORK, by default runs/, takes the manifest, the
# run and the features (6 GB while it trains). A run that was stopped is gone on with. With --score-test the test
# speakers are scored, once: docs/test-scorings.csv refuses a second network of the same recipe.
set -euo pipefail
cd "$(dirname "$0")/.."
corpora=${1:?folder of the four corpora}
work=${2:-runs}
mkdir -p "$work"

[ -f "$work/manifest.csv" ] || ser-edge scan "$corpora"/{ravdess,crema-d,tess,savee} --out "$work/manifest.csv"
if [ -d "$work/default" ]; then
    ser-edge train --run "$work/default" --resume --store "$work/features"
else
    ser-edge train --recipe default --data "$work/manifest.csv" --run "$work/default" --store "$work/features"
fi
if [ "${3:-}" = --score-test ]; then
    ser-edge evaluate "$work/default" --part test --ledger docs/test-scorings.csv
fi
ser-edge convert "$work/default" --store "$work/features" --name "ser-edge default" \
    --licence "research and non-commercial use only; see LICENSE.weights.txt beside the file" \
    --out "$work/default.tflite"
cp "$work/default.tflite" runtime/ser_edge_runtime/models/default.tflite
python docs/make_scores.py
# The card of this one fold; of the recipe's five, once docs/make_recipe_runs.sh has trained them:
#   python docs/make_card.py RUNS --data "$work/manifest.csv"
part=validation
[ "${3:-}" != --score-test ] || part=test
python docs/make_card.py "$work/default" --part "$part" --data "$work/manifest.csv"
