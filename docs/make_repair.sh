#!/bin/sh
# What repair and fine-tuning do for a network that int8 ruins; writes docs/repair.txt.
#   sh docs/make_repair.sh RUN WORK    RUN: a run with two convolutions, as cnn-lstm-ravdess
set -u
export TF_CPP_MIN_LOG_LEVEL=3
run=$1
work=$2
mkdir -p "$work"
show() {
    echo "\$ $*"
    "$@" || echo "exit code $?"
}
say() {
    printf '\n== %s\n' "$1"
}
{
    say "The network as trained"
    show ser-edge blame "$run"
    show ser-edge convert "$run" --variant int8 --out "$work/sound.tflite"
    show ser-edge convert "$run" --variant int8 --repair --out "$work/mended.tflite"
    say "The same with a planted fault"
    show python docs/plant_bad_layer.py "$run" "$work/planted"
    show ser-edge convert "$work/planted" --variant int8 --out "$work/ruined.tflite"
    show ser-edge blame "$work/planted"
    say "Repaired"
    show ser-edge convert "$work/planted" --variant int8 --repair --out "$work/repaired.tflite"
    say "The planted network, fine-tuned"
    show ser-edge finetune "$work/planted" --run "$work/planted-tuned"
    show ser-edge convert "$work/planted-tuned" --variant int8 --out "$work/tuned.tflite"
    say "The network as trained, fine-tuned"
    show ser-edge finetune "$run" --run "$work/sound-tuned"
    show ser-edge convert "$work/sound-tuned" --variant int8 --out "$work/sound-tuned.tflite"
    show ser-edge blame "$work/sound-tuned"
} 2>&1 | sed "s|$run|RUN|g; s|$work|WORK|g" | tee docs/repair.txt
