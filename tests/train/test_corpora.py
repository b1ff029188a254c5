"""Each known corpus's names: what they say, which typos are known, which names are not theirs."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from ser_edge_train.corpora import Labelled, LeftOut, crema_d, ravdess, recognise, savee, tess
from ser_edge_train.corpora.parsed import EMOTION_WORDS, corpus_name, emotion_of
from ser_edge_train.errors import TableError
from ser_edge_train.manifest import CANONICAL_LABELS, CORPUS_LABELS


def parse(text: str):
    return recognise(PurePosixPath("/data") / text)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "ravdess/Actor_07/03-01-03-02-01-02-07.flac",
            Labelled(
                "ravdess", "03-01-03-02-01-02-07", "07", "male", "happy", "strong", "01", "02"
            ),
        ),
        (
            "audio_speech_actors_01-24/Actor_24/03-01-08-01-02-01-24.WAV",
            Labelled(
                "ravdess", "03-01-08-01-02-01-24", "24", "female", "surprise", "normal", "02", "01"
            ),
        ),
        (
            "AudioWAV/1001_DFA_ANG_XX.wav",
            Labelled("crema-d", "1001_DFA_ANG_XX", "1001", "male", "angry", "", "DFA"),
        ),
        (
            "1091_IEO_FEA_HI.opus",
            Labelled("crema-d", "1091_IEO_FEA_HI", "1091", "female", "fear", "high", "IEO"),
        ),
        (
            "flat/1040_ITH_SAD_X.wav",
            Labelled("crema-d", "1040_ITH_SAD_XX", "1040", "male", "sad", "", "ITH"),
        ),
        (
            "TESS Toronto emotional speech set data/OAF_Fear/OAF_back_fear.wav",
            Labelled("tess", "OAF_back_fear", "OAF", "female", "fear", "", "back"),
        ),
        (
            "YAF_pleasant_surprised/YAF_bar_ps.mp3",
            Labelled("tess", "YAF_bar_ps", "YAF", "female", "surprise", "", "bar"),
        ),
        (
            "OAF_neutral/OA_bite_neutral.wav",
            Labelled("tess", "OAF_bite_neutral", "OAF", "female", "neutral", "", "bite"),
        ),
        (
            "AudioData/DC/a01.wav",
            Labelled("savee", "DC_a01", "DC", "male", "angry", "", "a01"),
        ),
        ("savee/KL/su15.flac", Labelled("savee", "KL_su15", "KL", "male", "surprise", "", "su15")),
        ("ALL/JK_n30.ogg", Labelled("savee", "JK_n30", "JK", "male", "neutral", "", "n30")),
    ],
)
def test_reads_a_name(path, expected):
    assert parse(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "03-01-09-01-01-01-01.wav",  # no ninth emotion
        "03-01-01-01-01-01-25.wav",  # no such actor
        "03-01-01-01-01-01-00.wav",
        "03-01-01-01-01-01.wav",
        "1000_DFA_ANG_XX.wav",  # no such speaker
        "1092_DFA_ANG_XX.wav",
        "1001_DFA_BOR_XX.wav",
        "1001_XXX_ANG_XX.wav",
        "1001_DFA_ANG_MID.wav",
        "OAF_bar_bored.wav",
        "MAF_bar_angry.wav",
        "OAF_angry.wav",
        "DC/a16.wav",  # fifteen of each emotion
        "DC/n31.wav",
        "DC/a00.wav",
        "DC/x01.wav",
        "XX/a01.wav",
        "a01.wav",
        "DC_a01_b.wav",
        "clip.wav",
    ],
)
def test_leaves_other_names_alone(path):
    assert parse(path) is None


def test_the_stem_rules_not_the_folder():
    assert parse("OAF_angry/YAF_bar_sad.wav").emotion == "sad"
    assert parse("Actor_05/03-01-01-01-01-01-06.wav").speaker == "06"
    assert parse("angry/1001_DFA_HAP_XX.wav").emotion == "happy"
    assert parse("JE/DC_a01.wav").speaker == "DC"


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".opus", ".mp3", ".WAV", ".Flac"])
def test_any_ending_is_read(suffix):
    assert parse(f"OAF_bar_angry{suffix}").stem == "OAF_bar_angry"


def test_spelling_in_capitals_is_the_same_clip():
    assert parse("oaf_BAR_Angry.wav") == parse("OAF_bar_angry.wav")
    assert parse("dc/A01.wav") == parse("DC/a01.wav")
    assert parse("1001_dfa_ang_xx.wav") == parse("1001_DFA_ANG_XX.wav")


def test_ravdess_songs_and_video_sound_are_left_out_by_name():
    assert parse("03-02-05-01-01-01-01.wav") == LeftOut("ravdess", "songs")
    video = parse("01-01-05-01-01-01-01.wav")
    assert isinstance(video, LeftOut)
    assert "videos" in video.reason


def test_the_codes_cover_the_published_labels():
    for parser, corpus in ((ravdess, "ravdess"), (crema_d, "crema-d"), (tess, "tess")):
        assert tuple(sorted(parser.EMOTIONS.values())) == CORPUS_LABELS[corpus]
    assert tuple(sorted(savee.EMOTIONS.values())) == CORPUS_LABELS["savee"]
    assert set(EMOTION_WORDS.values()) == set(CANONICAL_LABELS)


def test_ravdess_sex_is_the_actors_parity():
    sexes = [
        ravdess.parse(PurePosixPath(f"03-01-01-01-01-01-{actor:02d}.wav")).sex
        for actor in ravdess.ACTORS
    ]
    assert sexes == ["male", "female"] * 12


def test_crema_d_has_48_men_and_43_women():
    sexes = [
        crema_d.parse(PurePosixPath(f"{speaker}_DFA_ANG_XX.wav")).sex
        for speaker in crema_d.SPEAKERS
    ]
    assert (sexes.count("male"), sexes.count("female")) == (48, 43)


def test_demographics_are_found_beside_the_clips_or_their_folder(tmp_path):
    folder = tmp_path / "AudioWAV"
    folder.mkdir()
    assert crema_d.find_demographics(folder) is None
    (tmp_path / crema_d.DEMOGRAPHICS).write_text("ActorID,Sex\n1001,Female\n")
    assert crema_d.find_demographics(folder) == tmp_path / crema_d.DEMOGRAPHICS
    (folder / crema_d.DEMOGRAPHICS).write_text("ActorID,Sex\n1001,Male\n")
    assert crema_d.find_demographics(folder) == folder / crema_d.DEMOGRAPHICS


def test_demographics_are_read_by_their_columns(tmp_path):
    path = tmp_path / "VideoDemographics.csv"
    path.write_text('"ActorID","Age","Sex"\n1001,51,"Male"\n1002,21,"Female"\n')
    assert crema_d.read_demographics(path) == {"1001": "male", "1002": "female"}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", ":1: no columns"),
        ("Actor,Sex\n", ":1: no columns"),
        ("ActorID,Sex\n1001\n", ":2: 1 fields"),
        ("ActorID,Sex\n1001,Male\n1002,?\n", ":3: Sex '?'"),
    ],
)
def test_demographics_that_are_none_name_the_line(tmp_path, text, place):
    path = tmp_path / "VideoDemographics.csv"
    path.write_text(text)
    with pytest.raises(TableError) as caught:
        crema_d.read_demographics(path)
    assert f"{path}{place}" in str(caught.value)
    assert "built in" in str(caught.value)


def test_built_in_sexes_equal_upstreams_table(corpora: Path):
    table = crema_d.read_demographics(corpora / "crema-d" / crema_d.DEMOGRAPHICS)
    built_in = {
        str(speaker): "male" if speaker in crema_d.MEN else "female" for speaker in crema_d.SPEAKERS
    }
    assert table == built_in


@pytest.mark.parametrize(
    ("word", "label"),
    [("Angry", "angry"), (" FEARFUL ", "fear"), ("pleasant surprise", "surprise"), ("bored", None)],
)
def test_words_for_emotions(word, label):
    assert emotion_of(word) == label


@pytest.mark.parametrize(
    ("folder", "name"),
    [("My Calls 2", "my-calls-2"), ("ravdess", "ravdess-own"), ("…", "recordings")],
)
def test_names_of_own_corpora_never_take_a_known_one(folder, name):
    assert corpus_name(folder) == name
