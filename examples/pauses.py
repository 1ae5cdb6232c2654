"""Pauses give way before words do: a talk of the bundled voice at twice its speed, and where each of its pauses has gone.

python examples/pauses.py talk.wav quick.wav
"""

import sys
from pathlib import Path

import numpy as np
import soundfile

import tsmgan

VOICE = Path(__file__).with_name("voice.flac")
PAUSES = (0.4, 0.9, 0.6)
"""Seconds of the silence that follows each repetition of the voice."""
RATE = 2.0


def talk() -> tuple[np.ndarray, int]:
    """The voice again and again, with pauses and a little noise: samples, and their rate."""
    voice, samplerate = soundfile.read(VOICE, dtype="float32")
    y = np.concatenate([part for seconds in PAUSES for part in (voice, np.zeros(round(seconds * samplerate), np.float32))])
    return y + 0.0003 * np.random.default_rng(0).standard_normal(len(y)).astype(np.float32), samplerate


def main(source: str, target: str) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Write the talk and its quick version; return begin and end of each pause in both, in seconds."""
    y, samplerate = talk()
    quick, time_map = tsmgan.stretch(y, samplerate, RATE, pauses="first", return_map=True)
    soundfile.write(source, y, samplerate)
    soundfile.write(target, quick, samplerate)
    found = tsmgan.pauses(y, samplerate)
    return [(tuple(before), tuple(after)) for before, after in zip(found.tolist(), time_map.output_at(found).tolist())]


if __name__ == "__main__":
    for (begin, end), (begins, ends) in main(sys.argv[1], sys.argv[2]):
        print(f"{begin:.2f} to {end:.2f} s became {begins:.2f} to {ends:.2f} s")
