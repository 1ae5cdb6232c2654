"""Fit lines to captions: cut the bundled voice into three lines, give each a slot that is too short or too long, and lay them there.

python examples/fit_lines.py dub.wav
"""

import sys
import tempfile
from pathlib import Path

import soundfile

import tsmgan

VOICE = Path(__file__).with_name("voice.flac")
SLOTS = [(0.5, 1.6), (2.0, 3.4), (4.0, 5.8)]
"""When each line shall be heard, in seconds."""


def main(target: str) -> tsmgan.Dub:
    """Make lines and captions in a temporary folder, and fit the ones to the others."""
    samples, samplerate = soundfile.read(VOICE)
    third = len(samples) // 3
    with tempfile.TemporaryDirectory() as folder:
        for k in range(3):
            soundfile.write(Path(folder, f"{k + 1}.wav"), samples[k * third : (k + 1) * third], samplerate)
        captions = Path(folder, "captions.csv")
        captions.write_text("start,end,text\n" + "".join(f"{begin},{end},line {k}\n" for k, (begin, end) in enumerate(SLOTS, 1)))
        return tsmgan.fit_lines([Path(folder, f"{k}.wav") for k in (1, 2, 3)], captions, target, force=True)


if __name__ == "__main__":
    for line in main(sys.argv[1]).lines:
        print(f"{line.text}: {line.begin:.3f} to {line.end:.3f} s at rate {line.rate:.2f} {line.problem}")
