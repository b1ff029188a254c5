"""The commands, one module each: parse, call one stage, print.

The table below is all that ``ser-edge --help`` needs; a command's module is
imported when the command is called. Each module has a click command named
``command``; its first help line is the text here.
"""

from __future__ import annotations

COMMANDS = {
    "classify": "Name the emotion in recordings.",
    "listen": "Name the emotion in live sound.",
    "enrol": "Adapt a model to a voice.",
    "serve": "Serve a model on this machine, over HTTP and a Unix socket.",
    "info": "Show what a model file holds.",
    "doctor": "Check this machine, or recordings: why is the answer wrong?",
    "bench": "Measure how fast a model is on this machine.",
    "scan": "List the recordings of corpus folders and their faults.",
    "leaks": "Find what leaks between the parts of a partition.",
    "recipes": "List the recipes that training knows by name.",
    "train": "Train a recipe into a run directory.",
    "teach": "Make soft labels for `ser-edge train --teacher`.",
    "study": "Compare variants of a recipe on validation speakers.",
    "evaluate": "Score a model or a run on labelled recordings.",
    "pool": "Pool the folds and seeds of a recipe into one report.",
    "convert": "Convert a network into a model file and measure what was lost.",
    "blame": "Find the layers that int8 ruins.",
    "finetune": "Fine-tune a run's network so that int8 loses less.",
    "calibration": "Measure how much a conversion depends on its calibration clips.",
    "pack": "Make a model file of a plain TFLite model.",
    "release": "Number a model file for release, and sign it.",
    "flash": "Put a model on a device, so that it can be taken back.",
    "rollback": "Take a device back to the model that it had before.",
    "status": "Show which model a device has, and its self-test.",
    "bundle": "Put all that a device without network needs into one folder.",
    "slots": "Keep a device's models: current, previous, incoming.",
    "lint": "Show which operators of a model a target can run.",
    "audit": "Prove what conversion cost, on speakers never heard before.",
    "explain": "Show which stretch of a recording decided.",
    "speakers": "Measure a speaker embedding on speakers it has never heard.",
}
