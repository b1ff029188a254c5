"""One model, loaded once, replaced between two recordings."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.errors import ModelFileError, SelfTestFailed, UnreadableModel
from ser_edge_runtime.files import write_atomically
from ser_edge_runtime.model_file import build_model_file, read_model_file
from ser_edge_runtime.service.served_model import ServedModel
from tests.runtime.service.running import MODEL, PATIENCE, HeldModel, running, wav


def variant(**changes) -> bytes:
    """The small model with other metadata, its golden vectors left as they are."""
    found = read_model_file(MODEL)
    return build_model_file(found.flatbuffer, replace(found.metadata, **changes), found.golden)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(MODEL.read_bytes())
    return path


@pytest.fixture
def news():
    return []


@pytest.fixture
def served(path, news):
    model = ServedModel(path)
    model.on_change = news.append
    return model


def sha256_of_next(model: ServedModel) -> str:
    with model.classifier() as (_, loaded):
        return loaded.sha256


def test_what_is_loaded_classifies_as_a_classifier_does(served, path):
    expected = Classifier.load(path)
    with served.classifier() as (classifier, loaded):
        assert classifier.labels == expected.labels
        assert loaded.sha256 == sha256_hex(path.read_bytes())
        assert loaded.backend == expected.backend


def test_the_default_model_needs_no_path():
    assert ServedModel().path.endswith("default.tflite")


def test_the_file_is_read_once_as_long_as_it_stays(served, path, monkeypatch):
    def fail(_):
        raise AssertionError("read again")

    monkeypatch.setattr("ser_edge_runtime.service.served_model.read_model_bytes", fail)
    for _ in range(3):
        sha256_of_next(served)


def test_a_replaced_file_is_taken_up_before_the_next_recording(served, path, news):
    other = variant(name="another")
    before = sha256_of_next(served)
    write_atomically(path, other)
    assert sha256_of_next(served) == sha256_hex(other) != before
    assert [found.model_file.metadata.name for found in news] == ["another"]
    assert (served.reloads, served.failures) == (1, 0)


def test_what_is_being_classified_ends_with_the_model_it_began_with(served, path):
    with served.classifier() as (classifier, loaded):
        write_atomically(path, variant(name="another"))
        assert sha256_of_next(served) != loaded.sha256
        assert classifier.model_file is loaded.model_file
    assert sha256_of_next(served) == served.loaded.sha256


def test_equal_bytes_are_no_change(served, path, news):
    loaded = served.loaded
    write_atomically(path, path.read_bytes())
    assert sha256_of_next(served) == loaded.sha256
    assert served.loaded is loaded
    assert served.reload() is False
    assert (news, served.reloads) == ([], 0)


@pytest.mark.parametrize(
    "damaged",
    [lambda data: data[:-1], lambda data: data[:1000], lambda _: b"", lambda _: b"no model at all"],
)
def test_a_damaged_file_leaves_the_model_in_use_and_is_told_once(served, path, news, damaged):
    before = sha256_of_next(served)
    write_atomically(path, damaged(path.read_bytes()))
    assert [sha256_of_next(served) for _ in range(3)] == [before] * 3
    assert len(news) == 1
    assert isinstance(news[0], ModelFileError)
    assert served.failures == 1
    write_atomically(path, variant(name="mended"))
    assert sha256_of_next(served) != before


def test_a_model_that_computes_something_else_here_is_refused(served, path, news):
    before = sha256_of_next(served)
    write_atomically(path, variant(temperature=9.0))
    assert sha256_of_next(served) == before
    assert isinstance(news[0], SelfTestFailed)
    assert "golden vectors do not hold here" in str(news[0])
    with pytest.raises(SelfTestFailed):
        served.reload()
    assert sha256_of_next(served) == before


def test_a_service_does_not_begin_with_such_a_model(path):
    write_atomically(path, variant(temperature=9.0))
    with pytest.raises(SelfTestFailed, match="ser-edge doctor"):
        ServedModel(path)


def test_a_file_that_is_gone_may_be_on_its_way(served, path, news):
    before = sha256_of_next(served)
    path.unlink()
    assert sha256_of_next(served) == before
    assert news == []
    with pytest.raises(UnreadableModel):
        served.reload()
    path.write_bytes(variant(name="arrived"))
    assert sha256_of_next(served) != before


def test_while_one_thread_loads_the_others_go_on(served, path, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    load = ServedModel._load

    def slow(self, data):
        begun.set()
        assert go_on.wait(PATIENCE)
        return load(self, data)

    before = sha256_of_next(served)
    monkeypatch.setattr(ServedModel, "_load", slow)
    write_atomically(path, variant(name="another"))
    loading = threading.Thread(target=sha256_of_next, args=(served,))
    loading.start()
    assert begun.wait(PATIENCE)
    assert sha256_of_next(served) == before
    go_on.set()
    loading.join()
    assert sha256_of_next(served) != before
    assert served.reloads == 1


def test_no_two_threads_have_the_same_classifier(path):
    served = ServedModel(path, workers=2)
    with served.classifier() as (first, _), served.classifier() as (second, _):
        assert first is not second


def test_a_running_service_answers_with_the_new_model(path):
    news = []
    with running(model=ServedModel(path), on_change=news.append) as service:
        before = service.ask("POST", "/classify", wav())[2]
        other = variant(name="another", labels=("low", "middle", "high"))
        write_atomically(path, other)
        after = service.ask("POST", "/classify", wav())[2]
        assert after["model"] == sha256_hex(other) != before["model"]
        assert set(after["scores"]) == {"low", "middle", "high"} != set(before["scores"])
        assert service.metric("model_reloads_total") == 1
        assert service.ask()[2]["model"]["name"] == "another"
        write_atomically(path, b"damaged")
        assert service.ask("POST", "/classify", wav())[2] == after
        assert service.metric("model_reload_failures_total") == 1
    assert [type(found).__name__ for found in news] == ["LoadedModel", "NotAModel"]


def test_a_request_in_flight_keeps_its_classifier_when_the_file_changes(path):
    model = HeldModel(path)
    with running(model=model) as service:
        model.given.release(2)
        digests = []
        for name in ("one", "two"):
            write_atomically(path, variant(name=name))
            digests.append(service.ask("POST", "/classify", wav())[2]["model"])
        assert len(set(digests)) == 2
        assert digests[1] == sha256_hex(path.read_bytes())
