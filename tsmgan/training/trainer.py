"""The alternating game: a plain torch loop on Accelerate.

Accelerate rather than Fabric, because all that is asked of it here is where things run: it reads what `torchrun` sets, places tensors,
opens the process group, and leaves the loop alone. Gradients are averaged by one reduction of a
flat vector: the networks are small, and both players' steps stay visible.

A step, after the critics' warm-up: draw rows; the generator's field; rotations and waveform; the critics learn from answers and waveforms;
the generator learns from all losses, from a critic only while that one is right about held-out pairs (`gate`). Everything random is a
function of (seed, step, row), so a run that was interrupted goes on to the same result, and n processes with batch b make the same steps
as one with batch n b.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from rich.console import Console
from torch import Tensor, nn

from tsmgan.core.field import Field
from tsmgan.core.geometry import geometry
from tsmgan.errors import ModelError, TsmganError
from tsmgan.export.onnx import read_weights, replace_file, write_model
from tsmgan.models import find_model
from tsmgan.training.checkpoint import NAME, State, load_checkpoint, save_checkpoint
from tsmgan.training.critics import Critics, feature_matching, make_critics
from tsmgan.training.divergences import divergence
from tsmgan.training.losses import ConvergenceLoss, CycleLoss, MelLoss, SortedEnvelopeLoss, prior
from tsmgan.training.network import Generator, GeneratorConfig, rule_field
from tsmgan.training.pairs import Pairs, Rows, make_pairs
from tsmgan.training.recipe import Recipe
from tsmgan.training.recordings import SAMPLERATE, Skipped, hold_out, scan
from tsmgan.training.reports import Reports
from tsmgan.training.stage import Rotated, Stage
from tsmgan.training.validation import LOW_BANDS, Validation

NOT_A_NUMBER_LIMIT = 10
"""Steps in a row without a finite gradient after which a run stops."""

LOADERS = 3
"""Batches that are read ahead, each by a thread of its own: reading leaves Python's lock."""
ACCURACY_ROWS = 96
"""Held-out clips on which the critics are examined, at most."""


@dataclass(frozen=True)
class Request:
    """What the user asked for, beside the recipe."""

    folder: Path
    out: Path
    cache: Path | None = None
    start_from: str | None = None
    """A model whose generator the training starts from."""
    resume: bool = False
    minutes: float | None = None
    steps: int | None = None
    cpu: bool = False


