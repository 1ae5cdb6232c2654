"""Promises of the export: the ONNX file does what the network in torch does, says what it is, or is not written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
soundfile = pytest.importorskip("soundfile")

from training_helpers import chord, voice  # noqa: E402

import tsmgan  # noqa: E402
from tsmgan.cli import run  # noqa: E402
from tsmgan.core.features import FEATURES  # noqa: E402
from tsmgan.core.field import BANDS, Field  # noqa: E402
from tsmgan.core.stretcher import Stretcher  # noqa: E402
from tsmgan.core.timemap import TimeMap  # noqa: E402
from tsmgan.errors import ModelError, TsmganError  # noqa: E402
from tsmgan.evaluation.pairs import Pair  # noqa: E402
from tsmgan.export import precision as precision_module  # noqa: E402
from tsmgan.export.check import Exported, Inputs, clips, differences, example_sound, real_inputs, run_torch  # noqa: E402
from tsmgan.export.onnx import OPSET, onnx_bytes, read_generator, write_model  # noqa: E402
from tsmgan.export.precision import checked_onnx, pesq_change, to_fp16, to_int8  # noqa: E402
from tsmgan.models import find_model, load_config  # noqa: E402
from tsmgan.training.network import Generator, GeneratorConfig  # noqa: E402

SAMPLERATE = 24000
SMALL = GeneratorConfig(width=16, blocks=2, kernel=5)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Clips this short are not worth torch's threads, which wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def taught(config: GeneratorConfig = SMALL, seed: int = 0) -> Generator:
    """A generator whose layers all matter, as training leaves it."""
    torch.manual_seed(seed)
    generator = Generator(config)
    torch.nn.init.normal_(generator.outlet.weight, std=0.1)
    for block in generator.blocks:
        torch.nn.init.normal_(block.scale, 0.2, 0.1)
    return generator.eval()


def random_inputs(frames: int, batch: int = 1, noise: int = SMALL.noise) -> Inputs:
    generator = np.random.default_rng(frames)
    return Inputs(
        generator.uniform(0, 1, (batch, frames, FEATURES)).astype(np.float32),
        generator.uniform(-0.7, 0.7, (batch, frames)).astype(np.float32),
        generator.standard_normal((batch, frames, noise), dtype=np.float32),
        np.tile(generator.uniform(0.1, 0.7, (batch, frames, 1)), len(Field._fields) * BANDS).astype(np.float32),
    )


def largest(a: Field, b: Field) -> float:
    assert all(x.shape == y.shape for x, y in zip(a, b))
    return max(float(np.abs(x - y).max()) for x, y in zip(a, b))


@pytest.fixture
def folder(tmp_path):
    """A model folder of a taught, small generator."""
    write_model(taught(), tmp_path / "model", "A small one.", licence="CC0-1.0")
    return tmp_path / "model"


@pytest.fixture(scope="module")
def content() -> bytes:
    return onnx_bytes(taught())


@pytest.mark.parametrize("config", [SMALL, GeneratorConfig()])
def test_outputs_equal_those_of_torch_on_real_features_at_every_rate(config):
    generator = taught(config)
    found = differences(generator, onnx_bytes(generator), example_sound(seconds=6), SAMPLERATE)
    assert len({d.frames for d in found}) >= 6 and len({d.rate for d in found}) == 5
    assert {d.output for d in found} == set(Field._fields)
    assert max(d.size for d in found) < 1e-4


def test_an_export_that_departs_where_it_is_not_asked_is_refused():
    quiet = replace(SMALL, largest_alpha_change=0.0, largest_texture=0.0)
    assert taught(quiet).idle_from == 1.0 and taught(replace(quiet, largest_texture=0.1)).idle_from is None
    sound = example_sound(seconds=2)
    differences(taught(quiet), onnx_bytes(taught(quiet)), sound, SAMPLERATE)
    with pytest.raises(ModelError, match="departs from the rule at rate 1"):
        differences(taught(quiet), onnx_bytes(taught(replace(quiet, largest_texture=0.1))), sound, SAMPLERATE)


@pytest.mark.parametrize("frames", [1, 2, 7, 1000, 100_000])
def test_any_number_of_frames_can_be_run(content, frames):
    inputs = random_inputs(frames)
    assert largest(run_torch(taught(), inputs), Exported(content)(inputs)) < 1e-4


def test_a_batch_gives_what_its_members_give_alone(content):
    exported, inputs = Exported(content), random_inputs(50, batch=3)
    together = exported(inputs)
    for k in range(3):
        alone = exported(Inputs(*(values[k : k + 1] for values in inputs)))
        assert largest(Field(*(values[k : k + 1] for values in together)), alone) < 1e-5


@pytest.mark.parametrize("rate", [0.6, 1.5])
def test_a_recording_sounds_the_same_through_torch_within_90_decibels(folder, rate):
    y = np.stack([voice(2, SAMPLERATE), chord(2, SAMPLERATE)])
    exported = tsmgan.stretch(y, SAMPLERATE, rate, model=str(folder))
    calls = []

    class InTorch:
        batch, device = 1, "cpu"

        def __init__(self, model):
            self.generator = read_generator(model)
            self.context, self.noise = self.generator.config.context, self.generator.config.noise

        def decide(self, seen):
            calls.append(len(seen))
            tensors = [seen[0].features, np.log(seen[0].rates).astype(np.float32), seen[0].noise]
            with torch.no_grad():
                field = self.generator(*(torch.from_numpy(values)[None] for values in tensors))
            return [Field(*(values[0, self.context : -self.context].numpy() for values in field))]

    stretcher = Stretcher(SAMPLERATE, 2, TimeMap.from_rate(rate), InTorch(find_model(folder)))
    through_torch = np.concatenate([stretcher.process(y), stretcher.flush()], axis=1)
    assert calls and np.abs(exported).max() > 0.1
    assert np.abs(exported - through_torch).max() < 10 ** (-90 / 20)


def test_the_checked_clips_are_real_features_of_every_length():
    whole = real_inputs(example_sound(), SAMPLERATE, 1.0, 4)
    assert [clip.features.shape[1] for clip in clips(whole)] == [1, 2, 7, 64, 192, 1000]
    assert np.ptp(whole.features, axis=(0, 1)).min() > 0, "a feature never moves"


def test_the_file_tells_config_version_licence_and_weights(folder):
    model = onnx.load(folder / "generator.onnx")
    onnx.checker.check_model(model, full_check=True)
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(told["config"]) == json.loads((folder / "config.json").read_text())
    assert told["version"] == tsmgan.__version__ and told["licence"] == "CC0-1.0" and told["precision"] == "fp32"
    assert told["weights_sha256"] == hashlib.sha256((folder / "generator.safetensors").read_bytes()).hexdigest()
    assert model.opset_import[0].version == OPSET


AXES = {"features": [FEATURES], "log_rate": [], "noise": [SMALL.noise], "rule": [len(Field._fields) * BANDS]} | {
    name: [BANDS] for name in Field._fields
}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_axis_has_a_name_or_a_length_in_each_precision(precision):
    onnxruntime = pytest.importorskip("onnxruntime")
    generator = taught()
    made = {
        "fp32": lambda: onnx_bytes(generator),
        "fp16": lambda: to_fp16(generator),
        "int8": lambda: to_int8(onnx_bytes(generator), [real_inputs(example_sound(seconds=1), SAMPLERATE, 1.5, SMALL.noise)]),
    }
    session = onnxruntime.InferenceSession(made[precision]())
    told = {value.name: value.shape for value in [*session.get_inputs(), *session.get_outputs()]}
    assert told == {name: ["batch", "frames", *lengths] for name, lengths in AXES.items()}


def test_the_command_writes_what_the_model_folder_holds(folder, tmp_path, capsys):
    target = tmp_path / "out.onnx"
    assert run(["export-onnx", "--model", str(folder), "-o", str(target)]) == 0
    assert target.read_bytes() == (folder / "generator.onnx").read_bytes()
    assert "Largest difference from torch:" in capsys.readouterr().err


def test_a_folder_that_is_named_as_one_is_made(folder, tmp_path):
    assert run(["export-onnx", "--model", str(folder), "-o", f"{tmp_path}/new/"]) == 0
    assert (tmp_path / "new" / "generator.onnx").is_file()


def test_a_recording_can_be_checked_with(tmp_path, folder, capsys):
    soundfile.write(tmp_path / "voice.wav", voice(2, 16000), 16000)
    assert run(["export-onnx", "-m", str(folder), "-o", str(tmp_path), "--check-with", str(tmp_path / "voice.wav")]) == 0
    assert (tmp_path / "generator.onnx").is_file()


def test_an_existing_file_is_kept_without_force(folder, tmp_path, capsys):
    target = tmp_path / "out.onnx"
    target.write_bytes(b"precious")
    command = ["export-onnx", "--model", str(folder), "-o", str(target)]
    assert run(command) == 1
    assert target.read_bytes() == b"precious" and "--force" in capsys.readouterr().err
    assert run([*command, "--force"]) == 0
    assert target.read_bytes() != b"precious"


@pytest.mark.parametrize("fault", ["other weights", "not a number", "fixed length", "not valid"])
def test_a_failed_check_writes_nothing(folder, tmp_path, monkeypatch, capsys, fault):
    def faulty(generator: Generator) -> bytes:
        if fault == "other weights":
            return onnx_bytes(taught(seed=1))
        model = onnx.load_model_from_string(onnx_bytes(generator))
        if fault == "not a number":
            weights = next(each for each in model.graph.initializer if each.name.endswith("outlet.bias"))
            weights.CopyFrom(onnx.numpy_helper.from_array(np.full(weights.dims, np.nan, np.float32), weights.name))
        elif fault == "fixed length":
            for value in model.graph.input:
                value.type.tensor_type.shape.dim[1].dim_value = 64
        else:
            model.graph.node[5].op_type = "Nonsense"
        return model.SerializeToString()

    monkeypatch.setattr(precision_module, "onnx_bytes", faulty)
    (tmp_path / "out").mkdir()
    assert run(["export-onnx", "--model", str(folder), "-o", str(tmp_path / "out" / "generator.onnx")]) == 1
    assert list((tmp_path / "out").iterdir()) == []
    assert capsys.readouterr().err.startswith("Error: The ")


def spoil(folder, name: str) -> None:
    """Damage a model folder in a way that users meet."""
    file, config = folder / "generator.safetensors", json.loads((folder / "config.json").read_text())
    if name == "missing":
        file.unlink()
    elif name == "cut short":
        file.write_bytes(file.read_bytes()[:-100])
    elif name == "no weights":
        file.write_bytes(b"\xff" * 1000)
    elif name == "other width":
        config["generator"]["width"] = 24
    elif name == "absurd width":
        config["generator"]["width"] = 10**12
    elif name == "many blocks":
        config["generator"]["blocks"] = 10**9
    elif name == "text for a number":
        config["generator"]["kernel"] = "7"
    elif name == "unknown entry":
        config["generator"]["heads"] = 8
    else:
        del config["generator"]["width"]
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing", "generator.safetensors is missing"),
        ("cut short", "damaged"),
        ("no weights", "damaged"),
        ("other width", "another architecture"),
        ("absurd width", "1 to 1024"),
        ("many blocks", "1 to 64"),
        ("text for a number", 'kernel is "7"'),
        ("unknown entry", "heads"),
        ("missing entry", "width"),
    ],
)
def test_a_damaged_model_is_told_in_one_sentence(folder, name, says):
    spoil(folder, name)
    with pytest.raises(ModelError, match=says):
        read_generator(load_config(folder))


def test_weights_survive_the_way_through_the_folder(folder):
    read = read_generator(load_config(folder))
    assert not read.training and read.config == SMALL
    assert all(torch.equal(a, b) for a, b in zip(read.state_dict().values(), taught().state_dict().values()))


def test_shipped_models_can_be_exported():
    checked = checked_onnx(find_model("default"), "fp32", example_sound(seconds=3), SAMPLERATE)
    assert checked.worst.size < 1e-4


def test_half_precision_is_half_as_large_and_nearly_the_same():
    generator = taught(GeneratorConfig())
    half = to_fp16(generator)
    onnx.checker.check_model(half, full_check=True)
    assert len(half) < 0.6 * len(onnx_bytes(generator))
    sizes = [d.size for d in differences(generator, half, example_sound(seconds=6), SAMPLERATE)]
    assert 0 < max(sizes) < 5e-3
    assert all(p.dtype == torch.float32 for p in generator.parameters()), "the generator was changed"


def test_eight_bits_are_scaled_by_what_the_examples_hold():
    generator = taught(replace(SMALL, width=128))
    examples = [real_inputs(example_sound(seconds=3), SAMPLERATE, rate, SMALL.noise) for rate in (0.6, 1.5)]
    small = to_int8(onnx_bytes(generator), examples)
    onnx.checker.check_model(small, full_check=True)
    assert len(small) < 0.67 * len(onnx_bytes(generator))
    sizes = [d.size for d in differences(generator, small, example_sound(seconds=3), SAMPLERATE)]
    assert 1e-4 < max(sizes) < 0.1


def test_int8_needs_pairs(folder, tmp_path, capsys):
    assert run(["export-onnx", "-m", str(folder), "-o", str(tmp_path / "small.onnx"), "-p", "int8"]) == 2
    assert "--pairs" in capsys.readouterr().err and not (tmp_path / "small.onnx").exists()


@pytest.fixture
def pairs(tmp_path):
    """A list of one pair: a voice and its half speed by another setting."""
    y = voice(2, 16000)
    soundfile.write(tmp_path / "in.wav", y, 16000)
    soundfile.write(tmp_path / "out.wav", tsmgan.stretch(y, 16000, 0.5, coherence=1.0), 16000)
    (tmp_path / "pairs.csv").write_text("input,reference,rate,kind\nin.wav,out.wav,0.5,speech\n")
    return tmp_path / "pairs.csv"


@pytest.mark.parametrize(("change", "code"), [(-0.019, 0), (-0.021, 1)])
def test_int8_that_costs_quality_is_not_written(folder, tmp_path, pairs, monkeypatch, capsys, change, code):
    monkeypatch.setattr(precision_module, "pesq_change", lambda *_: change)
    target = tmp_path / "small.onnx"
    assert run(["export-onnx", "-m", str(folder), "-o", str(target), "-p", "int8", "--pairs", str(pairs)]) == code
    assert target.exists() == (code == 0)
    assert f"{abs(change):.3f}" in capsys.readouterr().err


def test_quality_is_compared_through_the_whole_stretcher(folder, pairs):
    pytest.importorskip("pesq")
    model = load_config(folder)
    pair = Pair(pairs.parent / "in.wav", pairs.parent / "out.wav", 0.5, "speech", "in.wav", "out.wav")
    content = (folder / "generator.onnx").read_bytes()
    other = taught(seed=3)
    with torch.no_grad():
        other.outlet.bias[:20] = -20.0  # no coherence
        other.outlet.bias[40:60] = torch.tensor([5.0, -5.0]).repeat(10)  # gains at their bounds
    assert pesq_change(model, content, content, [pair]) == 0
    assert abs(pesq_change(model, content, onnx_bytes(other), [pair])) > 0.02
    with pytest.raises(TsmganError, match="no speech"):
        pesq_change(model, content, content, [replace(pair, kind="music")])


def test_the_model_folder_is_left_as_it_was(folder, tmp_path):
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert run(["export-onnx", "-m", str(folder), "-o", str(tmp_path / "x.onnx"), "-p", "fp16"]) == 0
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_smaller_precision_runs_as_a_file_alone(folder, tmp_path, pairs, monkeypatch, precision):
    monkeypatch.setattr(precision_module, "pesq_change", lambda *_: 0.0)
    target = tmp_path / "small.onnx"
    assert run(["export-onnx", "-m", str(folder), "-o", str(target), "-p", precision, "--pairs", str(pairs)]) == 0
    y = voice(1, SAMPLERATE)
    small, full = (tsmgan.stretch(y, SAMPLERATE, 0.7, model=str(model)) for model in (target, folder))
    assert small.shape == full.shape and 0 < np.abs(small).max() < 2
