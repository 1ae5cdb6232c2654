"""Bits of realism: what fresh critics reach over several seeds, each of which draws the talkers, the recordings and the network anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tsmgan.errors import TsmganError, UsageError
from tsmgan.evaluation.methods import Method, explain
from tsmgan.evaluation.pairs import KINDS
from tsmgan.evaluation.realism.moments import Moments
from tsmgan.evaluation.realism.sounds import (
    Source,
    choose,
    exact_pair,
    find_sources,
    natural_sound,
    scores,
    stretched_exact,
    stretched_sound,
)
from tsmgan.evaluation.workers import Call, call_here, run_tasks

SEEDS = 3
CONTROL = "natural"
"""The name of the control: natural recordings against other natural ones. What it reads is the measure's own error."""
SCALES = {"40ms": 0.04, "0.3s": 0.3}
"""Seconds that a critic hears at a time. In 40 ms it cannot hear the tempo. In 0.3 s it could, so there what is stretched is compared with
what is exact at the same tempo: a voice by WORLD, or a score."""
SCORES = 72
"""Pieces of music, of 5 s each, that stand for recordings of music at the long scale."""
TEST_SHARE, STOP_SHARE = 0.25, 0.15
"""Of the recordings: those of the talkers that critics are tested on, and of those that say when to stop."""


@dataclass
class Realism:
    """How far a method's sound is from nature at one rate."""

    method: str
    rate: float
    trials: list[tuple[float, float]] = field(default_factory=list)
    """Of each seed the raw bound in bits and the accuracy."""
    problems: list[str] = field(default_factory=list)

    @property
    def bits(self) -> float:
        """Mean bound, 0 (critics cannot tell) to 1 (they always can). A mean below 0 says no more than 0."""
        return max(0.0, self.raw_bits)

    @property
    def raw_bits(self) -> float:
        """The mean of the seeds, which may be below 0."""
        return float(np.mean([bits for bits, _ in self.trials])) if self.trials else float("nan")

    @property
    def standard_error(self) -> float:
        """Of the mean, by the spread of the seeds."""
        raw = [bits for bits, _ in self.trials]
        return float(np.std(raw, ddof=1) / np.sqrt(len(raw))) if len(raw) > 1 else float("nan")

    @property
    def accuracy(self) -> float:
        """Share of the moments that critics take for what they are; 0.5 is guessing."""
        return float(np.mean([accuracy for _, accuracy in self.trials])) if self.trials else float("nan")


@dataclass(frozen=True)
class Split:
    """The recordings of one game by what they are for: (learning, stopping, testing), each (natural, stretched)."""

    parts: tuple[tuple[tuple[Source, ...], tuple[Source, ...]], ...]

    @property
    def stretched(self) -> list[Source]:
        """Those that have to be stretched."""
        return [source for _, stretched in self.parts for source in stretched]


def split(sources: Sequence[Source], seed: int) -> Split:
    """Draw talkers for each purpose, and of each talker's recordings one half to be stretched while the other stays natural."""
    generator = np.random.default_rng([seed, 0])
    talkers = sorted({source.talker for source in sources})
    parts: list[list[Source]] = [[], [], []]
    order = [talkers[k] for k in generator.permutation(len(talkers))]
    members = {talker: [source for source in sources if source.talker == talker] for talker in talkers}
    for k, talker in enumerate(order):
        if not parts[2] or (len(parts[2]) < TEST_SHARE * len(sources) and k < len(order) - 2):
            parts[2] += members[talker]
        elif not parts[1] or (len(parts[1]) < STOP_SHARE * len(sources) and k < len(order) - 1):
            parts[1] += members[talker]
        else:
            parts[0] += members[talker]
    return Split(tuple(_halves(part, generator) for part in parts))


def _halves(part: Sequence[Source], generator: np.random.Generator) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    """Natural and stretched recordings: half of each talker's, and where a talker has an odd one, in turn."""
    halves: tuple[list[Source], list[Source]] = ([], [])
    for talker in sorted({source.talker for source in part}):
        members = [source for source in part if source.talker == talker]
        for k in generator.permutation(len(members)):
            halves[len(halves[0]) > len(halves[1])].append(members[k])
    return tuple(halves[0]), tuple(halves[1])


def _trial(parts: Sequence[tuple[list[np.ndarray], list[np.ndarray]]], seconds: float, seed: int, steps: int | None) -> tuple[float, float]:
    """One game on sounds: (bits, accuracy)."""
    from tsmgan.evaluation.realism.critic import STEPS, Sides, play

    learning, stopping, testing = [Sides(*(Moments(sounds, seconds) for sounds in part)) for part in parts]
    if not all(len(side) for part in (learning, stopping, testing) for side in part):
        raise TsmganError("Too few recordings have a loud moment; give more of them, or longer ones.")
    verdict = play(learning, stopping, testing, seed, steps or STEPS)
    return verdict.bits, verdict.accuracy


@dataclass(frozen=True)
class Plan:
    """What all cells of a run share."""

    sources: Sequence[Source]
    scale: str = "40ms"
    seeds: int = SEEDS
    steps: int | None = None
    cache: Path | None = None

    def natural(self, source: Source, rate: float) -> np.ndarray:
        """A recording; at the long scale, what is exact at the rate."""
        return natural_sound(source.path) if self.scale == "40ms" else exact_pair(source, rate, self.cache)[1]

    def stretched(self, source: Source, method: Method, rate: float) -> np.ndarray:
        """What a method makes of a recording; at the long scale, of the exact sound."""
        if self.scale == "40ms":
            return stretched_sound(source.path, method, rate, self.cache)
        return stretched_exact(source, method, rate, self.cache)


