"""What each part of the game is worth, in bits: short runs that differ from the full recipe in one setting, measured by fresh critics.

    python tests/benchmarks/ablation.py RECORDINGS VOICE... -o FOLDER

RECORDINGS is what the runs learn from, the VOICEs (folders or files, as of `tsmgan evaluate --realism`) what they are measured on. Every
run has the same pairs, the same seed and the same steps, and is measured in the same games. So the differences from the full recipe are
taken game by game, and their standard errors are smaller than those of the bits. FOLDER keeps runs and results; the same command goes on
where it was interrupted.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from tsmgan.evaluation.methods import Method, Ourselves
from tsmgan.evaluation.realism import default_cache, measure_realism
from tsmgan.training.recipe import load_recipe
from tsmgan.training.trainer import Request, Trainer

SMALL = (
    "generator.width=48", "generator.blocks=3", "train.batch=8", "train.frames=60", "adversary.warm_up=150", "train.warm_up=50",
    "train.learning_rate=1e-3", "train.ema=0.98", "train.validate_every=250",
)  # fmt: skip
"""What makes a run short, the same for all."""
FULL = "full recipe (Jensen-Shannon, non-saturating)"
RULE = "no training: the rule"
ROWS: dict[str, tuple[str, ...]] = {
    FULL: (),
    RULE: (),
    "no critics": ("losses.adversarial_unpaired=0",),
    "saturating": ("adversary.generator_loss=saturating",),
    "GAN": ("adversary.divergence=gan",),
    "KL": ("adversary.divergence=kl",),
    "reverse KL": ("adversary.divergence=reverse-kl",),
    "total variation": ("adversary.divergence=tv",),
    "Pearson": ("adversary.divergence=pearson",),
    "squared Hellinger": ("adversary.divergence=squared-hellinger",),
    "coherence as in the rule": ("generator.largest_coherence_change=0",),
    "window as in the rule": ("generator.largest_window_change=0",),
    "grains as in the rule": ("generator.largest_grain_change=0",),
    "noise departs as well": ("generator.largest_noise_change=2",),
    "gain departs as well": ("generator.largest_log_gain=0.35",),
    "no guard of pulses": ("losses.pulses=0",),
    "critics of half a second": (
        "critics.moment_channels=0", "critics.spectrogram_channels=8", "critics.period_channels=8", "critics.envelope_channels=32",
    ),
}  # fmt: skip


def train(name: str, given: argparse.Namespace) -> Path | str:
    """Run one row of the table; returns its model, or the rule's name."""
    if name == RULE:
        return "handmade"
    out = given.output / name.replace(" ", "-").replace(",", "")
    if not (out / "model" / "config.json").is_file():
        recipe = load_recipe("cpu", [*SMALL, *given.set, *ROWS[name]])
        there = (out / "checkpoint.safetensors").is_file()
        request = Request(given.recordings, out, given.cache or given.output / "pairs", resume=there, steps=given.steps, cpu=True)
        Trainer(recipe, request).run()
    return out / "model"


def measure(model: Path | str, given: argparse.Namespace) -> list[list[float]]:
    """Bits of each game at each rate: a list of games for each rate."""
    method = Method("model", Ourselves((("model", str(model)),)))
    found = list(measure_realism([method], given.voices, given.rates, seeds=given.seeds, cache=default_cache()))[1:]
    for cell in found:
        if cell.problems:
            raise SystemExit(f"{model} at rate {cell.rate:g}: {cell.problems[0]}")
    return [[bits for bits, _ in cell.trials] for cell in found]


def cell(games: np.ndarray, full: np.ndarray) -> str:
    """Bits with their standard error, and how much more than the full recipe's they are."""
    root, more = np.sqrt(len(games)), games - full
    return f"{games.mean():.3f} ± {games.std(ddof=1) / root:.3f} | {more.mean():+.3f} ± {more.std(ddof=1) / root:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recordings", type=Path)
    parser.add_argument("voices", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="folder of the pairs")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.5])
    parser.add_argument("--set", action="append", default=[], help="a setting of all runs, as of `tsmgan train`")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS, metavar="ROW", help="only these, by name")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    file = given.output / "bits.json"
    bits = json.loads(file.read_text()) if file.is_file() else {}
    for name in dict.fromkeys([FULL, *given.rows]):
        if name not in bits:
            bits[name] = measure(train(name, given), given)
            file.write_text(json.dumps(bits, indent=1))
    print("| | " + " | ".join(f"bits at {rate:g} | more than the full recipe" for rate in given.rates) + " |")
    print("|---" * (1 + 2 * len(given.rates)) + "|")
    for name, games in bits.items():
        print(f"| {name} | " + " | ".join(cell(np.array(one), np.array(full)) for one, full in zip(games, bits[FULL])) + " |")


if __name__ == "__main__":
    main()
