#!/usr/bin/env bash
# Runs the trials of the search for a default model and writes what came of them into
# docs/model-search.md:
#   docs/model-search/run.sh ROUND MANIFEST EMBEDDINGS [WORK] [FOLD] [TRIAL...]
# ROUND is first, second or third, the folders beside this file. MANIFEST is what `ser-edge scan`
# wrote, EMBEDDINGS an encoder's (see docs/teacher.md); WORK, by default runs/search, takes the runs
# and the features; FOLD, by default 1, is the one whose validation speakers choose; without TRIAL
# all are run, the student as it is among them (`recipe`). From the second round on they are scored
# with six validation speakers at once 10 dB behind each clip, too. Stopped at any time, the same call
# goes on. Two calls at once, of other trials, need two values of OUT, by default WORK/ROUND-FOLD;
# STORE is where features are kept. VOTES, CREMA-D's summaryTable.csv, is needed for trials of what
# its listeners heard; without it they are named and the call ends. The test part is not looked at.
set -euo pipefail
cd "$(dirname "$0")/../.."
name=${1:?first, second or third}
round=docs/model-search/$name
manifest=${2:?manifest.csv that ser-edge scan wrote}
embeddings=${3:?embeddings of its recordings, an .npz file}
work=${4:-runs/search}
fold=${5:-1}
trials=("${@:6}")
out=${OUT:-$work/$name-$fold}
recipe=$out.toml
teacher=$work/teacher-$fold.csv
voices=$work/voices-$fold
listeners=$work/listeners-$fold.csv
changes=$out.trials.toml

mkdir -p "$work"
# What is particular to this machine and fold, in a copy of the recipe; and the voices.
python - "$round/student.toml" "$manifest" "$embeddings" "$teacher" "$voices" "$fold" "$recipe" <<'EOF'
import sys
from pathlib import Path
from ser_edge_train.disturbances import write_babble
from ser_edge_train.manifest import Manifest
from ser_edge_train.plan import make_plan
from ser_edge_train.recipes import load_recipe
student, manifest, embeddings, teacher, voices, fold, recipe = sys.argv[1:]
found = load_recipe(student).with_changes(fold=int(fold), teacher=teacher, hint=embeddings)
Path(recipe).write_text(found.to_toml(), encoding="utf-8")
plan = make_plan(found.model_copy(update={"teacher": None}), Manifest.read(manifest))
write_babble(plan.manifest, plan.clips("validation"), Path(voices))
EOF
[ -f "$teacher" ] ||
    ser-edge teach "$embeddings" --recipe "$recipe" --data "$manifest" --out "$teacher"
if [ -n "${VOTES:-}" ] && [ ! -f "$listeners" ]; then
    python docs/listeners_votes.py "$teacher" "$manifest" "$VOTES" "$listeners"
fi
sed "s|LISTENERS|$listeners|" "$round/trials.toml" > "$changes"
chosen=()
[ ${#trials[@]} -eq 0 ] || chosen=(--variants "$(IFS=,; echo "${trials[*]}")")
noise=()
[ "$name" = first ] || noise=(--noise "$voices")
ser-edge study own --trials "$changes" --recipe "$recipe" --data "$manifest" \
    --store "${STORE:-$work/features}" --out "$out" --seeds 1 "${chosen[@]}" "${noise[@]}"
python docs/make_search.py "$name" "$out"
