#!/usr/bin/env bash
# Runs the trials of the search for a default model and writes what came of them into
# docs/model-search.md:
#   docs/model-search/run.sh MANIFEST EMBEDDINGS [WORK] [FOLD] [TRIAL...]
# MANIFEST is what `ser-edge scan` wrote, EMBEDDINGS an encoder's (see docs/teacher.md); WORK, by
# default runs/search, takes the runs and the features; FOLD, by default 1, is the one whose
# validation speakers choose; without TRIAL all are run, the student as it is among them
# (`recipe`). Stopped at any time, the same call goes on. The test part is not looked at.
set -euo pipefail
cd "$(dirname "$0")/../.."
manifest=${1:?manifest.csv that ser-edge scan wrote}
embeddings=${2:?embeddings of its recordings, an .npz file}
work=${3:-runs/search}
fold=${4:-1}
trials=("${@:5}")

mkdir -p "$work"
# What is particular to this machine and fold, in a copy of the recipe.
python - "$embeddings" "$work" "$fold" <<'EOF'
import sys
from pathlib import Path
from ser_edge_train.recipes import load_recipe
embeddings, work, fold = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
student = load_recipe("docs/model-search/student.toml").with_changes(
    fold=fold, teacher=str(work / f"teacher-{fold}.csv"), hint=embeddings
)
(work / f"student-{fold}.toml").write_text(student.to_toml(), encoding="utf-8")
EOF
recipe=$work/student-$fold.toml
[ -f "$work/teacher-$fold.csv" ] || ser-edge teach "$embeddings" --recipe "$recipe" \
    --data "$manifest" --out "$work/teacher-$fold.csv"
chosen=()
[ ${#trials[@]} -eq 0 ] || chosen=(--variants "$(IFS=,; echo "${trials[*]}")")
ser-edge study own --trials docs/model-search/trials.toml --recipe "$recipe" --data "$manifest" \
    --store "$work/features" --out "$work/fold-$fold" --seeds 1 "${chosen[@]}"
python docs/make_search.py "$work/fold-$fold"
