"""Every measure. A measure is a file here, which says all about it, and its entry in one of the lists below.

Tables, the page of `tsmgan compare`, CSV and JSON files and the artefact meter take names, units, ideals and explanations from here.
"""

from tsmgan.evaluation.measures.bursts import ATTACK, PRE_ECHO, SHIFTED_ATTACK
from tsmgan.evaluation.measures.convergence import CONVERGENCE
from tsmgan.evaluation.measures.estoi import ESTOI
from tsmgan.evaluation.measures.formants import FORMANT_ERROR, FORMANT_ERRORS
from tsmgan.evaluation.measures.fricatives import FRICATIVE_HIGHS, FRICATIVE_REPETITION
from tsmgan.evaluation.measures.hits import ATTACK_HIGHS, DIP
from tsmgan.evaluation.measures.length import LENGTH_ERROR
from tsmgan.evaluation.measures.level import LEVEL
from tsmgan.evaluation.measures.log_mel import LOG_MEL
from tsmgan.evaluation.measures.measure import Measure, PairMeasure, RunMeasure, ShiftMeasure, SyntheticMeasure
from tsmgan.evaluation.measures.noise import NOISE_CORRELATION, NOISE_KURTOSIS, NOISE_LEVEL
from tsmgan.evaluation.measures.onset import ONSET
from tsmgan.evaluation.measures.opinion import DISTILL_MOS, DNS_MOS
from tsmgan.evaluation.measures.peakiness import PEAKINESS
from tsmgan.evaluation.measures.pesq import PESQ
from tsmgan.evaluation.measures.pitch import F0_ERROR, VOICING_ERROR
from tsmgan.evaluation.measures.speed import SPEED
from tsmgan.evaluation.measures.stereo import CHANNEL_CORRELATION, CHANNEL_LEVEL
from tsmgan.evaluation.measures.tones import ALIASING, TONE_FREQUENCY, TONE_LEVEL

PAIR_MEASURES: tuple[PairMeasure, ...] = (
    PESQ,
    ESTOI,
    CONVERGENCE,
    LOG_MEL,
    ONSET,
    PEAKINESS,
    F0_ERROR,
    VOICING_ERROR,
    DISTILL_MOS,
    DNS_MOS,
    FORMANT_ERROR,
    *FORMANT_ERRORS,
    LEVEL,
    CHANNEL_CORRELATION,
    CHANNEL_LEVEL,
)
"""Taken of outputs whose kind and channels fit, in this order."""
USUAL_MEASURES: tuple[PairMeasure, ...] = tuple(measure for measure in PAIR_MEASURES if not measure.on_request)
"""Those that are taken where none is named."""
RUN_MEASURES: tuple[RunMeasure, ...] = (LENGTH_ERROR, SPEED)
"""Taken of every call of a stretcher."""
SYNTHETIC_MEASURES: tuple[SyntheticMeasure, ...] = (
    ATTACK,
    PRE_ECHO,
    NOISE_CORRELATION,
    NOISE_KURTOSIS,
    NOISE_LEVEL,
    FRICATIVE_REPETITION,
    FRICATIVE_HIGHS,
    ATTACK_HIGHS,
    DIP,
)
"""Taken by the artefact meter."""
SHIFT_MEASURES: tuple[ShiftMeasure, ...] = (TONE_FREQUENCY, TONE_LEVEL, ALIASING, SHIFTED_ATTACK)
"""Taken by the artefact meter where the pitch is shifted."""
MEASURES: dict[str, Measure] = {measure.name: measure for measure in (*PAIR_MEASURES, *RUN_MEASURES, *SYNTHETIC_MEASURES, *SHIFT_MEASURES)}
"""Every measure by its name."""