def _measure(method: Method | None, rate: float, plan: Plan, call: Call) -> Realism:
    """One method at one rate; None is the control. A method that fails is a problem; nothing is raised for it."""
    found = Realism(method.name if method else CONTROL, rate)
    natural: dict[Source, np.ndarray] = {}
    stretched: dict[Source, np.ndarray] = {}
    try:
        for source in plan.sources:
            natural[source] = call(plan.natural, source, rate)
        for seed in range(plan.seeds):
            chosen = split(plan.sources, seed)
            if method is not None:
                for source in chosen.stretched:
                    if source not in stretched:
                        stretched[source] = call(plan.stretched, source, method, rate, time_limit=method.time_limit)
            there = stretched if method else natural
            parts = [([natural[s] for s in kept], [there[s] for s in changed]) for kept, changed in chosen.parts]
            found.trials.append(call(_trial, parts, SCALES[plan.scale], seed, plan.steps))
    except Exception as error:  # a method may fail in any way; the run goes on
        found.problems.append(explain(error, found.method))
    return found


def measure_realism(
    methods: Sequence[Method],
    places: Sequence[str | Path],
    rates: Sequence[float],
    *,
    scale: str = "40ms",
    kind: str = "speech",
    seeds: int = SEEDS,
    steps: int | None = None,
    jobs: int = 1,
    cache: Path | None = None,
) -> Iterator[Realism]:
    """The control, and then each method at each rate.

    Args:
        methods: the stretchers.
        places: folders of recordings, or recordings; see `find_sources` for whose they are taken to be. Music at the scale of 0.3 s needs
            none, since it is made from scores.
        rates: speeds.
        scale: 40ms or 0.3s (`SCALES`).
        kind: speech or music, which matters at the scale of 0.3 s alone.
        seeds: how many games each cell is the mean of.
        steps: of a game; fewer than the usual 350 are quicker and make the bound looser.
        jobs: processes.
        cache: folder in which stretched sounds are kept.

    Raises:
        AudioError: a folder or recording cannot be read.
        UsageError: there are fewer than three talkers, or no such scale or kind.
    """
    if scale not in SCALES or kind not in KINDS:
        raise UsageError(f"Scales are {', '.join(SCALES)}, and kinds {', '.join(KINDS)}; {scale} of {kind} is none.")
    sources = scores(SCORES) if scale != "40ms" and kind == "music" else choose(find_sources(places))
    plan = Plan(sources, scale, seeds, steps, cache)
    tasks: list[tuple[Method | None, float]] = [(None, 1.0), *((method, rate) for rate in rates for method in methods)]
    yield from run_tasks(lambda task, call: _measure(*task, plan, call), tasks, jobs=jobs)


def realism_of_function(
    stretch: Callable[[np.ndarray, int, float], np.ndarray],
    places: Sequence[str | Path],
    rate: float,
    *,
    scale: str = "40ms",
    seeds: int = SEEDS,
    steps: int | None = None,
) -> Realism:
    """`measure_realism` for any function (y (channels, samples), samplerate, rate) -> (channels, samples), in this process.

    Raises:
        TsmganError: the function fails, or recordings cannot be used.
    """
    found = _measure(Method("function", stretch), rate, Plan(choose(find_sources(places)), scale, seeds, steps), call_here)
    if found.problems:
        raise TsmganError(found.problems[0])
    return found


def realism_of_folders(
    natural: Sequence[str | Path], stretched: str | Path, rate: float, *, seeds: int = SEEDS, steps: int | None = None
) -> Realism:
    """`measure_realism` for recordings that somebody else stretched.

    Args:
        natural: folders of recordings.
        stretched: a folder that mirrors the recordings' names: `talker/a.wav` is there as `talker/a.wav` or as `talker/a@0.5.wav`.
        rate: the speed, for the record.
        seeds: how many games.

    Raises:
        TsmganError: recordings are missing or cannot be used.
    """
    there = {_plain_name(path, Path(stretched)): path for path in Path(stretched).rglob("*") if path.is_file()}
    roots = [Path(place) for place in natural]
    sources = []
    for source in find_sources(roots):
        root = next((root for root in roots if root in source.path.parents), source.path.parent)
        if _plain_name(source.path, root) in there:
            sources.append((source, there[_plain_name(source.path, root)]))
    if not sources:
        raise TsmganError(f"{stretched} holds no recording whose name is that of one in {', '.join(map(str, roots))}.")
    paths = dict(sources)

    def look_up(path: Path) -> np.ndarray:
        return natural_sound(paths[next(source for source in paths if source.path == path)])

    found = Realism(str(stretched), rate)
    chosen_sources = choose([source for source, _ in sources])
    for seed in range(seeds):
        chosen = split(chosen_sources, seed)
        parts = [([natural_sound(s.path) for s in kept], [look_up(s.path) for s in changed]) for kept, changed in chosen.parts]
        found.trials.append(_trial(parts, SCALES["40ms"], seed, steps))
    return found


def _plain_name(path: Path, root: Path) -> str:
    """A recording's place below the root without its ending and what follows its last @."""
    return path.relative_to(root).with_suffix("").as_posix().rsplit("@", 1)[0]
