"""Field: the contract between what decides, the rule or the generator, and the vocoder stage that carries it out; and what is seen."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tsmgan.core.geometry import LONGEST_WINDOW, SHORTEST_WINDOW, Geometry, between_bands

BAND_CENTRES_HZ = tuple(float(c) for c in 700 * (10 ** np.linspace(np.log10(1 + 80 / 700), np.log10(1 + 11500 / 700), 20) - 1))
"""Centres of the bands that the generator controls, evenly spaced in mel (O'Shaughnessy's formula)."""
BANDS = len(BAND_CENTRES_HZ)
LARGEST_LOG_GAIN = 0.35
"""The gain of a band in amplitude stays within this natural logarithm either way (3 dB), whatever a model decides."""
LARGEST_TEXTURE = 0.75
"""The texture stays within this either way. At -1 and below, the weak bins of a frame would become its strong ones."""
LEAST_NOISE = 1e-3
"""Of a share of noise or grains, this much is none. On music the rule leaves no more, and frames without noise take half the work; a
rounding error must not keep a recording at rate 1 from coming out bit for bit."""
SOFT_NOISE = 1e-3
"""What a share nu of them has above LEAST_NOISE counts as nu^2 / (nu + SOFT_NOISE): its root, the level of the noise, then begins along a
straight line."""


class Seen(NamedTuple):
    """What a decision about a run may depend on: RUN frames and the context on either side; silence beyond the recording's ends."""

    features: np.ndarray
    """(context + RUN + context, FEATURES), float32."""
    rates: np.ndarray
    """Local rates, (context + RUN + context,), float64; 1 beyond the recording's ends."""
    noise: np.ndarray
    """z, (context + RUN + context, channels of noise), float32, standard normal."""


class Field(NamedTuple):
    """What the generator decides for each frame and band; all (frames, BANDS), float32.

    Arrays here, tensors with a batch axis in training.
    """

    coherence: Any
    """lambda in [0, 1]."""
    alpha_mix: Any
    """mu in [0, 1]. 0: alpha = 1, attacks are stretched (voices); 1: alpha = 1 / rate, attacks keep their shape."""
    log_gain: Any
    """Natural logarithm of the gain in amplitude."""
    texture: Any
    """gamma: amplitudes are raised to the power 1 + gamma, relative to their neighbourhood's. Noise that is slowed down repeats itself
    from frame to frame and comes out uneven, noise that is sped up comes out too even; gamma < 0 and > 0 put that right."""
    noise_share: Any
    """nu in [0, 1]: the share of each bin's power that is taken from fresh noise instead of from the recording. Bins that begin with an
    attack take none."""
    window: Any
    """Length of the synthesis window as a share of the analysis window's, SHORTEST_WINDOW to LONGEST_WINDOW. A frame has one window, so its
    bands' mean counts."""
    grain: Any
    """b in [0, 1]: the share of each bin's amplitude that is taken from the frame's grain, which goes at the recording's own pace (see
    `tsmgan.core.grains`). Bins that begin with an attack take none."""

    def bounded(self) -> Field:
        """The field with every value in the range that the vocoder stage allows; arrays only."""
        return Field(
            np.clip(self.coherence, 0, 1),
            np.clip(self.alpha_mix, 0, 1),
            np.clip(self.log_gain, -LARGEST_LOG_GAIN, LARGEST_LOG_GAIN),
            np.clip(self.texture, -LARGEST_TEXTURE, LARGEST_TEXTURE),
            np.clip(self.noise_share, 0, 1),
            np.clip(self.window, SHORTEST_WINDOW, LONGEST_WINDOW),
            np.clip(self.grain, 0, 1),
        )


class BandSpread(NamedTuple):
    """Linear interpolation from bands to bins: bin f takes (1 - weight) band[lower] + weight band[lower + 1]."""

    lower: np.ndarray
    """(bins,), int32."""
    weight: np.ndarray
    """(bins,), float32."""
    starts: np.ndarray
    """The first bin of each lower band, (BANDS,), int64; the last one's is behind the last bin."""


def band_spread(geometry: Geometry) -> BandSpread:
    """How the values of the bands spread over the bins at a sample rate; the outermost bands hold to either end."""
    lower, weight = between_bands(geometry.frequencies(), np.asarray(BAND_CENTRES_HZ))
    return BandSpread(lower, weight, np.searchsorted(lower, np.arange(BANDS)))
