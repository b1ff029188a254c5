#!/usr/bin/env bash
# Trains the recipes under their published protocols and with speakers apart, scores each test part
# once, and writes what came of it into docs/recipes.md:
#   docs/make_recipe_runs.sh MANIFEST [WORK] [FOLDS] [RECIPE...]
# MANIFEST is what `ser-edge scan` wrote; WORK, by default runs/, takes runs and features; FOLDS, by
# default "1 2 3 4 5", are trained; without RECIPE all are. A recipe with a teacher needs the
# embeddings of a large encoder, an .npz file, in $EMBEDDINGS (docs/teacher.md). Stopped at any time,
# the same call goes on: what is finished is not done again, and a half run is resumed.
set -euo pipefail
cd "$(dirname "$0")/.."
manifest=${1:?manifest.csv that ser-edge scan wrote}
work=${2:-runs}
folds=${3:-1 2 3 4 5}
recipes=("${@:4}")

each=$(python - "${recipes[@]}" <<'EOF'
import sys
sys.path.insert(0, "docs")
from make_recipes import asked, protocol_options
from ser_edge_train.recipes import load_recipe, recipe_names
for name in sys.argv[1:] or recipe_names():
    recipe = load_recipe(name)
    taught = "labels" if recipe.teacher is None else "hint" if recipe.teacher.hint else "scores"
    for protocol, sex in asked(recipe):
        print(name, protocol, sex, taught, protocol_options(recipe, protocol))
EOF
)
for fold in $folds; do
    while read -r recipe protocol sex taught divided; do
        run=$work/$recipe/$protocol/$sex/fold-$fold
        if [ -f "$run/scored" ] || { [ "$protocol" = cross-corpus ] && [ "$fold" != 1 ]; }; then
            continue
        fi
        read -ra divided <<< "$divided"
        mkdir -p "$(dirname "$run")"
        common=(--run "$run" --store "$work/features" --score-test --ledger docs/test-scorings.csv)
        teacher=()
        if [ "$taught" != labels ]; then
            embeddings=${EMBEDDINGS:?embeddings for the teacher of $recipe, an .npz file}
            scores=$work/teacher/$recipe-$protocol-$sex-$fold.csv
            mkdir -p "$work/teacher"
            [ -f "$scores" ] || ser-edge teach "$embeddings" --recipe "$recipe" "${divided[@]}" \
                --fold "$fold" --data "$manifest" --out "$scores"
            teacher=(--teacher "$scores")
            [ "$taught" != hint ] || teacher+=(--hint "$embeddings")
        fi
        if [ -f "$run/recipe.toml" ]; then
            ser-edge train --resume --no-clean "${common[@]}"
        else
            ser-edge train --recipe "$recipe" "${divided[@]}" --no-clean --sex "$sex" --fold "$fold" \
                --data "$manifest" "${teacher[@]}" "${common[@]}"
        fi
        touch "$run/scored"
    done <<< "$each"
done
python docs/make_recipes.py "$work"
