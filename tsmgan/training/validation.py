"""Validation: the averaged generator and the default on whole held-out items, without drawing anything at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from tsmgan.core.field import BAND_CENTRES_HZ, Field
from tsmgan.evaluation.measures.log_mel import log_mel_distance
from tsmgan.evaluation.measures.peakiness import pulse_peakiness
from tsmgan.evaluation.measures.pesq import pesq_wb
from tsmgan.training.pairs import Pairs
from tsmgan.training.recordings import SAMPLERATE
from tsmgan.training.reports import Reports

if TYPE_CHECKING:
    from tsmgan.training.trainer import Batch, Trainer

ITEMS = 32
"""Held-out items that are measured."""
SHOWN = 2
"""Items of which sound and field are kept."""
LOW_BANDS = sum(hz < 4000 for hz in BAND_CENTRES_HZ)
"""Bands below 4 kHz: where the coherence field of voices and of music should part."""
MEASURES = {"log_mel": log_mel_distance, "peakiness": pulse_peakiness, "pesq": pesq_wb}
"""The bench's measures, reported by the first part of the folder's name: peakiness and PESQ mean something on voices only."""


class Validation:
    """Held-out items and what the default makes of them, which is measured once."""

    def __init__(self, trainer: Trainer, held: Pairs) -> None:
        self._trainer, self._held = trainer, held
        usable = held.usable(trainer.recipe.train.frames)
        self._items = usable[:: max(1, len(usable) // ITEMS)][:ITEMS]
        self._default: dict[str, list[float]] = {}

    def measure(self, reports: Reports) -> dict[str, float]:
        """Means over the items: losses and measures of the averaged generator and of the default, and mean coherence by folder."""
        from tsmgan.training.trainer import Batch

        trainer, first = self._trainer, not self._default
        learned: dict[str, list[float]] = {}
        shown = 0
        for item in self._items:
            entry = self._held.items[item]
            batch = Batch(self._held.clip(item, 0, entry["frames"]), trainer.device)
            field = trainer.field(trainer.ema, batch)
            learned.setdefault(f"coherence/{entry['folder']}", []).append(float(field.coherence[..., :LOW_BANDS].mean()))
            if not entry["paired"]:
                continue
            output = self._compare(learned, "learned", entry["folder"], batch, field)
            if first:
                self._compare(self._default, "default", entry["folder"], batch, trainer.default_field(batch))
            if shown < SHOWN:
                self._show(reports, item, batch, field, output, first)
                shown += 1
        return {name: float(np.mean(values)) for name, values in sorted((learned | self._default).items()) if values}

    def _compare(self, columns: dict[str, list[float]], name: str, folder: str, batch: Batch, field: Field) -> Tensor:
        trainer, kind = self._trainer, folder.split("/")[0]
        output, _ = trainer.render(batch, field)
        for term, loss in (("mel", trainer.mel), ("sorted_envelope", trainer.envelope), ("convergence", trainer.convergence)):
            columns.setdefault(f"{term}/{name}", []).append(float(loss(batch.answer, output, batch.bandwidth)))
        a, b = (y[0].float().cpu().numpy() for y in (batch.answer, output))
        for measure, function in MEASURES.items():
            try:
                columns.setdefault(f"{measure}/{kind}/{name}", []).append(function(a, b, SAMPLERATE))
            except (ImportError, ValueError):  # the extra `eval` is not installed, or the clip is too quiet or short for it
                continue
        return output

    def _show(self, reports: Reports, item: int, batch: Batch, field: Field, output: Tensor, first: bool) -> None:
        step = self._trainer.step
        reports.sound(step, f"output/{item}", output[0].float().cpu().numpy())
        reports.picture(step, f"coherence/{item}", field.coherence[0].T.float().cpu().numpy())
        reports.picture(step, f"alpha_mix/{item}", field.alpha_mix[0].T.float().cpu().numpy())
        if first:
            reports.sound(step, f"answer/{item}", batch.answer[0].cpu().numpy())
