"""Promises of models from strangers: what is no generator is refused in a sentence, and nothing waits for it or runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

import tsmgan
from tsmgan.cli import run
from tsmgan.core.field import Field, Seen
from tsmgan.errors import ModelError
from tsmgan.models import LARGEST_CONTEXT, find_model, open_decider
from tsmgan.onnx_file import OPERATORS, read_metadata, require_generator

ROOT = Path(__file__).parents[1]
SHIPPED = find_model().onnx.read_bytes()


@pytest.fixture
def model(tmp_path):
    """A copy of the default model's folder."""
    return shutil.copytree(find_model().path, tmp_path / "model")


def use(path, **options) -> Field:
    """Run a model on half a second of nothing."""
    generator = open_decider(find_model(path), "cpu", **options)
    frames = 50 + 2 * generator.context
    seen = Seen(np.zeros((frames, 130), np.float32), np.full(frames, 0.8), np.zeros((frames, generator.noise), np.float32))
    return generator.decide([seen])[0]


def changed(change) -> bytes:
    """The shipped generator after a change of its protocol buffer."""
    onnx = pytest.importorskip("onnx")
    content = onnx.load_model_from_string(SHIPPED)
    change(onnx, content)
    return content.SerializeToString()


def test_the_folder_of_a_run_is_answered_with_its_model(tmp_path):
    shutil.copytree(find_model().path, tmp_path / "run/model")
    with pytest.raises(ModelError, match=f"so it is no model folder; give {tmp_path}/run/model, which is one"):
        find_model(str(tmp_path / "run"))


# -- files that are no files -----------------------------------------------------------------------------------------------------------


def special(kind: str, place) -> None:
    """Something at a place that is no regular file."""
    place.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "device":
        place.symlink_to("/dev/zero")
    else:
        place.mkdir()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
@pytest.mark.parametrize("name", ["config.json", "generator.onnx"])
def test_pipes_devices_and_folders_in_a_model_are_refused_and_not_waited_for(model, kind, name):
    special(kind, model / name)
    with pytest.raises(ModelError, match="no regular file"):
        use(model)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_weights_that_are_no_regular_file_are_refused_and_not_waited_for(model, kind):
    export = pytest.importorskip("tsmgan.export.onnx")
    special(kind, model / "generator.safetensors")
    with pytest.raises(ModelError, match="no regular file"):
        export.read_generator(find_model(model))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_model_that_is_a_pipe_or_a_device_is_refused(tmp_path, kind):
    special(kind, tmp_path / "x.onnx")
    with pytest.raises(ModelError, match="no regular file"):
        find_model(tmp_path / "x.onnx")


@pytest.mark.parametrize(
    "text",
    [
        '{"format": 2, "generator": {"context": ' + "9" * 5000 + "}}",
        '{"format": -' + "9" * 5000 + "}",
        '{"format": 2, "generator": {"context": NaN}}',
        '{"format": 2, "generator": {"context": 1e999, "noise": 4, "features": 130, "bands": 20}}',
        '{"format": true, "generator": {}}',
        '{"format": {"a": [1, 2]}, "generator": {}}',
        '{"a":' * 100_000,
        "\ud800".encode("utf-8", "surrogatepass"),
        b"\xff\xfe",
    ],
)
def test_a_config_of_absurd_values_is_refused_in_a_sentence(model, text):
    (model / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ModelError):
        use(model)


def test_training_export_and_stretching_keep_to_one_limit_of_the_context(model):
    config = json.loads((model / "config.json").read_text())
    for context in (LARGEST_CONTEXT, LARGEST_CONTEXT + 1):
        config["generator"]["context"] = context
        (model / "config.json").write_text(json.dumps(config))
        if context <= LARGEST_CONTEXT:
            tsmgan.stretch(np.zeros(24000, np.float32), 24000, 0.5, model=str(model))
        else:
            with pytest.raises(ModelError, match=f"to {LARGEST_CONTEXT} can be"):
                use(model)


# -- what an ONNX file may hold --------------------------------------------------------------------------------------------------------


