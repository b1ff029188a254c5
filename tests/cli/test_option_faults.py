"""Options that do not go together: the whole line for each, exit code 2, and nothing done."""

from __future__ import annotations

import os
import shutil
import sys

import pytest

from ser_edge.cli import run
from ser_edge.plan import Plan
from ser_edge_runtime.model_file import read_model_file
from ser_edge_runtime.slot_rules import release_of

NETWORK = [
    "--network",
    "net.keras",
    "--front-end",
    "f.json",
    "--labels",
    "l.txt",
    "--data",
    "m.csv",
]
FOR_MODELS = "{} is for model files, and run is a run"
LEDGER_PART = "--ledger needs --partition, and is for its test part alone"
RELEASE = "--out and --number or --needs-runtime go together"

# The words of a call, and the line that answers it, without its beginning and its end.
REFUSED = [
    ("audit m.tflite --reference run --confidence 0.49",
     "--confidence 0.49 is not from 0.5 to below 1"),
    ("audit m.tflite --reference run --confidence 0.49999999",
     "--confidence 0.49999999 is not from 0.5 to below 1"),
    ("audit m.tflite --reference run --confidence 1",
     "--confidence 1.0 is not from 0.5 to below 1"),
    ("classify - -", "standard input (-) can be read once only"),
    ("classify - x.wav - --json", "standard input (-) can be read once only"),
    ("classify x.wav --json --csv", "--json and --csv exclude each other"),
    ("classify x.wav --jobs 2 --dask tcp://a:1", "--jobs and --dask exclude each other"),
    ("classify - --jobs 2", "a recording on standard input (-) is classified by itself"),
    ("classify x.wav - --out o.jsonl", "a recording on standard input (-) is classified by itself"),
    ("classify x.wav --out o.csv", "--out o.csv: end the name in .jsonl or .parquet"),
    ("classify x.wav --out jsonl", "--out jsonl: end the name in .jsonl or .parquet"),
    ("classify x.wav --out o.jsonl.gz", "--out o.jsonl.gz: end the name in .jsonl or .parquet"),
    ("classify x.wav --delegate none --delegate-fallback",
     "--delegate none is no library: it has no options"),
    ("classify x.wav --delegate xnnpack --delegate-option a=b",
     "--delegate xnnpack is no library: it has no options"),
    ("convert --out o.tflite", "name a run, or a network with --network"),
    ("convert --data m.csv --out o.tflite", "name a run, or a network with --network"),
    ("convert --labels l.txt --out o.tflite", "name a run, or a network with --network"),
    ("convert run --labels l.txt --out o.tflite",
     "--labels goes with --network; a run has its own"),
    ("convert run --network net.keras --out o.tflite", "a run and --network exclude each other"),
    ("convert run --variant all --out o --c-array n.c",
     "--c-array takes one variant; name it with --variant"),
    ("enrol anna", "name recordings of anna, or folders of them"),
    ("enrol anna --add", "name recordings of anna, or folders of them"),
    ("evaluate run --partition p.csv", FOR_MODELS.format("--partition")),
    ("evaluate run --merge calm=neutral", FOR_MODELS.format("--merge")),
    ("evaluate run --out o.csv", FOR_MODELS.format("--out")),
    ("evaluate run --delegate x.so", FOR_MODELS.format("--delegate")),
    ("evaluate run --part train", "a run is scored on its validation or its test part"),
    ("evaluate run --ledger l.csv", "--ledger needs --part test"),
    ("evaluate run --ledger l.csv --part validation", "--ledger needs --part test"),
    ("evaluate m.tflite --data d --part test",
     "--part needs --partition, which says what the parts are"),
    ("evaluate m.tflite --data d --ledger l.csv", LEDGER_PART),
    ("evaluate m.tflite --data d --partition p.csv --ledger l.csv --part train", LEDGER_PART),
    ("evaluate m.tflite --data d --partition p.csv --ledger l.csv --part validation", LEDGER_PART),
    ("evaluate m.tflite --data d --merge calm",
     "--merge 'calm' is not EMOTION=LABEL, as calm=neutral"),
    ("evaluate m.tflite --data d --merge a=b --merge =b",
     "--merge '=b' is not EMOTION=LABEL, as calm=neutral"),
    ("listen x.wav", "x.wav is no live sound; use ser-edge classify, or - for a pipe"),
    ("listen --format s16le", "--format and --channels are for a pipe (-)"),
    ("listen --channels 1", "--format and --channels are for a pipe (-)"),
    ("pack m.tflite --out o.tflite", "name --front-end as well, or --like a model"),
    ("pack m.tflite --labels l.txt --out o.tflite", "name --front-end as well, or --like a model"),
    ("pack m.tflite --front-end f.json --out o.tflite", "name --labels as well, or --like a model"),
    ("release m.tflite", "nothing to do; give --number and --out, or --key"),
    ("release m.tflite --number 3", RELEASE),
    ("release m.tflite --needs-runtime 0.1.0", RELEASE),
    ("release m.tflite --out o.tflite", RELEASE),
    ("release m.tflite --out o.tflite --key k", RELEASE),
    ("serve --socket s --no-socket", "--socket and --no-socket exclude each other"),
    ("slots install device", "install needs --bytes and a model on standard input"),
    ("slots install device --signature-bytes 9",
     "install needs --bytes and a model on standard input"),
    ("study noise --data d", "--out is needed: the folder of the study"),
    ("study noise --data d --dry-run", "--out is needed: the folder of the study"),
    ("train --recipe r.toml --data d --run new --ledger l.csv", "--ledger needs --score-test"),
    ("train --resume --run run --ledger l.csv", "--ledger needs --score-test"),
]  # fmt: skip


