"""From waveform to waveform with ONNX Runtime and the vocoder stage: python examples/onnx_stretch.py IN OUT MODEL.onnx RATE."""

import sys

import numpy as np
import onnxruntime
import soundfile

from tsmgan.core.analysis import Analyser
from tsmgan.core.features import frame_features
from tsmgan.core.field import Field
from tsmgan.core.geometry import geometry
from tsmgan.core.overlap import OverlapAdd
from tsmgan.core.timemap import TimeMap
from tsmgan.core.vocoder import Vocoder


def main(source: str, target: str, model: str, rate: float) -> None:
    """Stretch a whole recording in one run of the network. tsmgan.Stretcher does the same in little memory, piece by piece."""
    y, samplerate = soundfile.read(source, dtype="float32", always_2d=True)
    g, length = geometry(samplerate), round(len(y) / rate)
    count = g.frames_for(length)
    frames = Analyser(g, y.shape[1])(y.T, 0, *TimeMap.from_rate(rate).instants(0, count, g.hop))

    session = onnxruntime.InferenceSession(model)
    channels = next(value.shape[-1] for value in session.get_inputs() if value.name == "noise")
    inputs = {
        "features": frame_features(frames, g)[None],
        "log_rate": np.log(frames.rates)[None].astype(np.float32),
        "noise": np.random.default_rng(0).standard_normal((1, count, channels), dtype=np.float32),
    }
    field = Field(*(values[0] for values in session.run(list(Field._fields), inputs)))

    overlap = OverlapAdd(g, y.shape[1])
    out = np.concatenate([overlap(Vocoder(g)(frames, field), frames), overlap.tail(6)], axis=1)[:, g.window_length // 2 :]
    soundfile.write(target, out[:, :length].T, samplerate)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