def endless_loop(onnx, content) -> None:
    """The first output goes through a loop whose condition stays true."""
    helper, proto = onnx.helper, onnx.TensorProto
    same = helper.make_node("Identity", ["going"], ["on"])
    carried = helper.make_node("Identity", ["value"], ["value out"])
    body = helper.make_graph(
        [same, carried],
        "body",
        [
            helper.make_tensor_value_info("turn", proto.INT64, []),
            helper.make_tensor_value_info("going", proto.BOOL, []),
            helper.make_tensor_value_info("value", proto.FLOAT, None),
        ],
        [helper.make_tensor_value_info("on", proto.BOOL, []), helper.make_tensor_value_info("value out", proto.FLOAT, None)],
    )
    content.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "always"))
    producer = next(node for node in content.graph.node if "coherence" in node.output)
    producer.output[list(producer.output).index("coherence")] = "before the loop"
    content.graph.node.append(helper.make_node("Loop", ["", "always", "before the loop"], ["coherence"], body=body))


def operator(kind: str, domain: str = ""):
    return lambda onnx, content: content.graph.node.append(onnx.helper.make_node(kind, ["features"], ["more"], domain=domain))


def graph_inside(onnx, content) -> None:
    content.graph.node[0].attribute.append(onnx.helper.make_attribute("body", content.graph.__class__(name="inner")))


def function(onnx, content) -> None:
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    content.functions.append(onnx.helper.make_function("own", "F", ["x"], ["y"], [node], [onnx.helper.make_opsetid("", 20)]))


def sparse(onnx, content) -> None:
    content.graph.sparse_initializer.add().dims.append(3)


def training(onnx, content) -> None:
    content.training_info.add()


def elsewhere(attribute: bool):
    def change(onnx, content) -> None:
        if attribute:
            tensor = next(a.t for node in content.graph.node for a in node.attribute if a.name == "value")
        else:
            tensor = content.graph.initializer[0]
        tensor.external_data.add(key="location", value="secret.bin")

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (endless_loop, "'Loop'|inside an operator"),
        (operator("Scan"), "'Scan'"),
        (operator("If"), "'If'"),
        (operator("RandomNormalLike"), "'RandomNormalLike'"),
        (operator("Gelu", "com.microsoft"), r"'com\.microsoft\.Gelu'"),
        (operator("Add", "somebody.else"), r"'somebody\.else\.Add'"),
        (operator("x" * 10**6), "operator"),
        (graph_inside, "inside an operator"),
        (function, "functions"),
        (training, "training"),
        (sparse, "sparse"),
        (elsewhere(False), "another file"),
        (elsewhere(True), "another file"),
    ],
)
def test_what_no_generator_needs_is_refused_before_it_runs(model, change, says):
    (model / "generator.onnx").write_bytes(changed(change))
    with pytest.raises(ModelError, match=says) as caught:
        use(model)
    assert len(str(caught.value)) < 500