@pytest.fixture
def place(model, tmp_path, monkeypatch):
    """A folder to work in with a model, a folder that stands for a run, and older results."""
    folder = tmp_path / "place"
    (folder / "run").mkdir(parents=True)
    shutil.copy(model, folder / "m.tflite")
    for name in ("o.tflite", "o.csv", "o.jsonl", "l.csv", "net.keras"):
        (folder / name).write_text("older")
    monkeypatch.chdir(folder)
    # Commands with Keras set these for the process, which is this one here.
    for name in ("TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL"):
        monkeypatch.setenv(name, os.environ.get(name, "0"))
    return folder


@pytest.fixture
def called(capsys):
    """Runs a line of words: exit code, standard output, standard error."""

    def call(words):
        capsys.readouterr()
        code = run(words.split() if isinstance(words, str) else words)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def line(words, said):
    return f"ser-edge: {said}; see: ser-edge {words.split()[0]} --help\n"


@pytest.mark.parametrize(("words", "said"), REFUSED, ids=[words for words, _ in REFUSED])
def test_the_line_says_which_options_and_nothing_is_touched(place, called, words, said):
    before = contents(place)
    assert called(words) == (2, "", line(words, said))
    assert contents(place) == before
    assert sorted(path.name for path in place.rglob("*") if path.is_dir()) == ["run"]


@pytest.mark.parametrize("missing", ["--front-end", "--labels", "--data", "--partition"])
def test_each_thing_that_a_network_needs_is_asked_for(place, called, missing):
    whole = [*NETWORK, "--partition", "p.csv"]
    at = whole.index(missing)
    words = ["convert", *whole[:at], *whole[at + 2 :], "--out", "o.tflite"]
    said = f"--network needs {missing} as well"
    assert called(words) == (2, "", line("convert", said))
    # With all of them it goes on to reading them.
    code, _, err = called(["convert", *whole, "--out", "o.tflite"])
    assert (code, err.startswith("ser-edge: f.json: no such file")) == (1, True)
    assert (place / "o.tflite").read_text() == "older"


# Standard input


