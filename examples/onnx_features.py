"""Run a generator with ONNX Runtime alone and show what it decides: python examples/onnx_features.py RECORDING MODEL.onnx RATE.

`tsmgan export-onnx -o MODEL.onnx` writes the model. Its axes `batch` and `frames` are free:

    features (batch, frames, 130)   what `tsmgan.core.features` says of each frame, in tsmgan.core.features.COLUMNS
    log_rate (batch, frames)        natural logarithm of the speed there
    noise    (batch, frames, 4)     z, standard normal
    rule     (batch, frames, 120)   the field of tsmgan.core.rule, as tsmgan.core.generator.rule_inputs gives it
    coherence, alpha_mix, log_gain, texture, noise_share, window (batch, frames, 20): departures from it,
        see tsmgan.core.generator.depart
"""

import sys

import numpy as np
import onnxruntime
import soundfile

from tsmgan.core.analysis import Analyser
from tsmgan.core.features import frame_features
from tsmgan.core.field import BAND_CENTRES_HZ, Field
from tsmgan.core.generator import depart, rule_inputs
from tsmgan.core.geometry import geometry
from tsmgan.core.rule import rule
from tsmgan.core.timemap import TimeMap


def main(source: str, model: str, rate: float) -> dict[str, np.ndarray]:
    """Print the mean coherence of each band; returns the field, arrays (frames, 20) by name."""
    y, samplerate = soundfile.read(source, dtype="float32", always_2d=True)
    g = geometry(samplerate)
    positions, rates = TimeMap.from_rate(rate).instants(0, g.frames_for(round(len(y) / rate)), g.hop)
    features = frame_features(Analyser(g, y.shape[1])(y.T, 0, positions, rates), g)

    log_rate = np.log(rates)[None].astype(np.float32)
    by_hand = rule(features[None], log_rate)

    session = onnxruntime.InferenceSession(model)
    channels = next(value.shape[-1] for value in session.get_inputs() if value.name == "noise")
    inputs = {
        "features": features[None],
        "log_rate": log_rate,
        "noise": np.random.default_rng(0).standard_normal((1, len(positions), channels), dtype=np.float32),
        "rule": rule_inputs(by_hand),
    }
    names = [value.name for value in session.get_outputs()]
    departures = Field(**dict(zip(names, session.run(names, inputs))))
    field = {name: values[0] for name, values in depart(by_hand, departures, largest_coherence=1.0)._asdict().items()}
    for hz, coherence in zip(BAND_CENTRES_HZ, field["coherence"].mean(axis=0)):
        print(f"{hz:8.0f} Hz  {coherence:.2f}")
    return field


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
