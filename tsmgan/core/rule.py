"""The rule: a field made by hand. It is the floor that a generator departs from, and what `--model handmade` uses alone.

- A voice is told from other sounds by what 97 frames have in common: its envelope is modulated at its pitch, it has one period in the mean,
  and its partials move. It is also told by what changes within these frames: loudness, and the balance of treble and bass. Coherence is
  VOICED_COHERENCE where a voice has a period. Alpha is 1 on voices (PESQ heard 1 / rate on their attacks as a fault) and 1 / rate on
  everything else.
- A lone attack is energy at one instant of the frame, without a period. There alpha is 1 / rate, whatever is around it, and the frame has
  no say in what is a voice.
- Slowed noise repeats itself. In bands without tones, in frames without a period and without an attack, most of it is replaced by fresh
  noise. What is kept of it does not add up to the noise's level, nor to its distribution of amplitudes. What is missing was measured on
  white noise. Its inverse, a straight line in the logarithm of the rate, is given to the same bands, in sounds that are neither voices nor
  attacks.
- A voice's own noise, in its highs, loses level as well, at slow and at fast rates. It gets a gain, and no texture.
- Slowed speech is nearer to nature where fewer frames sound at once, where they move as one piece, with or without a period, and where
  its highs come in grains, pieces that go at their own pace. So a voice's synthesis window gets shorter and its coherence larger the
  slower it goes, and its highs are grains as soon as it is slowed. On music a short window would cost a tenth of the log-mel distance.

`docs/realism.md` has what the constants of slow voices trade, with the command.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tsmgan.core.features import COLUMNS, WIDE_HZ
from tsmgan.core.field import BAND_CENTRES_HZ, Field, Seen
from tsmgan.core.geometry import SYNTHESIS_SHARE, between_bands

RULE_CONTEXT = 48
"""Frames on either side (0.32 s) over which voices are told from other sounds."""
FRESH_FROM_HZ = (150.0, 400.0)
"""Fresh noise begins here and is whole there: what is lower is hum, rumble or an offset more often than noise."""
NOISE_SLOWNESS, GRAIN_SLOWNESS = 0.6, 0.1
"""Slowness (-log rate; 0.6 is rate 0.55, 0.1 is rate 0.9) at which noise and grains have gone all the way."""
FRESH, FRESH_PERIODICITY, FRESH_SLOPE, FRESH_CONCENTRATION = 0.5, 0.35, 20.0, 0.80
"""Share of slowed noise that is fresh noise, in frames whose periodicity and concentration are below these. Slowed frames of the
recording's own noise repeat. A larger share is no nearer to nature, and PESQ is lower."""
GRAIN_FROM_HZ = (1500.0, 2000.0)
"""Frequencies at which the grains of slow voices begin, and from which on there is nothing else. They are all or nothing: half of a grain
and half of the frame itself are a comb filter. Lower down, harmonics of the grain go astray and PESQ falls. From higher up on, critics hear
more of the repetitions."""
WINDOW_CUT = ((0.0, 0.3, 0.7, 1.1), (0.0, 0.22, 0.22, 0.30))
"""How much shorter the synthesis window of voices gets, at four values of slowness (rates 1, 0.74, 0.5 and 0.33): fewer frames then sound
at once, as in a time-domain stretcher. PESQ and the critics disagree about it: PESQ likes long windows. At 0.33 they are the shortest that
there are."""
VOICED_COHERENCE = ((-0.75, 0.0, 0.7, 1.1), (1.0, 0.70, 0.658, 0.86))
"""Coherence where a voice has a period, at four logarithms of the rate (0.47, 1, 2 and 3): pulses stay about as peaky as they were."""
UNVOICED_COHERENCE = ((0.0, 0.3, 0.7, 1.1), (0.0, 1.0, 0.8, 1.0))
"""Coherence of a voice's other frames, at four values of slowness (rates 1, 0.74, 0.5 and 0.33). Around 0.75 both PESQ and the critics
want these frames moved as one piece, and at 0.33 PESQ does. At 0.5 PESQ wants less of it and the critics do not mind."""
PITCH_COHERENCE = 0.7
"""Coherence of a voice that is shifted by p is multiplied by p to minus this. A lowered voice's breath comes down with it, into bands where
its harmonics should be heard, and its pulses get duller: in WORLD voices whose aperiodicity alone is moved down by 5 semitones, by 12 to
18 %. In raised ones they get sharper, by 14 to 17 %."""
MARGIN = 0.002
"""Shares of coherence and alpha mix stay this far from 0 and 1, so that a generator can depart from them."""
VOICE_WEIGHTS, VOICE_OFFSET = (28.5, 10.4, 5.9, -11.4, -13.6, -25.0, 16.5, 4.3), -15.7
"""Logistic regression of voice against other sounds, on frames of three voices and of music."""
PERIOD_THRESHOLD, PERIOD_SLOPE = 0.50, 15.0
"""Periodicity at which half of a voice's frame counts as voiced, and how sharp the decision is."""
NOISE_TEXTURE, NOISE_GAIN = 0.52, 0.32
"""Texture for each unit of log rate, which keeps noise as uneven as it was; log gain for each unit below 0, which keeps its level."""
VOICE_NOISE_GAIN = ((-1.1, -0.7, -0.3, 0.0, 0.4, 0.7), (0.15, 0.17, 0.10, 0.0, 0.05, 0.04))
"""Log gain of a voice's noise at six logarithms of the rate (0.33, 0.5, 0.74, 1, 1.5 and 2). Its frames are moved as pieces, which do not
add up to the noise's level: without it an s loses 0.25 dB above 6 kHz at 0.5, by the artefact meter. Fast voices get a part of what they
lose: with all of it, critics tell them better."""
VOICE_NOISE_FROM_HZ = (1500.0, 2500.0)
"""That gain begins here and is whole there. Lower down it costs a tenth of a point of PESQ at 0.75."""
NOISE_TONALITY = 0.28
"""Tonality of a band, above that of none at all, from which it is no noise. The tonality of white noise is 1 less this."""
NOISE_CONCENTRATION = 0.76
"""Concentration from which a frame is no noise; that of white noise is 0.67."""
SMALLEST_VARIANCE = 4e-4
"""Added to variances before their root is taken, so that rounding errors of a sum that stays the same are not seen."""