def fields(content: bytes, *path: int) -> tuple[int, int]:
    """Start and end of the first field at a path of field numbers, for tests that spoil encodings."""

    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            value |= (content[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if content[at - 1] < 128:
                return value, at

    start, end = 0, len(content)
    for wanted in path:
        while True:
            assert start < end
            tag, at = varint(start)
            length, first = varint(at) if tag & 7 == 2 else (varint(at)[1] - at, at)
            if tag >> 3 == wanted:
                start, end = (first, first + length)
                break
            start = first + length
    return start, end


def message(*parts: tuple[int, bytes]) -> bytes:
    """A protocol buffer of fields that hold bytes; each shorter than 128 bytes, or with a long length."""

    def varint(value: int) -> bytes:
        out = bytearray()
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        return bytes([*out, value])

    return b"".join(varint(number << 3 | 2) + varint(len(value)) + value for number, value in parts)


def test_no_padded_tag_or_length_hides_that_a_tensor_is_kept_in_another_file(model):
    location = message((1, b"location"), (2, b"secret.bin"))
    for hidden in (b"\xea\x80\x00", b"\xea\x80\x80\x00", b"\xea\x80\x80\x80\x80\x00"):  # field 13, padded
        tensor = message((8, b"w")) + hidden + bytes([len(location)]) + location
        (model / "generator.onnx").write_bytes(SHIPPED + message((7, message((5, tensor)))))
        with pytest.raises(ModelError, match="damaged or no ONNX file"):
            use(model)


@pytest.mark.parametrize(
    "added",
    [
        b"\x00\x00",  # field 0
        b"\x3b\x3c",  # a group, which ends
        b"\x3c",  # an end of a group
        b"\x3e\x00",  # wire type 6
        b"\x38\x00",  # the graph as a number
        b"\x3a\xff\xff\xff\xff\x0f",  # longer than the file
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # more than 64 bits
        b"\x3a",  # nothing behind the tag
        b"\x08" + b"\xff" * 20,
        b"\xba\x80\x00\x00",  # a padded tag
        b"\x3a\x80\x00",  # a padded length
    ],
)
def test_encodings_that_no_serialiser_writes_are_refused(added):
    require_generator(SHIPPED)
    with pytest.raises(ModelError, match="damaged or no ONNX file"):
        require_generator(SHIPPED + added)


def test_a_second_graph_is_checked_as_the_first_is(model):
    """Protocol buffers join the parts of a message that is given twice."""
    (model / "generator.onnx").write_bytes(SHIPPED + message((7, message((1, message((1, b"features"), (2, b"x"), (4, b"Loop")))))))
    with pytest.raises(ModelError, match="'Loop'"):
        use(model)


def test_a_file_of_very_many_fields_is_given_up_on():
    with pytest.raises(ModelError, match="more fields"):
        require_generator(message((7, b"\x12\x00" * 10**6)))


@pytest.mark.parametrize("seed", range(20))
def test_any_damage_to_a_generator_is_a_sentence_or_harmless(seed):
    chance = np.random.default_rng(seed)
    content = np.frombuffer(SHIPPED, np.uint8).copy()
    start, _ = fields(SHIPPED, 7)
    places = chance.integers(0, start + 60_000, 30)
    content[places] = chance.integers(0, 256, len(places))
    for check in (require_generator, read_metadata):
        try:
            check(content.tobytes())
        except ModelError as error:
            assert str(error).endswith(".")


def test_the_runtime_reads_no_other_format_than_the_one_that_was_checked(model):
    """A file can begin as ONNX Runtime's own format does, and be a protocol buffer all the same."""
    (model / "generator.onnx").write_bytes(b"\x12\x06\x08\x00ORTM" + SHIPPED)
    assert np.isfinite(use(model).coherence).all()


# -- an ONNX file as a model ------------------------------------------------------------------------------------------------------------


def test_an_exported_file_alone_stretches_as_its_folder_does(tmp_path):
    (tmp_path / "own.onnx").write_bytes(SHIPPED)
    y = np.random.default_rng(0).uniform(-0.5, 0.5, 30000).astype(np.float32)
    alone = tsmgan.stretch(y, 24000, 1.3, model=str(tmp_path / "own.onnx"))
    assert np.array_equal(alone, tsmgan.stretch(y, 24000, 1.3))


@pytest.mark.parametrize(
    "command",
    [
        ["stretch", "in.wav", "--rate", "1.5", "-o", "out.wav", "-m", "own.onnx"],
        ["stretch", "in.wav", "copy.wav", "--rate", "1.5", "-o", "out", "--jobs", "1", "-m", "own.onnx"],
        ["plot", "in.wav", "--rate", "1.5", "-o", "out.png", "-m", "own.onnx"],
        ["compare", "in.wav", "--rate", "1.5", "-o", "out.html", "--with", "none", "--no-synthetic", "-m", "own.onnx"],
        ["evaluate", "pairs.csv", "--methods", "tsmgan:model=own.onnx", "--jobs", "1"],
        pytest.param(["benchmark", "in.wav", "--peers", "none", "--runs", "1", "-m", "own.onnx"], marks=pytest.mark.slow),
    ],
    ids=lambda command: f"{command[0]} {command[2]}",
)
def test_every_command_takes_an_exported_file(folder, command):
    pytest.importorskip("matplotlib")
    (folder / "own.onnx").write_bytes(SHIPPED)
    t = np.arange(24000) / 24000
    for name in ("in.wav", "copy.wav"):
        soundfile.write(name, 0.3 * np.sin(2 * np.pi * 220 * t) * (t % 0.5 < 0.4), 24000)
    soundfile.write("half.wav", np.zeros(16000) + 0.1 * np.sin(2 * np.pi * 220 * t[:16000]), 24000)
    Path("pairs.csv").write_text("input,reference,rate,kind\nin.wav,half.wav,1.5,music\n")
    assert run(command) == 0


def test_an_exported_files_config_is_validated_as_a_folders_is(tmp_path):
    def config(text: str):
        def change(onnx, content) -> None:
            del content.metadata_props[:]
            onnx.helper.set_model_props(content, {"config": text})

        return change

    file = tmp_path / "own.onnx"
    told = json.loads(read_metadata(SHIPPED)["config"])
    for text in ("{", "[]", '{"format": ' + "9" * 5000 + "}", " " * (1 << 21), json.dumps(told | {"format": 7})):
        file.write_bytes(changed(config(text)))
        with pytest.raises(ModelError):
            find_model(file)
    told["generator"]["context"] = 10**6
    file.write_bytes(changed(config(json.dumps(told))))
    with pytest.raises(ModelError, match="context"):
        use(file)


def test_an_onnx_file_of_another_program_and_a_file_that_is_none_are_told(tmp_path):
    file = tmp_path / "own.onnx"
    file.write_bytes(changed(lambda onnx, content: content.ClearField("metadata_props")))
    with pytest.raises(ModelError, match="no `config` in its metadata"):
        find_model(file)
    file.write_bytes(b"RIFF" + bytes(1000))
    with pytest.raises(ModelError, match="no ONNX file"):
        find_model(file)


def test_a_file_without_weights_cannot_be_exported_and_says_what_can(folder, capsys):
    pytest.importorskip("torch")
    (folder / "own.onnx").write_bytes(SHIPPED)
    assert run(["export-onnx", "-m", "own.onnx", "-o", "again.onnx"]) == 1
    assert "give the model's folder" in capsys.readouterr().err and not Path("again.onnx").exists()


# -- what a network may take -----------------------------------------------------------------------------------------------------------


def enormous(side: int):
    def change(onnx, content) -> None:
        graph, helper = content.graph, onnx.helper
        one = onnx.numpy_helper.from_array(np.ones(1, np.float32))
        graph.initializer.append(onnx.numpy_helper.from_array(np.array([side, side], np.int64), "sides"))
        graph.node.append(helper.make_node("ConstantOfShape", ["sides"], ["square"], value=one))
        graph.node.append(helper.make_node("ReduceMean", ["square"], ["mean"], keepdims=0))
        producer = next(node for node in graph.node if "coherence" in node.output)
        producer.output[list(producer.output).index("coherence")] = "usual"
        graph.node.append(helper.make_node("Mul", ["usual", "mean"], ["coherence"]))

    return change


def test_a_network_that_asks_for_gigabytes_is_stopped_and_others_go_on(model, tmp_path):
    (model / "generator.onnx").write_bytes(changed(enormous(200_000)))
    with pytest.raises(ModelError, match="memory"):
        use(model)
    assert np.isfinite(use("default").coherence).all()


def slow(known: bool):
    """Two hundred roots of sixty million numbers, which are known in advance or depend on the features."""

    def change(onnx, content) -> None:
        enormous(8000)(onnx, content)
        graph, helper = content.graph, onnx.helper
        mean, square = (next(node for node in graph.node if name in node.output) for name in ("mean", "square"))
        graph.node.remove(mean)
        graph.node.remove(square)
        graph.node.append(helper.make_node("ReduceMean", ["features"], ["level"], keepdims=0))
        graph.node.append(helper.make_node("Cast", ["level"], ["zero"], to=onnx.TensorProto.INT64))
        graph.node.append(helper.make_node("Add", ["sides", "zero"], ["seen sides"]))
        if not known:
            square.input[0] = "seen sides"
        graph.node.append(square)
        for k in range(200):
            graph.node.append(helper.make_node("Sqrt", [f"root {k}" if k else "square"], [f"root {k + 1}"]))
        graph.node.append(helper.make_node("ReduceMean", ["root 200"], ["mean"], keepdims=0))
        multiply = next(node for node in graph.node if "coherence" in node.output)
        graph.node.remove(multiply)
        graph.node.append(multiply)

    return change


def test_a_run_that_takes_too_long_is_stopped(model):
    (model / "generator.onnx").write_bytes(changed(slow(known=False)))
    with pytest.raises(ModelError, match="longer than"):
        use(model, time_limit=2.0)
    running = [thread for thread in threading.enumerate() if thread.name == "tsmgan-network"]
    for thread in running:
        thread.join(30)
    assert not any(thread.is_alive() for thread in running), "the run was not told to stop"


def test_a_network_that_takes_too_long_to_load_is_given_up_and_does_not_keep_the_process(model):
    (model / "generator.onnx").write_bytes(changed(slow(known=True)))
    script = (
        "import sys\nfrom tsmgan.errors import ModelError\n"
        "from tsmgan.models import find_model, open_decider\n"
        "try:\n    open_decider(find_model(sys.argv[1]), 'cpu', time_limit=2.0)\nexcept ModelError as error:\n    sys.exit(str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(model)], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 1 and "given up after 2 s" in done.stderr and len(done.stderr.splitlines()) == 1


def test_each_operator_that_is_allowed_is_one_of_onnx():
    onnx = pytest.importorskip("onnx")
    for name in OPERATORS:
        assert onnx.defs.get_schema(name, 20).domain == ""