class Batch:
    """Rows as tensors on a device."""

    def __init__(self, rows: Rows, device: torch.device) -> None:
        for name, column in rows._asdict().items():
            setattr(self, name, torch.from_numpy(column).to(device, non_blocking=True))
        self.source, self.attack_share = self.source.long(), self.attack_share.float()
        self.inner = slice((self.features.shape[1] - self.spectra.shape[1]) // 2, (self.features.shape[1] + self.spectra.shape[1]) // 2)
        self.power = self.spectra.real**2 + self.spectra.imag**2
        self.log_rate = self.log_rate_around[:, self.inner].contiguous()
        self.mean_rate = self.log_rate.mean(1)

    spectra: Tensor
    source: Tensor
    horizontal: Tensor
    vertical: Tensor
    attack_offset: Tensor
    attack_share: Tensor
    features: Tensor
    log_rate_around: Tensor
    answer: Tensor
    noise: Tensor
    paired: Tensor
    exact: Tensor
    bandwidth: Tensor
    item: Tensor

    def __len__(self) -> int:
        return len(self.paired)


class Trainer:
    """A run: its networks, its place in time and its folder."""

    def __init__(self, recipe: Recipe, request: Request, console: Console | None = None) -> None:
        self.recipe, self.request = recipe, request
        self.console = console or Console()
        self.started = time.monotonic()
        settings = recipe.train
        if settings.threads > 0:
            torch.set_num_threads(settings.threads)
        self.accelerator = Accelerator(cpu=request.cpu)
        self.device = self.accelerator.device
        self.main = self.accelerator.is_main_process
        self.bfloat16 = settings.precision == "bfloat16" or (settings.precision == "auto" and self.device.type == "cuda")
        self.step = 0
        self.seconds_before = 0.0
        self.bad_steps = {"generator": 0, "critics": 0}
        self.stop_reason = ""
        self._build()

    # -- networks ------------------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        torch.manual_seed(self.recipe.seed)
        self.generator = Generator(GeneratorConfig(**asdict(self.recipe.generator))).to(self.device)
        if self.request.start_from is not None:
            self._load_weights(self.request.start_from)
        self.ema = Generator(self.generator.config).to(self.device)
        self.ema.load_state_dict(self.generator.state_dict())
        self.ema.requires_grad_(False)
        self.adversarial = any(getattr(self.recipe.losses, k) > 0 for k in ("adversarial", "adversarial_unpaired", "feature_matching"))
        self.critics = (make_critics(self.recipe.critics) if self.adversarial else Critics({})).to(self.device)
        self.adversarial = len(self.critics) > 0
        self.gates = dict.fromkeys(self.critics, False)
        self.divergence = divergence(self.recipe.adversary.divergence)
        train, adversary = self.recipe.train, self.recipe.adversary

        def adam(module: nn.Module, rate: float) -> torch.optim.Optimizer:
            parameters = list(module.parameters()) or [nn.Parameter(torch.zeros(1))]
            return torch.optim.AdamW(parameters, rate, betas=(train.betas[0], train.betas[1]), weight_decay=train.weight_decay)

        self.players = {
            "generator": (self.generator, adam(self.generator, train.learning_rate)),
            "critics": (self.critics, adam(self.critics, adversary.learning_rate)),
        }
        g = geometry(SAMPLERATE)
        self.stage = Stage(g).to(self.device)
        losses = (MelLoss(), SortedEnvelopeLoss(), ConvergenceLoss(), CycleLoss(g))
        self.mel, self.envelope, self.convergence, self.cycle = (loss.to(self.device) for loss in losses)

    def _load_weights(self, model: str) -> None:
        found = find_model(model)
        known = found.config["generator"]
        mine = self.generator.config.as_dict()
        odd = [k for k in mine if k in known and known[k] != mine[k] and not k.startswith("largest")]
        if odd:
            what = ", ".join(f"{k} {str(known[k])[:20]}" for k in odd)
            settings = " ".join(f"--set generator.{k}={str(known[k])[:20]}" for k in odd if hasattr(self.recipe.generator, k))
            raise ModelError(f"The model {model} has {what}, and the recipe asks for other sizes; add {settings}.")
        shapes = {name: list(value.shape) for name, value in self.generator.state_dict().items()}
        self.generator.load_state_dict(read_weights(found.weights, shapes))

    # -- the way of the data -------------------------------------------------------------------------------------------------------

    def autocast(self) -> torch.autocast:
        """bfloat16 for the networks' layers, where the run has it; signals and losses stay float32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def field(self, generator: Generator, batch: Batch) -> Field:
        """The generator's decisions for a batch, float32."""
        with self.autocast():
            field = generator(batch.features, batch.log_rate_around, batch.noise)
        return Field(*(values[:, batch.inner].float() for values in field))

    def render(self, batch: Batch, field: Field) -> tuple[Tensor, Rotated]:
        """Waveform of a field, and the rotations behind it."""
        rotated = self.stage.rotations(
            batch.power, batch.source, batch.horizontal, batch.vertical, batch.attack_offset, batch.attack_share, batch.log_rate,
            field.coherence, field.alpha_mix,
        )  # fmt: skip
        return self.stage.synthesise(batch.spectra, rotated, self._gains(batch, field), field.rotation), rotated

    def _gains(self, batch: Batch, field: Field) -> Tensor:
        return self.stage.gains(
            batch.power, batch.attack_offset, batch.attack_share, batch.log_rate, field.alpha_mix, field.log_gain, field.texture
        )

    def default_field(self, batch: Batch, coherence: Tensor | None = None) -> Field:
        """The hand-made default, or the same with one coherence (rows,) throughout each row."""
        default = Field(*(values[:, batch.inner].contiguous() for values in rule_field(batch.features, batch.log_rate_around)))
        if coherence is None:
            return default
        return default._replace(coherence=coherence.to(default.coherence).reshape(-1, 1, 1).expand_as(default.coherence).contiguous())

    def warm_up_field(self, batch: Batch) -> Field:
        """What the critics learn from before the game: half of the rows are the default, the others have one coherence throughout,
        so that critics know what either extreme does to a sound. A row's noise decides, so that it is the same in any process."""
        default = self.default_field(batch)
        level = 0.5 * (1 + torch.erf(batch.noise[:, 0, 0] / math.sqrt(2)))[:, None, None]
        plain = (batch.noise[:, 1, 0] > 0)[:, None, None]
        return default._replace(coherence=torch.where(plain, default.coherence, level.expand_as(default.coherence)).contiguous())

    # -- a step --------------------------------------------------------------------------------------------------------------------

    @property
    def warming_up(self) -> bool:
        """Whether the critics learn alone."""
        return self.adversarial and self.step < self.recipe.adversary.warm_up

    def take_step(self, batch: Batch) -> dict[str, float]:
        """One step of the game; returns its numbers."""
        numbers: dict[str, float] = {}
        if self.warming_up:
            with torch.no_grad():
                output, _ = self.render(batch, self.warm_up_field(batch))
            numbers |= self.critics_step(batch, output)
        else:
            numbers |= self.generator_step(batch)
        self.step += 1
        return numbers

    def critics_step(self, batch: Batch, output: Tensor) -> dict[str, float]:
        """The critics raise their bounds."""
        numbers: dict[str, Tensor] = {}
        total = torch.zeros((), device=self.device)
        real, fake = self.judge(batch, batch.answer), self.judge(batch, output.detach())
        for name in self.critics:
            loss = self.divergence.critic_loss(real[name].answers, fake[name].answers)
            total = total + loss
            numbers[f"critics/{name}"] = -loss.detach()
        self.update("critics", total, self.recipe.adversary.learning_rate)
        return {name: float(value) for name, value in numbers.items()}

    def judge(self, batch: Batch, clips: Tensor) -> dict[str, Any]:
        with self.autocast():
            return self.critics.judge(clips, batch.mean_rate, batch.bandwidth)

    def generator_step(self, batch: Batch) -> dict[str, float]:
        """The critics' turn, when it is their step, then the generator's."""
        adversary = self.recipe.adversary
        numbers: dict[str, float] = {}
        field = self.field(self.generator, batch)
        output, rotated = self.render(batch, field)
        if self.adversarial and self.step % adversary.every == 0:
            numbers |= self.critics_step(batch, output)
        terms = self.losses(batch, field, output, rotated)
        weights = self.recipe.losses
        total = sum((getattr(weights, name) * value for name, value in terms.items()), torch.zeros((), device=self.device))
        numbers |= {f"losses/{name}": float(value.detach()) for name, value in terms.items()}
        numbers["losses/total"] = float(total.detach())
        numbers["gradient"] = self.update("generator", total, self.learning_rate())
        decay = min(self.recipe.train.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for slow, fast in zip(self.ema.parameters(), self.generator.parameters()):
                slow.lerp_(fast, 1 - decay)
        numbers["coherence"] = float(field.coherence.detach()[..., :LOW_BANDS].mean())
        return numbers

    def losses(self, batch: Batch, field: Field, output: Tensor, rotated: Rotated) -> dict[str, Tensor]:
        """Every term with a weight, before it is weighted: means over all rows of the batch, so that processes can be averaged."""
        weights, rows, terms = self.recipe.losses, len(batch), {}

        def against_answers(loss: nn.Module, y: Tensor, chosen: Tensor = batch.paired) -> Tensor:
            chosen = chosen.nonzero()[:, 0]
            if not len(chosen):
                return torch.zeros((), device=self.device)
            return loss(batch.answer[chosen], y[chosen], batch.bandwidth[chosen]).sum() / rows

        if weights.mel > 0 or weights.cycle > 0:
            of_gain = self._gains(batch, field._replace(alpha_mix=field.alpha_mix.detach()))
            levelled = self.stage.synthesise(batch.spectra, rotated.detached(), of_gain, field.rotation.detach())
            if weights.mel > 0:
                # On exact pairs alone: elsewhere the gain would learn to mend what the inverse stretcher broke, and no recording is.
                terms["mel"] = against_answers(self.mel, levelled, batch.exact)
            if weights.cycle > 0:
                terms["cycle"] = self.cycle(batch.spectra, levelled).mean()
        if weights.sorted_envelope > 0:
            terms["sorted_envelope"] = against_answers(self.envelope, output)
        if weights.convergence > 0:
            terms["convergence"] = against_answers(self.convergence, output)
        if weights.prior > 0:
            terms["prior"] = prior(field, self.default_field(batch)).mean()
        open_gates = [name for name, is_open in self.gates.items() if is_open]
        if open_gates:
            terms |= self.adversarial_losses(batch, output, open_gates)
        return terms

    def adversarial_losses(self, batch: Batch, output: Tensor, names: list[str]) -> dict[str, Tensor]:
        """What the critics with an open gate say of the output: means over the critics."""
        weights, rows = self.recipe.losses, len(batch)
        terms = {
            name: torch.zeros((), device=self.device)
            for name in ("adversarial", "adversarial_unpaired", "feature_matching")
            if getattr(weights, name) > 0
        }
        self.critics.requires_grad_(False)
        fake = self.judge(batch, output)
        with torch.no_grad():
            real = self.judge(batch, batch.answer) if "feature_matching" in terms else {}
        self.critics.requires_grad_(True)
        for name in names:
            for term, chosen in (("adversarial", batch.paired), ("adversarial_unpaired", ~batch.paired)):
                if term in terms and bool(chosen.any()):
                    share = chosen.sum() / rows
                    loss = self.divergence.generator_loss(fake[name].answers[chosen], self.recipe.adversary.generator_loss)
                    terms[term] = terms[term] + share * loss / len(names)
            if "feature_matching" in terms:
                matching = feature_matching(real[name], fake[name]) * batch.paired
                terms["feature_matching"] = terms["feature_matching"] + matching.sum() / rows / len(names)
        return terms

    def learning_rate(self) -> float:
        train = self.recipe.train
        after = max(0, self.step - (self.recipe.adversary.warm_up if self.adversarial else 0))
        return train.learning_rate * min(1.0, (after + 1) / max(1, train.warm_up)) * 0.5 ** (after / train.half_life)

    def update(self, player: str, loss: Tensor, rate: float) -> float:
        """Backward, average over processes, clip, step. A gradient that is not finite is not taken; returns its norm."""
        module, optimiser = self.players[player]
        optimiser.zero_grad(set_to_none=True)
        if loss.requires_grad:
            loss.backward()
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        if self.accelerator.num_processes > 1:
            every = [p.grad if p.grad is not None else torch.zeros_like(p) for p in module.parameters()]
            flat = self.accelerator.reduce(torch.cat([g.flatten() for g in every]), "mean")
            for p, piece in zip(module.parameters(), flat.split([g.numel() for g in every])):
                p.grad = piece.view_as(p)
            gradients = [p.grad for p in module.parameters() if p.grad is not None]
        if not gradients:
            return 0.0
        norm = float(nn.utils.clip_grad_norm_(module.parameters(), self.recipe.train.clip))
        if not math.isfinite(norm):
            self.bad_steps[player] += 1
            if self.bad_steps[player] >= NOT_A_NUMBER_LIMIT:
                raise TsmganError(
                    f"The {player}'s gradient was not a number for {NOT_A_NUMBER_LIMIT} steps in a row, up to step {self.step}; "
                    f"the last good state is {self.request.out / NAME}. Lower train.learning_rate and use --resume."
                )
            return norm
        self.bad_steps[player] = 0
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
        return norm

    # -- held-out pairs ------------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def critics_accuracy(self, held: Pairs) -> dict[str, float]:
        """Share of held-out pairs whose answer each critic ranks above the stretched one."""
        right: dict[str, list[float]] = {name: [] for name in self.critics}
        frames, size = self.recipe.train.frames, self.recipe.train.batch
        count = min(2 * len(held), ACCURACY_ROWS)
        for first in range(0, count, size):
            batch = Batch(held.rows(self.recipe.seed + 1, 0, range(first, min(first + size, count)), frames), self.device)
            output, _ = self.render(batch, self.field(self.generator, batch))
            real, fake = self.judge(batch, batch.answer), self.judge(batch, output)
            for name in self.critics:
                right[name] += (real[name].answers.float().mean(1) > fake[name].answers.float().mean(1)).float().tolist()
        return {name: float(np.mean(values)) for name, values in right.items()}

    def set_gates(self, held: Pairs) -> dict[str, float]:
        """Measure the critics against the present generator (the default, before it has learned) and open or shut their gates."""
        if not self.adversarial:
            return {}
        accuracy = self.critics_accuracy(held)
        after = self.step >= self.recipe.adversary.warm_up
        self.gates = {name: after and accuracy[name] >= self.recipe.adversary.gate for name in self.critics}
        return {f"accuracy/{name}": value for name, value in accuracy.items()}

    # -- the run -------------------------------------------------------------------------------------------------------------------

    def run(self) -> Path:
        """Make the pairs, train, save and export; returns the folder of the model."""
        out = self.request.out
        if self.main:
            try:
                out.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise TsmganError(f"The folder {out} cannot be made: {error.strerror}.") from error
        checkpoint = out / NAME
        if self.request.resume:
            self._resume(checkpoint)
        elif checkpoint.exists():
            raise TsmganError(f"{out} already holds a run; go on with --resume, or give another --output.")
        pairs, held = self.prepare()
        with Reports(out, self.console, self.main) as reports, self._interruptible():
            self._announce(reports)
            self._play(pairs, held, reports, checkpoint)
            model = self.save(checkpoint, export=True)
            reports.say(f"Stopped at step {self.step}: {self.stop_reason}. Model: {model}")
        if self.accelerator.num_processes > 1:
            self.accelerator.wait_for_everyone()
        return out / "model"

    def _announce(self, reports: Reports) -> None:
        """Say when the generator will begin to learn: until then a run leaves the model that it started from."""
        if self.warming_up:
            warm_up, (steps, _) = self.recipe.adversary.warm_up, self._limits()
            never = "" if steps > warm_up else f" This run ends at step {steps}, before it has learned anything; lower adversary.warm_up."
            reports.say(f"The critics learn alone until step {warm_up}; then the generator begins to learn.{never}")

    def _modules(self) -> dict[str, nn.Module]:
        """What a checkpoint holds. Without adversarial losses there are no critics, and a checkpoint's are left aside."""
        modules: dict[str, nn.Module] = {"generator": self.generator, "ema": self.ema}
        return modules | ({"critics": self.critics} if self.adversarial else {})

    def _resume(self, checkpoint: Path) -> None:
        state = load_checkpoint(checkpoint, self._modules(), self.players)
        self.step, self.seconds_before = state.step, state.seconds
        self.gates = {name: state.gates.get(name, False) for name in self.critics}

    def prepare(self) -> tuple[Pairs, Pairs]:
        """Scan the folder, make the pairs that are not in the cache, and report what was skipped."""
        data, cache = self.recipe.data, self.request.cache or self.request.out / "pairs"
        recordings, skipped = scan(self.request.folder, data.shortest)
        train, held = hold_out(recordings, data.held_out, self.recipe.seed)
        with self.accelerator.main_process_first():
            folders = []
            for what, members, count in (("pairs", train, data.pairs), ("held-out pairs", held, data.validation)):
                with _progress(self.console, f"making {what}", self.main) as progress:
                    folder, unusable = make_pairs(cache, members, count, self.recipe, progress)
                folders.append(folder)
                skipped += unusable
        if self.main:
            self._report_skipped(len(recordings), skipped)
        sets = tuple(Pairs(folder, self.recipe.generator.noise, self.generator.config.context) for folder in folders)
        frames = self.recipe.train.frames
        if not all(s.usable(frames) for s in sets):
            raise TsmganError(f"No recording gives a clip of {frames} frames; lower train.frames, or use longer recordings.")
        return sets[0], sets[1]

    def _report_skipped(self, usable: int, skipped: list[Skipped]) -> None:
        text = "".join(f"{s.path}\t{s.reason}\n" for s in skipped)
        file = self.request.out / "skipped.tsv"
        file.write_text(text, encoding="utf-8")
        if skipped:
            self.console.print(f"{usable} recordings; {len(skipped)} skipped (listed in {file}):", highlight=False, markup=False)
            for s in skipped[:5]:
                self.console.print(f"  {s.path} {s.reason}", highlight=False, markup=False)
        else:
            self.console.print(f"{usable} recordings.", highlight=False)

    def _play(self, pairs: Pairs, held: Pairs, reports: Reports, checkpoint: Path) -> None:
        train = self.recipe.train
        size, rank = train.batch, self.accelerator.process_index
        numbers_of_rows = range(rank * size, (rank + 1) * size)

        def rows(step: int) -> Rows:
            return pairs.rows(self.recipe.seed, step, numbers_of_rows, train.frames)

        validation = Validation(self, held)
        sums: dict[str, list[float]] = {}
        waited, since, first = 0.0, time.monotonic(), self.step
        with ThreadPoolExecutor(LOADERS) as loaders:
            coming = deque(loaders.submit(rows, self.step + k) for k in range(LOADERS))
            while not self._finished():
                begun = time.monotonic()
                batch = Batch(coming.popleft().result(), self.device)
                waited += time.monotonic() - begun
                coming.append(loaders.submit(rows, self.step + LOADERS))
                for name, value in self.take_step(batch).items():
                    sums.setdefault(name, []).append(value)
                if self.step % train.log_every == 0:
                    now = time.monotonic()
                    speed = (self.step - first) / (now - since)
                    extra = {"steps_per_second": speed, "waiting_for_data": waited / (now - since), "learning_rate": self.learning_rate()}
                    if self.device.type == "cuda":
                        extra["device_gigabytes"] = torch.cuda.max_memory_allocated() / 2**30
                    extra["minutes"] = self.seconds() / 60
                    extra |= self._left(speed)
                    reports.numbers(self.step, {k: float(np.mean(v)) for k, v in sums.items()} | extra)
                    sums, waited, since, first = {}, 0.0, now, self.step
                warmed = self.adversarial and self.step == self.recipe.adversary.warm_up
                if self.step % train.validate_every == 0 or warmed:
                    begun = time.monotonic()
                    accuracies = self.set_gates(held)
                    if self.main:
                        with torch.no_grad():
                            reports.numbers(self.step, accuracies | validation.measure(reports), "held out")
                    since += time.monotonic() - begun  # validation is not counted in the speed
                if self.step % train.checkpoint_every == 0:
                    self.save(checkpoint)

    def seconds(self) -> float:
        """Seconds of this run, sessions before a resume included."""
        return self.seconds_before + time.monotonic() - self.started

    def _limits(self) -> tuple[int, float]:
        train = self.recipe.train
        steps = self.request.steps if self.request.steps is not None else train.steps
        return steps, 60 * (self.request.minutes if self.request.minutes is not None else train.minutes)

    def _left(self, speed: float) -> dict[str, float]:
        steps, seconds = self._limits()
        left = (steps - self.step) / max(speed, 1e-9)
        if seconds > 0:
            left = min(left, seconds - (time.monotonic() - self.started))
        return {"minutes_left": max(0.0, left) / 60}

    def _finished(self) -> bool:
        steps, seconds = self._limits()
        if self.step >= steps:
            self.stop_reason = f"{steps} steps are done"
        elif seconds > 0 and time.monotonic() - self.started >= seconds:
            self.stop_reason = f"{seconds / 60:g} minutes are over"
        if self.accelerator.num_processes > 1:  # all stop together
            stops = self.accelerator.reduce(torch.tensor(float(bool(self.stop_reason)), device=self.device), "sum")
            if float(stops) > 0 and not self.stop_reason:
                self.stop_reason = "another process stopped"
        return bool(self.stop_reason)

    def save(self, checkpoint: Path, export: bool = False) -> Path:
        """Write the checkpoint and, on request, the model folder; on the main process only."""
        model = self.request.out / "model"
        if not self.main:
            return model
        state = State(self.step, self.seconds(), self.gates, self.recipe.as_dict())
        save_checkpoint(checkpoint, self._modules(), self.players, state)
        if export:
            description = f"Trained with the recipe {self.recipe.name} for {self.step} steps."
            try:
                more = {"recipe": self.recipe.as_dict(), "steps": self.step, "started_from": self.request.start_from}
                write_model(self.ema, model, description, **more)
                replace_file(model / "README.md", model_card(self).encode(errors="replace"))
            except OSError as error:
                raise TsmganError(
                    f"The model cannot be written to {model}: {os.strerror(error.errno or 0)}. The checkpoint is whole."
                ) from error
        return model

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the step that is under way, then save and export."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: Any) -> None:
            if self.stop_reason:  # asked twice: now
                raise KeyboardInterrupt
            self.stop_reason = "interrupted"

        before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for s, handler in before.items():
                signal.signal(s, handler)


def model_card(trainer: Trainer) -> str:
    """README.md of an exported model."""
    recipe = trainer.recipe
    return (
        f"# {trainer.request.out.name}\n\n"
        f"A generator for tsmgan, trained with the recipe `{recipe.name}` for {trainer.step} steps "
        f"({trainer.seconds() / 60:.0f} minutes) on the recordings of `{trainer.request.folder.name}`. The resolved recipe is in "
        "`config.json`.\n\n"
        "Before you publish it, name the recordings it learned from and their licences here.\n"
    )


@contextmanager
def _progress(console: Console, text: str, active: bool) -> Iterator[Any]:
    if not active:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(TextColumn(text), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
