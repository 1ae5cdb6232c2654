"""Predicted opinion: networks that come with packages say that a voice in noise is worse than the voice alone."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tsmgan.evaluation.measures import USUAL_MEASURES
from tsmgan.evaluation.measures.opinion import DISTILL_MOS, DNS_MOS

VOICE = Path(__file__).parents[1] / "examples" / "voice.flac"


@pytest.fixture(scope="module")
def voice():
    y, samplerate = soundfile.read(VOICE, dtype="float32", always_2d=True, frames=3 * soundfile.info(VOICE).samplerate)
    return y.T, samplerate


@pytest.mark.parametrize("measure", [DISTILL_MOS, DNS_MOS], ids=lambda measure: measure.name)
class TestOpinion:
    def test_noise_is_heard_and_level_is_not(self, measure, voice):
        if measure.missing():
            pytest.skip(f"needs the package {measure.package}")
        y, samplerate = voice
        clean = measure.take(y, y, samplerate)
        noisy = y + 0.3 * np.std(y) * np.random.default_rng(0).standard_normal(y.shape).astype(np.float32)
        assert 1 <= measure.take(y, noisy, samplerate) < clean - 0.05 <= 5
        assert measure.take(y, 0.1 * y, samplerate) == pytest.approx(clean, abs=0.02)

    def test_silence_has_no_opinion(self, measure, voice):
        with pytest.raises(ValueError, match=f"{measure.title}: the output is silent"):
            measure.take(voice[0], 0 * voice[0], voice[1])

    def test_it_is_taken_only_when_it_is_asked_for(self, measure):
        assert measure not in USUAL_MEASURES
