"""Validation: the averaged generator and the default on whole held-out items, without drawing anything at random."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tsmgan.core.field import Field
from tsmgan.evaluation.measures.log_mel import log_mel_distance
from tsmgan.evaluation.measures.peakiness import pulse_peakiness
from tsmgan.evaluation.measures.pesq import pesq_wb
from tsmgan.training.batch import Batch
from tsmgan.training.clips import Clips
from tsmgan.training.game import LOW_BANDS, Game
from tsmgan.training.journal import Journal
from tsmgan.training.recordings import SAMPLERATE
from tsmgan.training.renderer import default_field

ITEMS = 32
"""Held-out items that are measured."""
SHOWN = 2
"""Items whose sound and field are kept."""
MEASURES = {"log_mel": log_mel_distance, "peakiness": pulse_peakiness, "pesq": pesq_wb}
"""The bench's measures, reported by the first part of the folder's name: peakiness and PESQ mean something only for voices."""


class Validation:
    """Held-out items and what the default makes of them, which is measured once."""

    def __init__(self, game: Game, held: Clips) -> None:
        self._game, self._held = game, held
        usable = held.usable(game.recipe.train.frames)
        self._items = usable[:: max(1, len(usable) // ITEMS)][:ITEMS]
        self._default: dict[str, list[float]] = {}

    @torch.no_grad()
    def measure(self, journal: Journal) -> dict[str, float]:
        """Means over the items: losses and measures of the averaged generator and of the default, and mean coherence by folder."""
        game, first = self._game, not self._default
        learned: dict[str, list[float]] = {}
        shown = 0
        for item in self._items:
            entry = self._held.items[item]
            batch = Batch(self._held.clip(item, 0, entry["frames"]), game.device)
            field = game.renderer.field(game.ema, batch)
            learned.setdefault(f"coherence/{entry['folder']}", []).append(float(field.coherence[..., :LOW_BANDS].mean()))
            if not entry["paired"]:
                continue
            output = self._compare(learned, "learned", entry["folder"], batch, field)
            if first:
                self._compare(self._default, "default", entry["folder"], batch, default_field(batch))
            if shown < SHOWN:
                self._show(journal, item, batch, field, output, first)
                shown += 1
        return {name: float(np.mean(values)) for name, values in sorted((learned | self._default).items()) if values}

    def _compare(self, columns: dict[str, list[float]], name: str, folder: str, batch: Batch, field: Field) -> Tensor:
        objective, kind = self._game.objective, folder.split("/")[0]
        output, _ = self._game.renderer.waveform(batch, field)
        for term in ("mel", "sorted_envelope", "convergence"):
            loss = getattr(objective, term)(batch.answer, output, batch.bandwidth)
            columns.setdefault(f"{term}/{name}", []).append(float(loss))
        a, b = (y[0].float().cpu().numpy() for y in (batch.answer, output))
        for measure, function in MEASURES.items():
            try:
                columns.setdefault(f"{measure}/{kind}/{name}", []).append(function(a, b, SAMPLERATE))
            except (ImportError, ValueError):  # the extra `eval` is not installed, or the clip is too quiet or short for it
                continue
        return output

    def _show(self, journal: Journal, item: int, batch: Batch, field: Field, output: Tensor, first: bool) -> None:
        step = self._game.step
        journal.sound(step, f"output/{item}", output[0].float().cpu().numpy())
        journal.picture(step, f"coherence/{item}", field.coherence[0].T.float().cpu().numpy())
        journal.picture(step, f"alpha_mix/{item}", field.alpha_mix[0].T.float().cpu().numpy())
        if first:
            journal.sound(step, f"answer/{item}", batch.answer[0].cpu().numpy())
