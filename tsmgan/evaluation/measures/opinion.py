"""Predicted opinion: what listeners would say of a voice's quality, by networks that were trained on such scores."""

from __future__ import annotations

import sys
from functools import cache
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np

from tsmgan.evaluation.measures.measure import PairMeasure
from tsmgan.evaluation.signals import SPEECH_RATE, at_rate

SHORTEST_SECONDS = 0.5
"""Of what the predictors are asked about."""


def _at_level(y: np.ndarray, samplerate: int, title: str) -> np.ndarray:
    """y (samples,) at 16 kHz with an RMS of 0.05 (-26 dB), as predictors are used to it, and within -1 to 1.

    Raises:
        ValueError: it is silent, or shorter than half a second.
    """
    if len(y) < SHORTEST_SECONDS * samplerate or not np.any(y):
        raise ValueError(f"{title}: the output is silent or shorter than {SHORTEST_SECONDS:g} s.")
    y = at_rate(y, samplerate, SPEECH_RATE).astype(np.float32)
    return np.clip(0.05 / (np.sqrt(np.mean(np.square(y, dtype=np.float64))) + 1e-12) * y, -1, 1).astype(np.float32)


@cache
def _distillmos() -> Any:
    try:
        import distillmos
    except OSError:
        # It imports torchaudio, whose compiled part may not fit this PyTorch, for its own command line alone. A module without contents
        # is enough for us, and it is gone again before anybody else asks for torchaudio.
        stand_in = ModuleType("torchaudio")
        stand_in.__spec__ = ModuleSpec("torchaudio", None)
        sys.modules["torchaudio"] = stand_in
        try:
            import distillmos
        finally:
            del sys.modules["torchaudio"]
    return distillmos.ConvTransformerSQAModel().eval()


def distill_mos(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Mean opinion score, 1 to 5, that XLS-R-SQA would predict, by a small network distilled from it. The reference is not used.

    Source: Stahl and Gamper, "Distillation and Pruning for Scalable Self-Supervised Representation-Based Speech Quality Assessment"
    (2025), package `distillmos`, which holds the weights.

    Raises:
        ImportError: `distillmos` is not installed.
        ValueError: the output is silent or shorter than half a second.
    """
    import torch

    y = torch.from_numpy(_at_level(output, samplerate, "DistillMOS"))
    with torch.no_grad():
        return float(_distillmos()(y[None])[0])


def dns_mos(reference: np.ndarray, output: np.ndarray, samplerate: int) -> float:
    """Overall mean opinion score, 1 to 5, that DNSMOS predicts (P.835, OVRL). The reference is not used.

    Source: Reddy, Gopal and Cutler, "DNSMOS P.835: A Non-Intrusive Perceptual Objective Speech Quality Metric to Evaluate Noise
    Suppressors" (2022), package `speechmos`, which holds the weights.

    Raises:
        ImportError: `speechmos` is not installed.
        ValueError: the output is silent or shorter than half a second.
    """
    y = _at_level(output, samplerate, "DNSMOS OVRL")
    from speechmos import dnsmos

    return float(dnsmos.run(y, sr=SPEECH_RATE)["ovrl_mos"])


DISTILL_MOS = PairMeasure(
    name="distill_mos",
    title="DistillMOS",
    digits=2,
    ideal=None,
    explanation="What listeners would say of the voice, from 1 (bad) to 5 (excellent), predicted by a network. It needs no reference. "
    "It was not trained on stretched speech, so compare methods, and do not read it as a score.",
    function=distill_mos,
    kinds=("speech",),
    package="distillmos",
    extra="opinion",
    on_request=True,
    aligned=False,
)
DNS_MOS = PairMeasure(
    name="dns_mos",
    title="DNSMOS OVRL",
    digits=2,
    ideal=None,
    explanation="Like DistillMOS, by a network that was trained on noisy and cleaned speech.",
    function=dns_mos,
    kinds=("speech",),
    package="speechmos",
    extra="opinion",
    on_request=True,
    aligned=False,
)
