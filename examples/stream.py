"""Stretch a recording block by block, as a player or a server would: python examples/stream.py IN OUT RATE."""

import sys

import soundfile

from tsmgan import Stretcher


def main(source: str, target: str, rate: float) -> None:
    """Read source in blocks of 50 ms, and write what is ready after each."""
    with soundfile.SoundFile(source) as recording:
        stretcher = Stretcher(recording.samplerate, recording.channels, rate=rate)
        with soundfile.SoundFile(target, "w", recording.samplerate, recording.channels, subtype=recording.subtype) as out:
            for block in recording.blocks(blocksize=recording.samplerate // 20, dtype="float32", always_2d=True):
                out.write(stretcher.process(block.T).T)
            out.write(stretcher.flush().T)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
