"""Do two checkouts of tsmgan give the same outputs? `python tests/compare_checkouts.py BEFORE AFTER`, each the folder of a checkout.

A voice, music and noise, in mono and in stereo, are stretched at five rates by both: as single files, through a pipe, and as a batch. All
outputs are compared sample for sample, or, with `--tolerance -90`, to that many dB of full scale. Both run under the Python that runs this.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

RATES = ("0.5", "0.8", "1", "1.3", "2")
SECONDS = 4.0


def make_sources(folder: Path, examples: Path) -> list[Path]:
    """Six recordings: the examples and white noise, in mono and in stereo, in three subtypes."""
    band, samplerate = soundfile.read(examples / "band.flac", always_2d=True)
    voice, voice_samplerate = soundfile.read(examples / "voice.flac", always_2d=True)
    noise = 0.1 * np.random.default_rng(0).standard_normal((round(SECONDS * 22050), 2))
    made = []
    for name, y, rate, subtype in (
        ("band", band, samplerate, "PCM_16"),
        ("voice", np.repeat(voice[:, :1], 2, axis=1) * [1.0, 0.3], voice_samplerate, "PCM_24"),
        ("noise", noise, 22050, "FLOAT"),
    ):
        for channels in (1, 2):
            made.append(folder / f"{name}-{channels}.wav")
            soundfile.write(made[-1], y[: round(SECONDS * rate), :channels], rate, subtype=subtype)
    return made


def render(checkout: Path, sources: list[Path], folder: Path) -> None:
    """All outputs of one checkout, below folder."""
    command = [sys.executable, "-m", "tsmgan", "stretch"]
    environment = os.environ | {"PYTHONPATH": str(checkout), "PYTHONSAFEPATH": "1"}

    def run(*arguments: str, **options) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*command, *arguments, "-q"], env=environment, cwd=folder, check=True, **options)

    run(*map(str, sources), "--rate", ", ".join(RATES), "-o", "batch")
    for source in sources:
        for rate in RATES:
            run(str(source), "--rate", rate, "-o", f"{source.stem}@{rate}.wav")
            with open(source, "rb") as recording, open(folder / f"{source.stem}@{rate}.pipe", "wb") as out:
                run("-", "--rate", rate, "-o", "-", stdin=recording, stdout=out)


def difference(before: Path, after: Path) -> float:
    """The largest difference of two recordings' samples in dB of full scale; -inf for equal ones, inf where they cannot be compared.

    Files of equal samples are equal but for the time of day that libsndfile writes into WAV files of floating-point samples.
    """
    if before.read_bytes() == after.read_bytes():
        return -np.inf
    a, b = (soundfile.read(path, always_2d=True)[0] for path in (before, after))
    if a.shape != b.shape:
        return np.inf
    largest = np.abs(a - b).max(initial=0.0)
    return 20 * np.log10(largest) if largest else -np.inf


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--tolerance", type=float, default=-np.inf, metavar="DBFS", help="largest difference; without it, none")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tsmgan-") as name:
        top = Path(name)
        sources = make_sources(top, arguments.before.resolve() / "examples")
        folders = {}
        for checkout in ("before", "after"):
            folders[checkout] = top / checkout
            folders[checkout].mkdir()
            render(getattr(arguments, checkout).resolve(), sources, folders[checkout])
        names = sorted(p.relative_to(folders["before"]) for p in folders["before"].rglob("*") if p.suffix in (".wav", ".pipe"))
        found = {name: difference(folders["before"] / name, folders["after"] / name) for name in names}
    for path, size in found.items():
        if size > arguments.tolerance:
            print(f"{path}: differs by {size:.1f} dBFS")
    worst = max(found.values())
    print(f"{len(found)} outputs compared; largest difference {'none' if worst == -np.inf else f'{worst:.1f} dBFS'}.")
    return int(worst > arguments.tolerance or len(found) != 3 * len(sources) * len(RATES))


if __name__ == "__main__":
    sys.exit(main())
