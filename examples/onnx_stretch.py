"""From waveform to waveform with ONNX Runtime and the vocoder stage: python examples/onnx_stretch.py IN OUT MODEL.onnx RATE."""

import sys

import numpy as np
import onnxruntime
import soundfile

from tsmgan.core.analysis import Analyser
from tsmgan.core.features import frame_features
from tsmgan.core.field import Field
from tsmgan.core.generator import depart, rule_inputs
from tsmgan.core.geometry import geometry
from tsmgan.core.overlap import OverlapAdd
from tsmgan.core.rule import rule
from tsmgan.core.timemap import TimeMap
from tsmgan.core.vocoder import Vocoder


def main(source: str, target: str, model: str, rate: float) -> None:
    """Stretch a whole recording in one run of the network. tsmgan.Stretcher does the same in little memory, piece by piece."""
    y, samplerate = soundfile.read(source, dtype="float32", always_2d=True)
    g, length = geometry(samplerate), round(len(y) / rate)
    frames = Analyser(g, y.shape[1])(y.T, 0, *TimeMap.from_rate(rate).instants(0, g.frames_for(length), g.hop))

    features, log_rate = frame_features(frames, g)[None], np.log(frames.rates)[None].astype(np.float32)
    by_hand = rule(features, log_rate)
    session = onnxruntime.InferenceSession(model)
    channels = next(value.shape[-1] for value in session.get_inputs() if value.name == "noise")
    noise = np.random.default_rng(0).standard_normal((*log_rate.shape, channels), dtype=np.float32)
    inputs = {"features": features, "log_rate": log_rate, "noise": noise, "rule": rule_inputs(by_hand)}
    field = depart(by_hand, Field(*session.run(list(Field._fields), inputs)), largest_coherence=1.0)
    overlap, turned = OverlapAdd(g, y.shape[1]), Vocoder(g)(frames, Field(*(values[0] for values in field)))
    out = np.concatenate([overlap(turned, frames), overlap.tail(6)], axis=1)[:, g.window_length // 2 :]
    soundfile.write(target, out[:, :length].T, samplerate)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