def rule(features: np.ndarray, log_rate: np.ndarray) -> Field:
    """The rule's field. A frame's decision depends on RULE_CONTEXT frames on either side, as far as they are given.

    Args:
        features: (..., frames, FEATURES), float32.
        log_rate: natural logarithm of the local rate, (..., frames).

    Returns:
        A Field of arrays (..., frames, BANDS), float32.
    """
    log_rate = np.asarray(log_rate, np.float64)
    periodicity = _mean(features, "periodicity", 3, 4)
    concentration = _mean(features, "concentration", 0, 10)
    attack = _sigmoid(40 * (concentration - 0.85)) * _sigmoid(15 * (0.45 - periodicity))
    voice = _voice(features, periodicity, attack)
    voiced = _sigmoid(voice) * _sigmoid(PERIOD_SLOPE * (periodicity - PERIOD_THRESHOLD))
    stretched = _sigmoid(2 * voice)
    slowness, still = np.maximum(-log_rate, 0), stretched * np.interp(-log_rate, *UNVOICED_COHERENCE)
    coherence = _inside(_most_coherence(log_rate) * voiced + still * (1 - voiced))
    alpha_mix = _inside(1 - stretched * (1 - attack))
    noise = ((1 - _tonality(features)) / NOISE_TONALITY).clip(0, 1) ** 2
    unvoiced = _sigmoid(FRESH_SLOPE * (FRESH_PERIODICITY - periodicity)) * _sigmoid(40 * (FRESH_CONCENTRATION - concentration))
    hiss = noise * unvoiced[..., None]
    fresh = FRESH * hiss * _slow(log_rate, NOISE_SLOWNESS)[..., None] * np.interp(BAND_CENTRES_HZ, FRESH_FROM_HZ, (0, 1))
    breathy = noise * (stretched * (1 - attack))[..., None] * np.interp(BAND_CENTRES_HZ, VOICE_NOISE_FROM_HZ, (0, 1))
    noise = noise * ((1 - stretched) * _sigmoid(40 * (NOISE_CONCENTRATION - concentration)))[..., None]
    window = SYNTHESIS_SHARE - np.interp(-log_rate, *WINDOW_CUT) * stretched
    grain = (1 - hiss) ** 2 * ((1 - alpha_mix) * _slow(log_rate, GRAIN_SLOWNESS))[..., None]
    grain *= np.interp(BAND_CENTRES_HZ, GRAIN_FROM_HZ, (0, 1))
    per_band = (
        np.broadcast_to(coherence[..., None], noise.shape),
        np.broadcast_to(alpha_mix[..., None], noise.shape),
        NOISE_GAIN * slowness[..., None] * noise + np.interp(log_rate, *VOICE_NOISE_GAIN)[..., None] * breathy,
        NOISE_TEXTURE * log_rate[..., None] * noise,
        fresh,
        np.broadcast_to(window[..., None], noise.shape),
        grain,
    )
    return Field(*(np.ascontiguousarray(values, np.float32) for values in per_band))


