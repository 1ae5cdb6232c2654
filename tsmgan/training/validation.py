"""Validation: the averaged generator and the default on whole held-out items, without drawing anything at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tsmgan.training.pairs import Pairs
from tsmgan.training.reports import Reports

if TYPE_CHECKING:
    from tsmgan.training.trainer import Trainer

ITEMS = 32
"""Held-out items that are measured."""
SHOWN = 2
"""Items of which sound and field are kept."""


def measure(trainer: Trainer, held: Pairs, reports: Reports) -> dict[str, float]:
    """Means over held-out items: losses of the generator and of the default field, and mean coherence below 4 kHz by folder."""
    from tsmgan.training.trainer import LOW_BANDS, Batch

    columns: dict[str, list[float]] = {}
    shown = 0
    frames = trainer.recipe["train"]["frames"]
    for item in held.usable(frames)[:ITEMS]:
        batch = Batch(held.clip(item, 0, held.items[item]["frames"]), trainer.device)
        field = trainer.field(trainer.ema, batch)
        columns.setdefault(f"coherence/{held.items[item]['folder']}", []).append(float(field.coherence[..., :LOW_BANDS].mean()))
        if not held.items[item]["paired"]:
            continue
        for name, chosen in (("learned", field), ("default", trainer.default_field(batch))):
            output, _ = trainer.render(batch, chosen)
            for term, loss in (("mel", trainer.mel), ("sorted_envelope", trainer.envelope)):
                columns.setdefault(f"{term}/{name}", []).append(float(loss(batch.answer, output, batch.bandwidth)))
            if name == "learned" and shown < SHOWN:
                reports.sound(trainer.step, f"output/{item}", output[0].float().cpu().numpy())
                reports.picture(trainer.step, f"coherence/{item}", field.coherence[0].T.float().cpu().numpy())
                if trainer.step <= trainer.recipe["train"]["validate_every"]:
                    reports.sound(trainer.step, f"answer/{item}", batch.answer[0].cpu().numpy())
                shown += 1
    return {name: float(np.mean(values)) for name, values in sorted(columns.items())}