@pytest.fixture
def terminal(monkeypatch):
    """A terminal at which nobody types."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        yield
    os.close(ours)


@pytest.mark.parametrize(
    "words",
    ["classify -", "classify --list -", "classify x.wav -", "listen -", "listen - --smooth"],
)
def test_a_terminal_is_not_waited_at(place, called, terminal, words):
    assert called(words) == (2, "", line(words, "nothing is piped into standard input (-)"))


@pytest.mark.parametrize("words", ["classify x.wav", "classify --list x.txt"])
def test_a_terminal_is_no_fault_where_nothing_is_read_from_it(place, called, terminal, words):
    code, _, err = called([*words.split(), "--model", "m.tflite"])
    assert (code, err.startswith("ser-edge: x.")) == (1, True)


def test_an_empty_pipe_is_a_fault_of_its_own(ser_edge, one_line, model):
    one_line(ser_edge("classify", "-", "--model", model), 1, "ser-edge: -: ", "empty")


# Just beside what is refused: the call goes on, and ends at what is not there

GOES_ON = [
    ("audit m.tflite --reference run --confidence 0.5", "run: not a run"),
    ("audit m.tflite --reference run --confidence 0.999", "run: not a run"),
    ("classify x.wav --csv --model m.tflite", "x.wav: does not exist"),
    ("classify x.wav --delegate none --model m.tflite", "x.wav: does not exist"),
    ("convert run --variant int8 --out o.tflite --c-array n.c", "run: not a run"),
    ("convert run --data m.csv --out o.tflite", "m.csv: no such"),
    ("enrol anna x.wav --voices v --model m.tflite", "x.wav: does not exist"),
    ("evaluate run --ledger l.csv --part test", "run: not a run"),
    ("evaluate run --part validation", "run: not a run"),
    ("evaluate m.tflite --data d --partition p.csv --ledger l.csv --part test", "d: no such"),
    ("evaluate m.tflite --data d --partition p.csv --ledger l.csv", "d: no such"),
    ("evaluate m.tflite --data d --merge calm=neutral", "d: no such"),
    ("pack none.tflite --front-end f.json --labels l.txt --out o.tflite", "none.tflite: no such"),
    ("pack m.tflite --like none.tflite --out o.tflite", "none.tflite: "),
    ("study noise --data d --out new", "d: no such file or folder"),
    ("train --recipe default --data d --run new --ledger l.csv --score-test", "d: no such"),
]


@pytest.mark.parametrize(("words", "said"), GOES_ON, ids=[words for words, _ in GOES_ON])
def test_what_lies_just_beside_is_no_fault_of_the_options(place, called, words, said):
    before = contents(place)
    code, _, err = called(words)
    assert (code, "--help" in err) == (1, False)
    assert said in err.splitlines()[0]
    assert contents(place) == before


@pytest.mark.parametrize("out", ["o.jsonl", "o.ndjson", "o.JSONL", "deep.csv/o.jsonl"])
@pytest.mark.parametrize("ways", [{"jobs": 2}, {"jobs": 1, "resume": True}, {}])
def test_results_go_to_lines_of_json(place, out, ways):
    (place / "deep.csv").mkdir()
    Plan(("x.wav",), out=out, **ways).check("text")


def test_a_release_needs_both_or_a_key_and_then_is_written(place, called):
    code, out, err = called("release m.tflite --number 3 --needs-runtime 0.1.0 --out new.tflite")
    assert (code, err) == (0, "")
    assert out.startswith("new.tflite: release 3, ")
    assert release_of(read_model_file("new.tflite")) == 3
    assert release_of(read_model_file("m.tflite")) == 0


def test_an_install_with_its_length_reads_the_model(ser_edge, model, tmp_path):
    data = model.read_bytes()
    device = tmp_path / "device"
    done = ser_edge("slots", "install", device, "--bytes", len(data), stdin=data)
    assert (done.returncode, done.stderr) == (0, "")
    assert read_model_file(device).flatbuffer == read_model_file(model).flatbuffer