def for_pitch(field: Field, log_rate: np.ndarray, log_pitch: float) -> Field:
    """A field that was decided for a stretch, where this stretch is one half of a shift of the pitch.

    Noise repeats itself as the stretch makes it. But what a voice's coherence and synthesis window owe to a slow rate, they owe to the
    listener's: with a shift they are those of the stretch at that rate alone. And there are grains only where the listener hears it slowed.
    With them at rate 1, voices that are raised would have larger log-mel distances and pulses too peaky.

    Args:
        field: arrays (frames, BANDS).
        log_rate: natural logarithm of the stretch's local rate, (frames,).
        log_pitch: natural logarithm of the ratio of the frequencies after and before.
    """
    log_rate = np.asarray(log_rate, np.float64)[:, None]
    heard = log_rate + log_pitch
    coherence = _most_coherence(heard) / _most_coherence(log_rate) * np.exp(-PITCH_COHERENCE * log_pitch)
    window = (np.interp(-log_rate, *WINDOW_CUT) - np.interp(-heard, *WINDOW_CUT)) * (1 - field.alpha_mix)
    grain = field.grain * _slow(heard, GRAIN_SLOWNESS)
    changed = field._replace(coherence=field.coherence * coherence, window=field.window + window, grain=grain).bounded()
    return Field(*(np.ascontiguousarray(values, np.float32) for values in changed))


class Rule:
    """Decides by the rule alone: no network, no noise."""

    context, noise, batch, device = RULE_CONTEXT, 0, 1, "cpu"

    def decide(self, seen: Sequence[Seen]) -> list[Field]:
        """Fields of the frames in the middle of what is seen, arrays (frames, BANDS) float32."""
        return [
            Field(*(values[RULE_CONTEXT:-RULE_CONTEXT] for values in rule(each.features, np.log(each.rates)))) for each in seen
        ]  # fmt: skip


def _slow(log_rate: np.ndarray, whole: float) -> np.ndarray:
    """Slowness as a share of what counts as whole, 0 to 1."""
    return (np.maximum(-log_rate, 0) / whole).clip(0, 1)


def _most_coherence(log_rate: np.ndarray) -> np.ndarray:
    """Coherence where a voice has a period."""
    return np.interp(log_rate, *VOICED_COHERENCE)


def _voice(features: np.ndarray, periodicity: np.ndarray, attack: np.ndarray) -> np.ndarray:
    """Evidence of a voice around each frame, (..., frames): above 0 a voice is likelier than not."""
    loudness, tonality = _mean(features, "loudness", 0, 1), _mean(features, "tonality", 3, 8)
    balance = _mean(features, "log power", 60, 80) - _mean(features, "log power", 5, 40)
    # What a voice is made of counts by its amplitude; what changes counts wherever there is any sound. Values are taken about their usual
    # ones, which keeps rounding errors of the squares small.
    means, spreads = _around(
        [_mean(features, "modulation", 0, 2), _mean(features, "modulation", 2, 4), periodicity - 0.5, tonality - 0.75],
        np.exp(2.5 * loudness) * (1 - attack),
    )
    _, changes = _around([loudness, balance], _sigmoid(20 * (loudness + 0.8)))
    evidence = [*means, *spreads[2:], *changes]
    return sum((weight * value for weight, value in zip(VOICE_WEIGHTS, evidence)), np.full_like(periodicity, VOICE_OFFSET))


def _mean(features: np.ndarray, name: str, start: int, stop: int) -> np.ndarray:
    """Mean of some columns of a kind of feature, (..., frames) float64."""
    return features[..., COLUMNS[name]][..., start:stop].mean(-1, dtype=np.float64)


def _tonality(features: np.ndarray) -> np.ndarray:
    """Tonality at the centres of the field's bands, (..., frames, BANDS)."""
    lower, share = between_bands(np.asarray(BAND_CENTRES_HZ), WIDE_HZ)
    wide = features[..., COLUMNS["tonality"]].astype(np.float64)
    return wide[..., lower] * (1 - share) + wide[..., lower + 1] * share


def _around(values: list[np.ndarray], weight: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weighted mean and standard deviation of each of the values (..., frames) over RULE_CONTEXT frames on either side."""
    weight = weight + 1e-6
    total = _window_sum(weight)
    means = [_window_sum(value * weight) / total for value in values]
    squares = [_window_sum(value * value * weight) / total for value in values]
    return means, [np.sqrt(np.maximum(square - mean * mean, 0) + SMALLEST_VARIANCE) for mean, square in zip(means, squares)]


def _window_sum(x: np.ndarray) -> np.ndarray:
    """Sum over RULE_CONTEXT frames on either side of each, as far as they are there; x is (..., frames)."""
    frames = x.shape[-1]
    sums = np.concatenate([np.zeros((*x.shape[:-1], 1)), np.cumsum(x, -1)], -1)
    places = np.arange(frames)
    return sums[..., np.minimum(places + RULE_CONTEXT + 1, frames)] - sums[..., np.maximum(places - RULE_CONTEXT, 0)]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x.clip(-60, 60)))


def _inside(share: np.ndarray) -> np.ndarray:
    return share.clip(MARGIN, 1 - MARGIN)
