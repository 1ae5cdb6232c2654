"""Answers: what listeners said on pages of `tsmgan compare`, summed up with intervals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from tsmgan.errors import UsageError
from tsmgan.evaluation.statistics import Estimate, bootstrap_mean

FORMAT = "tsmgan-answers-1"
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Preference:
    """How often one method was preferred to another. "No difference" counts as half a choice for each in `share`, and not in `p`."""

    first: str
    second: str
    for_first: int
    for_second: int
    undecided: int
    share: float
    """Of the answers, those for the first."""
    low: float
    high: float
    """Wilson's 95 % interval of the share among decided answers (0 to 1 if there are none)."""
    p: float
    """Probability of a result as uneven as this if nobody heard a difference: two-sided binomial test."""


@dataclass
class Report:
    """Everything that answers say."""

    files: int
    listeners: int
    preferences: list[Preference] = field(default_factory=list)
    ratings: dict[str, Estimate] = field(default_factory=dict)
    """Mean score, 0 to 100, by method; its interval is a bootstrap over files, since a file's answers are one listener's."""


def read_answers(path: str | Path) -> dict[str, Any]:
    """The answers in a file that a page saved.

    Raises:
        UsageError: the file cannot be read, or holds no answers.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UsageError(f"{path} holds no answers; give files that a page of `tsmgan compare` saved.")
    try:
        for each in document["preferences"]:
            if each["chosen"] not in (each["first"], each["second"], None):
                raise ValueError
        for each in (score for scores in document["ratings"] for score in scores):
            if not 0 <= float(each["score"]) <= 100 or not isinstance(each["method"], str):
                raise ValueError
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{path} is damaged: its answers are incomplete or out of range.") from None
    return document


def summarise_answers(documents: Sequence[dict[str, Any]]) -> Report:
    """Sum up the answers of files, as `read_answers` gives them."""
    listeners = {document.get("listener") or f"file {k}" for k, document in enumerate(documents)}
    report = Report(len(documents), len(listeners))
    pairs = [each for document in documents for each in document["preferences"]]
    names = list(dict.fromkeys(name for each in pairs for name in (each["first"], each["second"])))
    for first, second in combinations(sorted(names), 2):
        chosen = [each["chosen"] for each in pairs if {each["first"], each["second"]} == {first, second}]
        if chosen:
            report.preferences.append(_preference(first, second, chosen))
    scores = [
        (each["method"], float(each["score"]), str(k))
        for k, document in enumerate(documents)
        for ratings in document["ratings"]
        for each in ratings
    ]
    for method in sorted({method for method, _, _ in scores}):
        mine = [(score, item) for name, score, item in scores if name == method]
        report.ratings[method] = bootstrap_mean([score for score, _ in mine], [item for _, item in mine])
    return report


def _preference(first: str, second: str, chosen: Sequence[str | None]) -> Preference:
    ours, theirs, undecided = chosen.count(first), chosen.count(second), chosen.count(None)
    share = (ours + undecided / 2) / len(chosen)
    if not ours + theirs:
        return Preference(first, second, ours, theirs, undecided, share, 0.0, 1.0, 1.0)
    test = binomtest(ours, ours + theirs)
    interval = test.proportion_ci(CONFIDENCE, method="wilson")
    return Preference(
        first, second, ours, theirs, undecided, share, float(interval.low), float(interval.high), float(np.clip(test.pvalue, 0, 1))
    )
