"""What predictors of opinion say of stretched recordings: `python tests/benchmarks/opinions.py RECORDING... --rates 0.5`.

For each rate and method: the means of DistillMOS and DNSMOS over the recordings, and by how much each method is above the first one,
recording by recording, with standard errors. At most the first 6 s of each recording are used, all channels mixed. `natural` is the
recording itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tsmgan.evaluation.measures.opinion import distill_mos, dns_mos
from tsmgan.evaluation.methods import find_method
from tsmgan.evaluation.pairs import read_recording

SECONDS = 6
NATURAL = "natural"


def opinions(stretch: Callable[[np.ndarray, int, float], np.ndarray], recordings: list[tuple[np.ndarray, int]], rate: float) -> np.ndarray:
    """DistillMOS and DNSMOS of each recording, (recordings, 2)."""
    found = []
    for y, samplerate in recordings:
        out = np.atleast_2d(stretch(y, samplerate, rate))[0]
        found.append((distill_mos(out, out, samplerate), dns_mos(out, out, samplerate)))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recordings", nargs="+", type=Path)
    parser.add_argument("--rates", default="0.5")
    parser.add_argument("--methods", default=f"tsmgan,tsmgan:model=handmade,sonic,rubberband-r3,{NATURAL}")
    chosen = parser.parse_args()
    recordings = []
    for path in chosen.recordings:
        y, samplerate = read_recording(path)
        recordings.append((np.ascontiguousarray(y.mean(0, keepdims=True)[:, : SECONDS * samplerate], np.float32), samplerate))
    for rate in map(float, chosen.rates.split(",")):
        first: np.ndarray | None = None
        for name in chosen.methods.split(","):
            found = opinions((lambda y, *_: y) if name == NATURAL else find_method(name).stretch, recordings, rate)
            first = found if first is None else first
            above, root = found - first, len(found) ** 0.5
            columns = (
                f"{what} {found[:, k].mean():.2f} ({above[:, k].mean():+.3f} +- {above[:, k].std(ddof=1) / root:.3f})"
                for k, what in enumerate(("DistillMOS", "DNSMOS"))
            )
            print(f"{rate:g}  {name:24}", "  ".join(columns), flush=True)


if __name__ == "__main__":
    main()
