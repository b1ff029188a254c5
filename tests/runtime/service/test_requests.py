"""What a client that behaves gets."""

from __future__ import annotations

import threading
from dataclasses import asdict

import pytest

from ser_edge_runtime.audio import decode_wav
from ser_edge_runtime.classifier import Classifier
from ser_edge_runtime.digests import sha256_hex
from ser_edge_runtime.service.app import MOST_SEGMENTS
from tests.runtime.service.running import MODEL, running, wav


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    faults = []
    path = tmp_path_factory.mktemp("service") / "s"
    with running(path=path, workers=2, on_fault=faults.append) as found:
        yield found
    assert faults == []


@pytest.fixture(scope="module")
def classifier():
    return Classifier.load(MODEL)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_a_recording_is_answered_as_the_classifier_answers(service, classifier, rate):
    data = wav(1.3, rate)
    status, headers, values = service.ask("POST", "/classify", data)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert values.pop("model") == sha256_hex(MODEL.read_bytes())
    assert values == asdict(classifier.classify(*decode_wav(data, "-")))


def test_segments_are_those_of_the_classifiers_windows(service, classifier):
    data = wav(2.0)
    status, _, values = service.ask("POST", "/classify?segment=1&step=0.5", data)
    assert (status, values["seconds"]) == (200, 2.0)
    windows = classifier.windows(*decode_wav(data, "-"), 1.0, 0.5)
    assert len(windows) == 3
    expected = [asdict(window) for window in windows]
    for window in expected:
        del window["seconds"]
    assert values["segments"] == expected
    _, _, whole = service.ask("POST", "/classify?segment=1", data)
    assert [part["start"] for part in whole["segments"]] == [0.0, 1.0]


def test_an_answer_that_is_not_probable_enough_is_uncertain(service, classifier):
    result = classifier.classify(*decode_wav(wav(), "-"))
    enough, too_much = result.score - 0.01, result.score + 0.01
    assert service.ask("POST", f"/classify?min_score={enough}", wav())[2]["label"] == result.label
    _, _, values = service.ask("POST", f"/classify?min_score={too_much}", wav())
    assert (values["label"], values["score"]) == ("uncertain", result.score)
    _, _, values = service.ask("POST", f"/classify?segment=0.5&min_score={1.0}", wav())
    assert {part["label"] for part in values["segments"]} == {"uncertain"}
    assert service.metric('answers_total{label="uncertain"}') >= 3


def test_silence_has_no_segment(service):
    silence = wav()[:44] + bytes(16_000)
    status, _, values = service.ask("POST", "/classify?segment=0.5", silence)
    assert (status, values["seconds"], values["segments"]) == (200, 1.0, [])


def test_other_formats_than_wav_are_read(service, tmp_path):
    import soundfile

    samples, rate = decode_wav(wav(), "-")
    soundfile.write(tmp_path / "a.flac", samples, rate)
    status, _, values = service.ask("POST", "/classify", (tmp_path / "a.flac").read_bytes())
    assert (status, values["seconds"]) == (200, 1.0)


def test_the_unix_socket_answers_the_same_whatever_the_name(service):
    over_tcp = service.ask("POST", "/classify", wav())
    over_unix = service.ask_unix("POST", "/classify", wav(), {"Host": "%2Frun%2Fser-edge.sock"})
    assert over_unix[0] == 200
    assert over_unix[2] == over_tcp[2]


