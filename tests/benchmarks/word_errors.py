"""Word errors of a recogniser on fast speech: all of it faster, against pauses that give way first.

    python tests/benchmarks/word_errors.py RECORDING... --model FOLDER [--reference FOLDER]

What was said is what the reference model understands at the recording's own rate. `--model` and `--reference` are folders of Whisper models
for faster-whisper; the default reference is the same model. Models are for this measurement only. Nothing else uses them.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

import numpy as np
import soundfile
import soxr

import tsmgan

RATES = (1.5, 2.0, 2.5, 3.0)
WHISPER_RATE = 16000


def words(text: str) -> list[str]:
    """Words in lower case, without punctuation."""
    return re.findall(r"[a-z0-9']+", text.lower())


def word_errors(reference: list[str], heard: list[str]) -> int:
    """Levenshtein's distance: words that were exchanged, left out or added."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


def recogniser(folder: str) -> Callable[[np.ndarray, int], list[str]]:
    """A function from samples and their rate to the words that a model understands."""
    from faster_whisper import WhisperModel

    model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=1)

    def recognise(y: np.ndarray, samplerate: int) -> list[str]:
        y = soxr.resample(y, samplerate, WHISPER_RATE).astype(np.float32)
        segments, _ = model.transcribe(y, language="en", beam_size=5, condition_on_previous_text=False)
        return words(" ".join(segment.text for segment in segments))

    return recognise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recordings", nargs="+")
    parser.add_argument("--model", required=True)
    parser.add_argument("--reference")
    given = parser.parse_args()
    recognise = recogniser(given.model)
    refer = recognise if given.reference is None else recogniser(given.reference)
    errors = {(rate, how): 0 for rate in (1.0, *RATES) for how in ("uniform", "first")}
    said = 0
    for path in given.recordings:
        y, samplerate = soundfile.read(path, dtype="float32", always_2d=True)
        y = y.mean(axis=1)
        reference = refer(y, samplerate)
        said += len(reference)
        errors[1.0, "uniform"] += word_errors(reference, recognise(y, samplerate))
        for rate in RATES:
            for how in ("uniform", "first"):
                out = tsmgan.stretch(y, samplerate, rate=rate, pauses="first" if how == "first" else None)
                errors[rate, how] += word_errors(reference, recognise(out, samplerate))
        print(path, said, flush=True)
        for rate in (1.0, *RATES):
            print(f"  {rate:g}: " + ", ".join(f"{how} {100 * errors[rate, how] / said:.1f} %" for how in ("uniform", "first")), flush=True)


if __name__ == "__main__":
    main()
