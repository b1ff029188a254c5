"""The 36 upstream recordings, as odd as they are, and the packed corpora."""

import numpy as np
import pytest
import soundfile

from ser_edge_runtime.audio import audio_digest, load_audio
from ser_edge_runtime.resampling import resample

# stem: rate, channels, frames, as upstream has them.
FILES = {
    "crema-d/1001_DFA_ANG_XX": (16000, 1, 36409),
    "crema-d/1001_DFA_HAP_XX": (16000, 1, 29896),
    "crema-d/1001_DFA_SAD_XX": (16000, 1, 32032),
    "crema-d/1002_DFA_ANG_XX": (16000, 1, 41108),
    "crema-d/1002_DFA_FEA_XX": (16000, 1, 43777),
    "crema-d/1003_DFA_DIS_XX": (16000, 1, 51785),
    "crema-d/1003_DFA_NEU_XX": (16000, 1, 51785),
    "crema-d/1006_TIE_HAP_XX": (16000, 1, 39506),
    "crema-d/1006_TIE_NEU_XX": (16000, 1, 39506),
    "crema-d/1011_IEO_ANG_HI": (16000, 1, 54988),
    "crema-d/1011_IEO_HAP_HI": (16000, 1, 40574),
    "crema-d/1022_IEO_FEA_HI": (16000, 1, 36837),
    "crema-d/1022_IEO_SAD_HI": (16000, 1, 36409),
    "crema-d/1040_ITS_DIS_XX": (16000, 1, 48048),
    "crema-d/1040_ITS_NEU_XX": (16000, 1, 33100),
    "crema-d/1052_TSI_ANG_XX": (16000, 1, 30430),
    "crema-d/1052_TSI_HAP_XX": (16000, 1, 34701),
    "crema-d/1076_MTI_SAD_XX": (16000, 1, 41108),
    "crema-d/1079_WSI_FEA_XX": (16000, 1, 42709),
    "crema-d/1079_WSI_SAD_XX": (16000, 1, 42709),
    "crema-d/1091_WSI_SAD_XX": (16000, 1, 40040),
    "ravdess/03-01-01-01-01-01-24": (48000, 1, 177778),
    "ravdess/03-01-02-01-01-02-01": (48000, 2, 172972),
    "ravdess/03-01-02-01-02-02-05": (48000, 2, 203403),
    "ravdess/03-01-03-01-02-01-20": (48000, 2, 166566),
    "ravdess/03-01-04-01-02-02-09": (48000, 1, 163364),
    "ravdess/03-01-05-02-01-01-12": (48000, 1, 174574),
    "ravdess/03-01-06-01-01-02-20": (48000, 2, 209809),
    "ravdess/03-01-08-01-02-02-01": (48000, 2, 156956),
    "savee/DC_a01": (44100, 1, 160868),
    "savee/KL_sa03": (44100, 1, 77897),
    "tess/OAF_dog_happy": (24414, 1, 50129),
    "tess/OAF_food_fear": (96000, 1, 145172),
    "tess/OAF_pad_ps": (24414, 1, 45542),
    "tess/YAF_germ_angry": (24414, 1, 53847),
    "tess/YAF_neat_fear": (24414, 1, 40156),
}
AIFF = {"tess/YAF_germ_angry", "tess/YAF_neat_fear"}


@pytest.fixture(scope="module")
def originals(corpora):
    return corpora / "originals"


def test_all_36_are_listed(originals):
    found = {str(path.relative_to(originals).with_suffix("")) for path in originals.rglob("*.wav")}
    assert found == set(FILES)
    assert len(FILES) == 36


@pytest.mark.parametrize("stem", FILES)
def test_original(originals, stem):
    path = originals / f"{stem}.wav"
    rate, channels, frames = FILES[stem]
    samples, loaded_rate = load_audio(path)
    assert (loaded_rate, len(samples), samples.dtype) == (rate, frames, np.float32)
    reference, _ = soundfile.read(path, dtype="float32", always_2d=True)
    assert reference.shape == (frames, channels)
    expected = reference.mean(axis=1, dtype=np.float64).astype(np.float32)
    np.testing.assert_array_equal(samples, expected)


@pytest.mark.parametrize("stem", sorted(AIFF))
def test_aiff_inside_a_wav_name(originals, stem):
    assert (originals / f"{stem}.wav").read_bytes()[:4] == b"FORM"
    samples, rate = load_audio(originals / f"{stem}.wav")
    assert rate == 24414
    assert 0.01 < np.max(np.abs(samples)) <= 1.0


def test_equal_audio_under_two_labels_has_one_digest(originals):
    happy, neutral, other = (
        audio_digest(*load_audio(originals / "crema-d" / f"{stem}.wav"))
        for stem in ("1006_TIE_HAP_XX", "1006_TIE_NEU_XX", "1001_DFA_ANG_XX")
    )
    assert happy == neutral != other


def test_the_silent_clip_is_silent_and_not_an_error(originals):
    samples, _ = load_audio(originals / "crema-d/1076_MTI_SAD_XX.wav")
    assert not np.any(samples)


def test_the_clipped_clip_reaches_full_scale(originals):
    samples, _ = load_audio(originals / "tess/OAF_pad_ps.wav")
    assert np.max(np.abs(samples)) > 0.999


@pytest.mark.parametrize("stem", ["ravdess/03-01-01-01-01-01-24", "savee/KL_sa03"])
def test_resampled_original_is_its_packed_twin(corpora, originals, stem):
    """The packed corpora were resampled by another tool: nearly, not exactly, equal."""
    packed = {
        "ravdess/03-01-01-01-01-01-24": "ravdess/Actor_24/03-01-01-01-01-01-24.flac",
        "savee/KL_sa03": "savee/KL/sa03.flac",
    }[stem]
    ours = resample(*load_audio(originals / f"{stem}.wav"), 16000)
    theirs, rate = load_audio(corpora / packed)
    assert rate == 16000
    assert abs(len(ours) - len(theirs)) <= 1
    count = min(len(ours), len(theirs))
    difference = ours[:count] - theirs[:count]
    assert np.std(difference) < 0.05 * np.std(theirs)


@pytest.mark.parametrize(
    "clip",
    [
        "ravdess/Actor_09/03-01-01-01-01-01-09.flac",
        "crema-d/AudioWAV/1001_DFA_ANG_XX.opus",
        "tess/OAF_angry/OAF_bar_angry.opus",
        "savee/DC/a01.flac",
    ],
)
def test_packed_clip(corpora, clip):
    samples, rate = load_audio(corpora / clip)
    reference, _ = soundfile.read(corpora / clip, dtype="float32")
    assert rate == 16000
    np.testing.assert_array_equal(samples, reference)
