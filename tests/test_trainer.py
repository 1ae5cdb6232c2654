"""A run: what it leaves behind, how it goes on, and how it fails."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from rich.console import Console  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from training_helpers import make_tree, tiny_recipe, voice  # noqa: E402

from tsmgan.cli import run  # noqa: E402
from tsmgan.errors import ModelError, TsmganError  # noqa: E402
from tsmgan.training import checkpoint as checkpoints  # noqa: E402
from tsmgan.training.batch import Batch  # noqa: E402
from tsmgan.training.checkpoint import NAME, State, load_checkpoint, save_checkpoint  # noqa: E402
from tsmgan.training.journal import Journal  # noqa: E402
from tsmgan.training.renderer import default_field  # noqa: E402
from tsmgan.training.trainer import Request, Trainer  # noqa: E402

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def quiet():
    return Console(file=open(os.devnull, "w"))


def trainer(tree, cache, out, *settings, **request):
    return Trainer(tiny_recipe(*settings), Request(tree, out, cache=cache, cpu=True, **request), quiet())


def prepare(t):
    return t.prepare(Journal(t.request.out, quiet(), active=False))


@pytest.fixture(scope="module")
def finished(tree, cache, tmp_path_factory):
    """A whole run of the smoke recipe."""
    out = tmp_path_factory.mktemp("run") / "out"
    trainer(tree, cache, out).run()
    return out


def records(out, kind):
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


# -- what a run leaves ---------------------------------------------------------------------------------------------------------------


def test_a_run_leaves_a_model_that_stretches_to_the_exact_length(finished):
    import tsmgan

    y = voice(1.0, 44100)
    assert tsmgan.stretch(y, 44100, rate=1.5, model=str(finished / "model")).shape == (29400,)


def test_the_model_knows_the_resolved_recipe_and_where_it_came_from(finished):
    config = json.loads((finished / "model" / "config.json").read_text())
    assert config["recipe"]["name"] == "smoke" and config["recipe"]["data"]["shortest"] == 1.0 and config["steps"] == 6
    assert (finished / "model" / "README.md").read_text().startswith("# ")


def test_the_exported_onnx_decides_as_the_torch_generator_does(finished, tree, cache):
    from tsmgan.core.field import Seen
    from tsmgan.models import find_model, open_decider
    from tsmgan.training.network import Generator, GeneratorConfig

    torch.manual_seed(0)
    model = find_model(finished / "model")
    own = Generator(GeneratorConfig(**asdict(tiny_recipe().generator)))
    own.load_state_dict(load_file(str(model.path / "generator.safetensors")))
    context, frames = own.config.context, 90 + 2 * own.config.context
    features, rates, noise = torch.rand(frames, own.config.features), torch.rand(frames) + 0.5, torch.randn(frames, own.config.noise)
    with torch.no_grad():
        expected = own(features[None], rates.log()[None], noise[None])
    decided = open_decider(model).decide([Seen(features.numpy(), rates.numpy(), noise.numpy())])[0]
    for a, b in zip(expected, decided):
        assert np.abs(a[0, context:-context].numpy() - b).max() < 1e-4


def test_every_loss_is_logged_alone_and_held_out_numbers_have_lines_of_their_own(finished):
    last = records(finished, "train")[-1]
    names = {k.removeprefix("losses/") for k in last if k.startswith("losses/")}
    assert names >= {"mel", "sorted_envelope", "cycle", "adversarial", "adversarial_unpaired", "feature_matching", "total"}
    assert last["steps_per_second"] > 0 and 0 <= last["waiting_for_data"] <= 1
    held = records(finished, "held out")[-1]
    assert any(k.startswith("accuracy/") for k in held) and any(k.startswith("coherence/") for k in held)
    assert {"log_mel/speech/learned", "log_mel/speech/default"} <= set(held) or {"log_mel/music/learned"} <= set(held)
    assert list((finished / "tensorboard").iterdir())


@pytest.mark.parametrize(("warm_up", "says"), [(1, "until step 1;"), (9, "before the generator has learned anything"), (0, None)])
def test_a_run_says_at_its_start_when_the_generator_begins_to_learn(tree, cache, tmp_path, warm_up, says):
    t = trainer(tree, cache, tmp_path / "out", f"adversary.warm_up={warm_up}", "train.steps=1")
    t.console = Console(file=open(tmp_path / "said.txt", "w"))
    t.run()
    t.console.file.close()
    said = (tmp_path / "said.txt").read_text()
    assert says in said if says else "critics learn alone" not in said


def test_a_run_is_not_overwritten_without_resume(finished, tree, cache):
    with pytest.raises(TsmganError, match="--resume"):
        trainer(tree, cache, finished).run()


# -- the same result, however it is come by ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 4, 5])
def test_a_run_interrupted_at_any_step_and_resumed_equals_one_that_was_not_bit_for_bit(finished, tree, cache, tmp_path, step):
    trainer(tree, cache, tmp_path / "out", steps=step).run()
    trainer(tree, cache, tmp_path / "out", resume=True).run()
    whole, parts = load_file(str(finished / NAME)), load_file(str(tmp_path / "out" / NAME))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_another_seed_gives_another_model(finished, tree, cache, tmp_path):
    trainer(tree, cache, tmp_path / "out", "seed=1").run()
    a, b = (load_file(str(o / "model" / "generator.safetensors")) for o in (finished, tmp_path / "out"))
    assert not all(torch.equal(a[k], b[k]) for k in a)


def test_two_gloo_processes_train_the_model_of_one_process_with_the_doubled_batch(tree, cache, tmp_path):
    """As under torchrun: the environment tells each process its rank."""
    script = tmp_path / "go.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nsys.path[:0] = sys.argv[4:]\nimport training_helpers\nimport test_trainer as t\n"
        "if __name__ == '__main__':\n"
        "    t.trainer(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), 'train.batch=2', 'train.ema=0.5').run()\n"
    )
    trainer(tree, cache, tmp_path / "one", "train.batch=4", "train.ema=0.5").run()
    environment = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29517", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(tree), str(cache), str(tmp_path / "two"), str(ROOT), str(ROOT / "tests")]
    processes = [
        subprocess.Popen(command, env=environment | {"RANK": r, "LOCAL_RANK": r}, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        for r in "01"
    ]
    for process in processes:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors.decode()[-2000:]
    one, two = (load_file(str(tmp_path / o / NAME)) for o in ("one", "two"))
    begun = trainer(tree, cache, tmp_path / "begun")
    for player, module in (("generator", begun.game.generator), ("critics", begun.game.adversary.critics)):
        # In norms: where a gradient is nearly zero, Adam turns the last bit of a sum into a whole step.
        learned = sum(float((one[f"{player}.{k}"] - v).norm() ** 2) for k, v in module.state_dict().items())
        apart = sum(float((one[f"{player}.{k}"] - two[f"{player}.{k}"]).norm() ** 2) for k in module.state_dict())
        assert 0 < learned and apart < 0.1**2 * learned


def test_fine_tuning_starts_from_the_models_weights(finished, tree, cache, tmp_path):
    weights = load_file(str(finished / "model" / "generator.safetensors"))
    begun = trainer(tree, cache, tmp_path / "out", start_from=str(finished / "model"))
    assert all(torch.equal(value, weights[name]) for name, value in begun.game.generator.state_dict().items())
    with pytest.raises(ModelError, match=r"--set generator\.width=16"):
        trainer(tree, cache, tmp_path / "out", "generator.width=24", start_from=str(finished / "model"))


def test_a_time_limit_ends_cleanly_with_a_checkpoint_and_a_model(tree, cache, tmp_path):
    run_ = trainer(tree, cache, tmp_path / "out", "train.steps=100000", minutes=0.02)
    model = run_.run()
    assert 0 <= run_.game.step < 100000 and "minutes" in run_.ending.reason
    assert (model / "generator.onnx").is_file() and (tmp_path / "out" / NAME).is_file()


def test_a_run_in_bfloat16_trains_on_finite_numbers(tree, cache, tmp_path):
    trainer(tree, cache, tmp_path / "out", "train.precision=bfloat16").run()
    numbers = [v for line in records(tmp_path / "out", "train") for v in line.values() if isinstance(v, float)]
    assert np.isfinite(numbers).all()


# -- the game ------------------------------------------------------------------------------------------------------------------------


def batch_of(t, step=0):
    clips, _ = prepare(t)
    return Batch(clips.rows(0, step, range(2), t.recipe.train.frames), t.game.device)


def made(tree, cache, tmp_path, *settings):
    (tmp_path / "out").mkdir()
    return trainer(tree, cache, tmp_path / "out", *settings)


def gradient_of(t, batch, *names):
    """Gradients of weighted losses with respect to the field."""
    t.game.generator.outlet.weight.data.normal_(std=0.02)
    batch.exact = batch.paired
    field = t.game.renderer.field(t.game.generator, batch)
    for values in field:
        values.retain_grad()
    output, rotated = t.game.renderer.waveform(batch, field)
    terms = t.game.losses(batch, field, output, rotated)
    sum(terms[n] for n in names).backward()
    return {n: 0.0 if v.grad is None else float(v.grad.abs().max()) for n, v in field._asdict().items()}


@pytest.mark.parametrize("name", ["mel", "cycle"])
def test_losses_that_like_smooth_magnitudes_train_the_gain_and_never_the_coherence(tree, cache, tmp_path, name):
    t = made(tree, cache, tmp_path, "data.unpaired=0.0")
    slopes = gradient_of(t, batch_of(t), name)
    assert (
        slopes["log_gain"] > 0
        and slopes["coherence"] == slopes["alpha_mix"] == slopes["noise_share"] == slopes["window"] == slopes["grain"] == 0
    )


def test_the_sorted_envelope_trains_coherence_alpha_noise_and_window(tree, cache, tmp_path):
    t = made(tree, cache, tmp_path, "data.unpaired=0.0")
    slopes = gradient_of(t, batch_of(t), "sorted_envelope")
    assert min(slopes["coherence"], slopes["alpha_mix"], slopes["noise_share"], slopes["window"], slopes["grain"]) > 0


def test_the_critics_train_the_field_on_paired_and_on_unpaired_rows(tree, cache, tmp_path):
    for name, share in (("adversarial", 0.0), ("adversarial_unpaired", 1.0)):
        folder = tmp_path / name
        folder.mkdir()
        t = made(tree, cache, folder, f"data.unpaired={share}", f"losses.{name}=5.0")
        t.game.adversary.gates = dict.fromkeys(t.game.adversary.critics, True)
        assert gradient_of(t, batch_of(t), name)["coherence"] > 0


@pytest.mark.parametrize(("gate", "is_open"), [(1.01, False), (0.0, True)])
def test_a_critic_counts_only_while_it_is_right_about_held_out_pairs(tree, cache, tmp_path, gate, is_open):
    t = made(tree, cache, tmp_path, f"adversary.gate={gate}", "adversary.warm_up=0")
    accuracy = t.game.set_gates(prepare(t)[1])
    assert all(0 <= a <= 1 for name, a in accuracy.items() if name.startswith("accuracy/")) and set(t.game.adversary.gates.values()) == {
        is_open
    }
    field = t.game.renderer.field(t.game.generator, batch := batch_of(t))
    assert ("adversarial" in t.game.losses(batch, field, *t.game.renderer.waveform(batch, field))) == is_open


def test_the_generator_rests_while_the_critics_warm_up(tree, cache, tmp_path):
    t = made(tree, cache, tmp_path, "adversary.warm_up=1")
    before = [p.clone() for p in (*t.game.generator.parameters(), *t.game.adversary.critics.parameters())]
    t.game.take_step(batch_of(t))
    split = len(list(t.game.generator.parameters()))
    after = [*t.game.generator.parameters(), *t.game.adversary.critics.parameters()]
    same = [torch.equal(a, b) for a, b in zip(before, after)]
    assert all(same[:split]) and not all(same[split:])


def test_an_untrained_generator_renders_the_hand_made_default(tree, cache, tmp_path):
    t = made(tree, cache, tmp_path)
    batch = batch_of(t)
    output, _ = t.game.renderer.waveform(batch, t.game.renderer.field(t.game.generator, batch))
    assert torch.allclose(output, t.game.renderer.waveform(batch, default_field(batch))[0], atol=1e-6)


def test_one_batch_can_be_overfitted(tree, cache, tmp_path):
    """The mel loss falls by a fiftieth, though the gain, which alone it trains, stays within 3 dB and departs on slow voices alone."""
    settings = {"generator.width": 64, "generator.blocks": 2, "train.learning_rate": 1e-3, "losses.mel": 5.0, "data.rates": "[0.4, 0.7]"}
    settings |= dict.fromkeys(("data.unpaired", "augment.level", "losses.adversarial", "losses.adversarial_unpaired"), 0)
    settings |= dict.fromkeys(
        [f"losses.{name}" for name in ("feature_matching", "cycle", "sorted_envelope", "convergence", "pulses", "prior")], 0
    )
    t = made(tree, cache, tmp_path, "train.warm_up=1", *(f"{key}={value}" for key, value in settings.items()))
    batch = batch_of(t)
    batch.exact = batch.paired
    losses = [t.game.take_step(batch)["losses/mel"] for _ in range(150)]
    assert losses[-1] < 0.98 * losses[0]


# -- what can go wrong ---------------------------------------------------------------------------------------------------------------


def test_a_gradient_that_is_not_a_number_is_not_taken_and_stops_the_run_with_the_last_good_state(tree, cache, tmp_path, monkeypatch):
    t = trainer(tree, cache, tmp_path / "out", "train.steps=50", "train.checkpoint_every=3", "train.validate_every=100")
    usual = t.game.losses

    def broken(*arguments):
        terms = usual(*arguments)
        return terms if t.game.step < 4 else {name: value * float("nan") for name, value in terms.items()}

    monkeypatch.setattr(t.game, "losses", broken)
    with pytest.raises(TsmganError, match="not a number"):
        t.run()
    assert all(torch.isfinite(v).all() for v in load_file(str(tmp_path / "out" / NAME)).values())
    assert all(torch.isfinite(p).all() for p in t.game.generator.parameters())


def test_a_truncated_checkpoint_and_one_of_another_architecture_are_refused_and_change_nothing(finished, tree, cache, tmp_path):
    (tmp_path / "out").mkdir()
    file = tmp_path / "out" / NAME
    file.write_bytes((finished / NAME).read_bytes()[:-1000])
    with pytest.raises(ModelError, match="damaged"):
        trainer(tree, cache, tmp_path / "out", resume=True).run()
    file.write_bytes((finished / NAME).read_bytes())
    other = trainer(tree, cache, tmp_path / "out", "generator.width=24", resume=True)
    before = [p.clone() for p in other.game.generator.parameters()]
    with pytest.raises(ModelError, match="another architecture"):
        other.run()
    assert all(torch.equal(a, b) for a, b in zip(before, other.game.generator.parameters()))
    with pytest.raises(ModelError, match="no checkpoint"):
        trainer(tree, cache, tmp_path / "nowhere", resume=True).run()


def test_a_full_disk_while_saving_is_a_message_and_keeps_the_checkpoint_before(tmp_path, monkeypatch):
    module = torch.nn.Linear(3, 3)
    save_checkpoint(tmp_path / NAME, {"generator": module}, {}, State(1, 0.0, {}, {}))

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "replace_file", full)
    with pytest.raises(TsmganError, match=r"No space left on device.*--resume"):
        save_checkpoint(tmp_path / NAME, {"generator": module}, {}, State(2, 0.0, {}, {}))
    assert load_checkpoint(tmp_path / NAME, {"generator": module}, {}).step == 1


def test_kill_9_during_a_save_leaves_a_checkpoint_that_loads(tmp_path):
    script = (
        "import sys, torch\nfrom pathlib import Path\nfrom tsmgan.training.checkpoint import State, save_checkpoint\n"
        "module = torch.nn.Linear(1500, 1500)\nstep = 0\n"
        "while True:\n    step += 1\n    save_checkpoint(Path(sys.argv[1]), {'generator': module}, {}, State(step, 0.0, {}, {}))\n"
        "    print(step, flush=True)\n"
    )
    file = tmp_path / NAME
    process = subprocess.Popen([sys.executable, "-c", script, str(file)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for _ in range(3):
        process.stdout.readline()
    time.sleep(0.007)  # somewhere within the next save
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert load_checkpoint(file, {"generator": torch.nn.Linear(1500, 1500)}, {}).step >= 3


def test_a_signal_ends_the_step_and_then_saves_and_exports(tree, cache, tmp_path):
    t = trainer(tree, cache, tmp_path / "out", "train.steps=100000")
    usual = t.game.take_step

    def step(batch):
        if t.game.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return usual(batch)

    t.game.take_step = step
    model = t.run()
    assert t.ending.reason == "interrupted" and t.game.step == 4
    assert (model / "generator.onnx").is_file()


# -- the command ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{empty}"], 1, "holds no audio files"),
        (["{missing}"], 1, "is not a folder"),
        (["{tree}", "--divergence", "pearsen"], 2, 'did you mean "pearson"'),
        (["{tree}", "--recipe", "smok"], 2, 'did you mean "smoke"'),
        (["{tree}", "--set", "losses.mell=1"], 2, 'did you mean "losses.mel"'),
        (["{tree}", "--generator-loss", "saturated"], 2, 'did you mean "saturating"'),
        (["{tree}", "--resume"], 1, "There is no checkpoint"),
        (["{tree}", "--from", "nosuchmodel"], 1, "There is no model"),
        (["{tree}", "--minutes", "0"], 2, "above zero"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence_without_a_traceback(tree, tmp_path, capfd, arguments, code, message):
    (tmp_path / "empty").mkdir()
    places = {"empty": tmp_path / "empty", "missing": tmp_path / "missing", "tree": tree}
    arguments = [a.format(**places) for a in arguments]
    assert run(["train", *arguments, "--cpu", "--out", str(tmp_path / "out")]) == code
    errors = " ".join(capfd.readouterr().err.split())
    assert message in errors and "Traceback" not in errors


def test_skipped_files_are_counted_and_listed(tmp_path, cache, capfd):
    folder = make_tree(tmp_path / "t")
    (folder / "broken.wav").write_bytes(b"RIFF")
    assert (
        run(
            [
                "train",
                str(folder),
                "--recipe",
                "smoke",
                "--set",
                "data.shortest=1.0",
                "--cpu",
                "--steps",
                "1",
                "--out",
                str(tmp_path / "out"),
            ]
        )
        == 0
    )
    assert "1 skipped" in capfd.readouterr().err
    assert "broken.wav" in (tmp_path / "out" / "skipped.tsv").read_text()


def test_the_command_resumes_with_the_stored_recipe(finished, tree, cache, tmp_path):
    import shutil

    out = shutil.copytree(finished, tmp_path / "out")
    assert (
        run(["train", str(tree), "--cpu", "--out", str(out), "--cache", str(cache), "--resume", "--steps", "7", "--set", "losses.mel=15"])
        == 0
    )
    config = json.loads((out / "model" / "config.json").read_text())
    assert config["steps"] == 7 and config["recipe"]["name"] == "smoke" and config["recipe"]["losses"]["mel"] == 15