def test_many_clients_at_once_get_each_their_own_answer(service, classifier):
    recordings = [wav(0.5 + 0.1 * number) for number in range(8)]
    found = {}

    def ask(number):
        found[number] = [service.ask("POST", "/classify", recordings[number])[2] for _ in range(3)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, data in enumerate(recordings):
        result = asdict(classifier.classify(*decode_wav(data, "-")))
        assert all(values | result == values for values in found[number])
    assert len(found) == 8


def test_health_names_the_model(service, classifier):
    status, headers, values = service.ask()
    assert (status, values["status"], headers["Cache-Control"]) == (200, "ok", "no-store")
    assert values["model"]["labels"] == list(classifier.labels)
    assert values["model"]["sha256"] == sha256_hex(MODEL.read_bytes())
    assert values["interpreter"] == classifier.backend


def test_metrics_count_what_was_done(service):
    before = service.metric('requests_total{path="/classify",status="200"}')
    seconds = service.metric("audio_seconds_total")
    _, _, values = service.ask("POST", "/classify", wav(1.5))
    service.ask("POST", "/classify", b"no recording")
    assert service.metric('requests_total{path="/classify",status="200"}') == before + 1
    assert service.metric('requests_total{path="/classify",status="415"}') >= 1
    assert service.metric("audio_seconds_total") == seconds + 1.5
    assert service.metric("classify_seconds_count") == before + 1
    assert service.metric(f'answers_total{{label="{values["label"]}"}}') >= 1
    assert (service.metric("waiting"), service.metric("uploaded_bytes")) == (0, 0)


def test_addresses_that_are_not_there_are_one_series(service):
    for path in ("/a", "/b"):
        service.ask(path=path)
    assert service.metric('requests_total{path="other",status="404"}') >= 2
    assert service.metric('requests_total{path="/a",status="404"}') == 0


REFUSED = [
    ("GET", "/nothing", None, 404, "NotFound", "/classify"),
    ("GET", "/classify", None, 405, "MethodNotAllowed", "does not take GET"),
    ("POST", "/health", b"", 405, "MethodNotAllowed", "does not take POST"),
    ("POST", "/classify", b"", 422, "EmptyAudio", "is empty"),
    ("POST", "/classify", b"\0" * 1000, 415, "NotAudio", "no audio format"),
    ("POST", "/classify", wav()[:-500], 422, "TruncatedAudio", "holds"),
    (
        "POST",
        "/classify",
        wav()[:44] + bytes(len(wav()) - 44),
        422,
        "SilentAudio",
        "holds no sound",
    ),
    ("POST", "/classify?segments=1", wav(), 400, "BadOption", "'segments' is no option"),
    ("POST", "/classify?step=1", wav(), 400, "BadOption", "step needs segment"),
    ("POST", "/classify?segment=nan", wav(), 400, "BadOption", "not a number above 0"),
    ("POST", "/classify?segment=-1", wav(), 400, "BadOption", "not a number above 0"),
    ("POST", "/classify?min_score=1.5", wav(), 400, "BadOption", "at most 1"),
    ("POST", "/classify?segment=1&step=0.0005", wav(), 400, "WindowError", str(MOST_SEGMENTS)),
    ("POST", "/classify?segment=0.001", wav(0.5), 400, "WindowError", "too short"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "kind", "words"), REFUSED)
def test_what_cannot_be_answered_gets_an_error_in_json(
    service, method, path, body, status, kind, words
):
    found, headers, values = service.ask(method, path, body)
    assert (found, values["status"], values["kind"]) == (status, status, kind)
    assert words in values["error"]
    assert "\n" not in values["error"]
    assert headers["Content-Type"] == "application/json"
    if status == 405:
        assert headers["Allow"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.2", "[::2]:1"])
def test_other_names_are_refused_lest_a_site_points_its_own_name_here(service, host):
    status, _, values = service.ask(headers={"Host": host})
    assert (status, values["kind"]) == (403, "Foreign")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:9", "[::1]:9", "[::1]"])
def test_this_machines_names_are_taken(service, host):
    assert service.ask(headers={"Host": host})[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1"])
def test_pages_of_other_sites_are_refused(service, origin):
    headers = {"Origin": origin, "Host": "localhost:2"}
    status, _, values = service.ask("POST", "/classify", wav(), headers)
    assert (status, values["kind"]) == (403, "Foreign")


def test_the_services_own_page_is_taken(service):
    headers = {"Origin": "http://localhost:2", "Host": "localhost:2"}
    assert service.ask("POST", "/classify", wav(), headers)[0] == 200
