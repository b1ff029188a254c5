"""Event files, read back by TensorFlow's own classes, and a log that no kill doubles."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_edge_train.checkpoint import Checkpoint
from ser_edge_train.event_file import EventFile, Scalars, crc32c
from ser_edge_train.fitting import fit
from ser_edge_train.progress import EpochReport, Several
from ser_edge_train.run_directory import RunDirectory
from ser_edge_train.tensorboard_log import FILE_NAME, LogError, TensorBoardLog
from tests.train.toys import Listener, Stopped, toy_data, toy_recipe

HISTORY = [
    {"epoch": 1, "loss": 2.0, "uar": 0.1, "val_loss": 2.5, "val_uar": 0.2, "learning_rate": 0.01},
    {"epoch": 2, "loss": 1.5, "uar": 0.3, "val_loss": 2.25, "val_uar": 0.4, "learning_rate": 0.01},
    {"epoch": 3, "loss": 1.25, "uar": 0.5, "val_loss": 2.0, "val_uar": 0.5, "learning_rate": 0.005},
]


def as_tensorflow_reads(path: Path):
    """Every event of a file through TensorFlow's record reader and its message class."""
    import tensorflow as tf
    from tensorflow.core.util import event_pb2

    records = tf.data.TFRecordDataset([str(path)])
    return [event_pb2.Event.FromString(record.numpy()) for record in records]


def scalars_of(folder: Path, part: str) -> list[tuple[int, dict[str, float]]]:
    _, *events = as_tensorflow_reads(folder / part / FILE_NAME)
    return [(e.step, {v.tag: v.simple_value for v in e.summary.value}) for e in events]


def told(row) -> EpochReport:
    values = {key: value for key, value in row.items() if key != "epoch"}
    return EpochReport(row["epoch"], 9, values, 1, 0.1, 0.2)


def test_the_checksum_is_castagnolis():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4


def test_tensorflow_reads_what_was_logged(tmp_path):
    log = TensorBoardLog(tmp_path / "logs", clock=lambda: 1234.5)
    for row in HISTORY:
        log.epoch(told(row))
    first, *events = as_tensorflow_reads(tmp_path / "logs" / "train" / FILE_NAME)
    assert first.file_version == "brain.Event:2"
    assert [event.wall_time for event in events] == [1234.5] * 3
    assert scalars_of(tmp_path / "logs", "train") == [
        (row["epoch"], pytest.approx({tag: row[tag] for tag in ("loss", "uar", "learning_rate")}))
        for row in HISTORY
    ]
    assert scalars_of(tmp_path / "logs", "validation") == [
        (row["epoch"], pytest.approx({"loss": row["val_loss"], "uar": row["val_uar"]}))
        for row in HISTORY
    ]


def test_what_tensorflow_wrote_is_read(tmp_path):
    import tensorflow as tf
    from tensorflow.core.framework import summary_pb2
    from tensorflow.core.util import event_pb2

    path = tmp_path / "events.out.tfevents.1"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(event_pb2.Event(file_version="brain.Event:2").SerializeToString())
        for step in (1, 300, 2**40):
            value = summary_pb2.Summary.Value(
                tag="loss", simple_value=0.5, node_name="n" * 200,
                metadata=summary_pb2.SummaryMetadata(display_name="x"),
            )  # fmt: skip
            event = event_pb2.Event(step=step, summary=summary_pb2.Summary(value=[value]))
            writer.write(event.SerializeToString())
    assert EventFile(path).read() == [Scalars(step, {"loss": 0.5}) for step in (1, 300, 2**40)]


def test_a_training_without_validation_logs_its_training_alone(tmp_path):
    log = TensorBoardLog(tmp_path)
    log.epoch(EpochReport(1, 2, {"loss": 1.0, "uar": 0.5, "learning_rate": 0.1}, 1, 0.1, 0.1))
    assert [path.name for path in tmp_path.iterdir()] == ["train"]


def test_nothing_is_made_before_an_epoch_has_ended(tmp_path):
    TensorBoardLog.open(tmp_path / "logs", RunDirectory(tmp_path / "run"))
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_missing_epochs_are_filled_in_and_none_is_doubled(tmp_path, kept):
    log = TensorBoardLog(tmp_path)
    for row in HISTORY[:kept]:
        log.epoch(told(row))
    TensorBoardLog(tmp_path).catch_up(HISTORY)
    TensorBoardLog(tmp_path).catch_up(HISTORY)
    assert [step for step, _ in scalars_of(tmp_path, "train")] == [1, 2, 3]
    assert [step for step, _ in scalars_of(tmp_path, "validation")] == [1, 2, 3]


