"""Realism: how far stretched sound is from nature, in bits, by fresh critics that never heard the talkers they are tested on.

In the order of the data: `sounds` (which recordings, whose they are, and what stretchers make of them), `moments` (what a critic hears of
them), `critic` (the game on one split), `bound` (several games: bits and their standard error). docs/realism.md explains the measure.
"""

from tsmgan.evaluation.realism.bound import SCALES, SEEDS, Realism, measure_realism, realism_of_folders, realism_of_function
from tsmgan.evaluation.realism.sounds import Source, default_cache, find_sources

__all__ = [
    "SCALES",
    "SEEDS",
    "Realism",
    "Source",
    "default_cache",
    "find_sources",
    "measure_realism",
    "realism_of_folders",
    "realism_of_function",
]