@pytest.mark.parametrize("lost", [1, 3, 4, 20, 60])
def test_a_record_that_a_kill_cut_off_is_written_anew(tmp_path, lost):
    log = TensorBoardLog(tmp_path)
    for row in HISTORY:
        log.epoch(told(row))
    whole = scalars_of(tmp_path, "train")
    path = tmp_path / "train" / FILE_NAME
    path.write_bytes(path.read_bytes()[:-lost])
    TensorBoardLog(tmp_path).catch_up(HISTORY)
    assert scalars_of(tmp_path, "train") == whole


@given(st.binary(max_size=60), st.integers(0, 400))
def test_no_bytes_break_the_reader(tmp_path_factory, tail, place):
    path = tmp_path_factory.mktemp("events") / "tfevents"
    file = EventFile(path)
    for step in (1, 2, 3):
        file.append(Scalars(step, {"loss": 1.0 / step}), 0.0)
    whole = path.read_bytes()
    path.write_bytes(whole[:place] + tail + whole[place:])
    assert [row.step for row in file.read()] == [1, 2, 3][: len(file.read())]
    file.mend()
    file.append(Scalars(9, {"loss": 0.0}), 0.0)
    assert file.read()[-1] == Scalars(9, {"loss": 0.0})


@pytest.mark.parametrize("history", [[], HISTORY[:2], [{**row, "loss": 7.0} for row in HISTORY]])
def test_the_log_of_another_training_is_refused_and_left_alone(tmp_path, history):
    log = TensorBoardLog(tmp_path)
    for row in HISTORY:
        log.epoch(told(row))
    before = (tmp_path / "train" / FILE_NAME).read_bytes()
    with pytest.raises(LogError, match="another training; name another folder") as caught:
        TensorBoardLog(tmp_path).catch_up(history)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "train" / FILE_NAME).read_bytes() == before


def test_a_folder_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "logs").write_text("")
    log = TensorBoardLog(tmp_path / "logs")
    with pytest.raises(LogError, match="logs: cannot be used"):
        log.epoch(told(HISTORY[0]))
    with pytest.raises(LogError, match="logs: cannot be used"):
        TensorBoardLog(tmp_path / "logs").catch_up(HISTORY)


def test_a_stopped_and_resumed_fit_has_the_log_of_an_unbroken_one(tmp_path):
    recipe = toy_recipe()
    logged = {}
    # The last stop falls between the checkpoint of epoch 3 and its entry in the log.
    stops = [{"at_step": (2, 1)}, {"at_step": (2, 3)}, {"at_epoch": 3}]
    for name, listeners in (("whole", [{}]), ("stopped", [*stops, {}])):
        run = RunDirectory(tmp_path / name)
        run.create(recipe)
        for stop in listeners:
            log = TensorBoardLog.open(tmp_path / f"{name}-log", run, resume=True)
            listener = Several(Listener(**stop), log)
            try:
                fit(recipe, *toy_data(recipe), run, resume=True, progress=listener)
            except Stopped:
                assert stop
        logged[name] = [scalars_of(tmp_path / f"{name}-log", p) for p in ("train", "validation")]
    assert logged["stopped"] == logged["whole"]
    history = Checkpoint.read(RunDirectory(tmp_path / "whole").checkpoint).history
    assert [step for step, _ in logged["whole"][0]] == [row["epoch"] for row in history]
    for (_, values), row in zip(logged["whole"][0], history, strict=True):
        assert values == pytest.approx({tag: row[tag] for tag in values}, rel=1e-6)


def test_logging_needs_neither_tensorflow_nor_tensorboard(tmp_path):
    code = (
        "import sys\n"
        "from ser_edge_train.progress import EpochReport\n"
        "from ser_edge_train.tensorboard_log import TensorBoardLog\n"
        "TensorBoardLog(sys.argv[1]).epoch(EpochReport(1, 1, {'loss': 1.0}, 1, 0.1, 0.0))\n"
        "print(sorted({'tensorflow', 'tensorboard', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert EventFile(tmp_path / "train" / FILE_NAME).read() == [Scalars(1, {"loss": 1.0})]


def test_a_record_is_laid_out_as_tensorflow_lays_it(tmp_path):
    path = tmp_path / "tfevents"
    EventFile(path).append(Scalars(1, {"loss": 1.0}), 0.0)
    length, _ = struct.unpack_from("<QI", path.read_bytes())
    assert length == len(b"\x09" + bytes(8) + b"\x10\x00" + b"\x1a\x0dbrain.Event:2")
