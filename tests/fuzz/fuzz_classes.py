"""Cases of every class by number: broken recordings, and what else has broken the program, with what must hold for each.

A number stands for one case of one class anywhere. Slow classes are rare.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
from fuzz_cases import Verdict, case_by_number, judge

import tsmgan
from tsmgan.batch.plan import Task
from tsmgan.batch.work import stretch_task
from tsmgan.core.field import BANDS, Field
from tsmgan.errors import ModelError, TsmganError, UsageError
from tsmgan.models import find_model
from tsmgan.options import StretchOptions

WINDOW_SECONDS, FRAME_SECONDS = 0.05, 0.04
"""What is heard as one level in the output, and what the stretcher looks at in the input."""
MOST_GAIN = 10 ** (3 / 20)
"""By which the output's RMS may exceed the input's."""
FLOOR = 1e-4
"""Added to what the output may be."""
MOST_FIELD_GAIN = 100.0
"""By which the output's peak may exceed the input's, whatever a model decides."""
IN_OPEN = 0x20
"""inotify's event for a file that is opened."""
OK, REFUSED = Verdict(False, None), Verdict(True, None)


def _rate(chance: random.Random) -> float:
    return round(chance.choice([0.05, 20.0, float(np.exp(chance.uniform(np.log(0.05), np.log(20)))), chance.uniform(0.3, 3)]), 4)


SOUNDS = ("tone", "offset", "hum", "pulses", "noise", "clicks", "silence")


def sound(chance: random.Random, channels: int, samplerate: int, seconds: float) -> np.ndarray:
    """One to three of SOUNDS, (channels, samples) float32."""
    rng, count = np.random.default_rng(chance.getrandbits(32)), max(1, round(seconds * samplerate))
    y = np.zeros((channels, count))
    for _ in range(chance.choice([1, 1, 2, 3])):
        part = sound_part(chance.choice(SOUNDS), chance, count, samplerate, rng)
        y += chance.choice([1e-5, 0.01, 0.1, 0.7]) * rng.uniform(0.3, 1, (channels, 1)) * part
    return np.clip(y, -1, 1).astype(np.float32)


def sound_part(
    kind: str, chance: random.Random, count: int, samplerate: int, rng: np.random.Generator | None = None
) -> np.ndarray:  # fmt: skip
    """One of SOUNDS, (count,) float64, with a peak near 1 but for almost silence; the chance chooses its pitch."""
    rng, hz, t = rng or np.random.default_rng(chance.getrandbits(32)), chance.uniform(30, 0.45 * samplerate), np.arange(count) / samplerate
    if kind == "tone":
        return np.sin(2 * np.pi * hz * t + chance.uniform(0, 6))
    if kind == "offset":
        return np.ones(count)
    if kind == "hum":
        return sum(np.sin(2 * np.pi * 50 * k * t) / k for k in range(1, 8) if 50 * k < samplerate / 2) + 0 * t
    if kind == "pulses":
        return np.diff(np.floor(np.cumsum(np.full(count, chance.uniform(60, 300) / samplerate))), prepend=0.0)
    if kind == "noise":
        return rng.standard_normal(count) / 4
    if kind == "clicks":
        return (rng.random(count) < 5 / samplerate).astype(float)
    return np.full(count, 1e-7) * rng.standard_normal(count)


def _example(chance: random.Random) -> tuple[np.ndarray, int]:
    """A small sound and its sample rate."""
    samplerate = chance.choice([1000, 4000, 8000, 8000, 11025, 16000, 48000])
    seconds = chance.uniform(0.05, 0.3 if samplerate <= 8000 else 0.12)
    return sound(chance, chance.choice([1, 1, 2, 3]), samplerate, seconds), samplerate


def _rms(y: np.ndarray, window: int) -> np.ndarray:
    """RMS of y (channels, samples), over all channels, of every window inside it."""
    window = min(window, y.shape[1])
    total = np.concatenate([[0.0], np.cumsum((y.astype(np.float64) ** 2).mean(axis=0))])
    return np.sqrt(np.maximum(total[window:] - total[:-window], 0) / window)


def _frame_levels(y: np.ndarray, width: int) -> np.ndarray:
    """RMS of y (channels, samples), over all channels, in a Hann-weighted frame of `width` samples around every sample.

    Of frames that reach beyond the recording, what lies inside counts alone.
    """
    weight, samples = np.hanning(width + 2) ** 2, np.stack([(y.astype(np.float64) ** 2).mean(axis=0), np.ones(y.shape[1])])
    power, inside = (np.convolve(each, weight)[(width + 1) // 2 :][: y.shape[1]] for each in samples)
    return np.sqrt(power / inside)


def loudness_fault(y: np.ndarray, out: np.ndarray, samplerate: int, rate: float) -> str | None:
    """Where 50 ms of the output are more than 3 dB louder than every frame and every 50 ms of the input that the map sees there."""
    # An output that is shorter is compared with pieces of its own length.
    window, frame = min(round(WINDOW_SECONDS * samplerate), out.shape[1]), round(FRAME_SECONDS * samplerate)
    seen, framed, heard = _rms(y, window), _frame_levels(y, frame), _rms(out, window)
    for at in range(0, len(heard), max(1, window // 4)):
        # Frames that the output's window consists of are centred up to half a frame outside it.
        first, last = int(at * rate) - frame // 2, int((at + window) * rate) + frame // 2
        level = max(_most(framed, first, last), _most(seen, first - frame // 2, last + frame // 2 - window))
        if heard[at] > MOST_GAIN * level + FLOOR:
            return f"RMS {heard[at]:.4g} at {at / samplerate:.3f} s, where the input has {level:.4g}"
    return None


def _most(levels: np.ndarray, first: int, last: int) -> float:
    """The largest of the levels with these numbers, or of the nearest one."""
    first = min(max(first, 0), len(levels) - 1)
    return float(levels[first : max(last, first) + 1].max())


def _stretch_fault(y: np.ndarray, out: np.ndarray, rate: float) -> str | None:
    """What is wrong with any output."""
    if out.shape != (*y.shape[:-1], round(y.shape[-1] / rate)):
        return f"shape {out.shape} of {y.shape} at rate {rate}"
    return None if np.isfinite(out).all() else "samples that are not finite"


def explosion(chance: random.Random, folder: Path) -> Verdict:
    """Nothing gets louder than it was, at any rate."""
    (y, samplerate), rate = _example(chance), _rate(chance)
    coherence = chance.choice([None, None, None, 0.0, 1.0])
    out = tsmgan.stretch(y, samplerate, rate, coherence=coherence)
    return Verdict(False, _stretch_fault(y, out, rate) or loudness_fault(y, out, samplerate, rate))


def buffers(chance: random.Random, folder: Path) -> Verdict:
    """A caller may refill one array a block."""
    y, samplerate = _example(chance)
    rate, outputs = max(_rate(chance), 0.3), []
    cuts = sorted(chance.randrange(y.shape[1] + 1) for _ in range(chance.randrange(1, 12)))
    pieces, dtype = np.split(y, cuts, axis=1), chance.choice([np.float32, np.float64])
    buffer = np.zeros((len(y), max(piece.shape[1] for piece in pieces)), dtype)
    for is_refilled in (False, True):
        stretcher, out = tsmgan.Stretcher(samplerate, len(y), rate=rate), []
        for piece in pieces:
            block = buffer[:, : piece.shape[1]] if is_refilled else piece.astype(dtype)
            block[:] = piece
            out.append(stretcher.process(block).copy())
            buffer[:] = chance.choice([0, 1, 0.5])
        outputs.append(np.concatenate([*out, stretcher.flush()], axis=1))
    return Verdict(False, None if np.array_equal(*outputs) else "another output from a buffer that is refilled")


def arrays(chance: random.Random, folder: Path) -> Verdict:
    """Arrays of any shape, type and order give what their samples mean, or a UsageError."""
    samplerate, rate = 1000, chance.choice([0.5, 1.0, 1.3, 2.0])
    kind = chance.choice(["transposed", "channels", "type", "type", "order", "shape", "empty"])
    y = sound(chance, chance.choice([1, 2]), samplerate, chance.uniform(0.05, 0.4))
    expected = y
    if kind == "transposed":
        y = np.zeros((chance.randrange(100, 1500), chance.choice([1, 2, 6])), np.float32)
    elif kind == "channels":
        y = np.zeros((chance.randrange(1025, 1200), chance.randrange(1, 1500)), np.float32)
    elif kind == "type":
        y, expected = _typed(
            y, chance.choice(["i2", ">i2", "i4", ">i4", "u1", ">f4", ">f8", "f8", "f2", "?", "c8", "O", "i8", "U4", "M8[s]"])
        )
    elif kind == "order":
        y = chance.choice([np.asfortranarray(y), y[:, ::-1][:, ::-1], np.repeat(y, 2, axis=1)[:, ::2]])
        y.flags.writeable = chance.random() < 0.5
    elif kind == "shape":
        y = chance.choice([y[None], np.float32(1), y[:, :1], np.zeros((0, 5), np.float32), np.broadcast_to(np.float32(0.1), (2, 300))])
    else:
        y = chance.choice([y[:, :0], y[0, :0], np.zeros(0), np.zeros((1, 0, 0)), []])
    try:
        out = tsmgan.stretch(y, samplerate, rate)  # type: ignore[arg-type]
    except UsageError as error:
        if kind in ("transposed", "channels") and "looks transposed" not in str(error):
            return Verdict(True, f"not told what is wrong with a transposed array: {error}")
        must = kind == "order" or (kind == "type" and expected is not None)
        return Verdict(True, f"{y.dtype} {y.shape} is refused: {error}" if must else None)  # type: ignore[union-attr]
    if kind in ("transposed", "channels"):
        return Verdict(False, f"an array of shape {y.shape} is stretched")  # type: ignore[union-attr]
    if kind in ("type", "order") and expected is not None:
        error = np.abs(out - tsmgan.stretch(expected, samplerate, rate)).max()
        return Verdict(False, None if error < 1e-4 else f"{y.dtype} samples are {error:.3g} from what they mean")  # type: ignore[union-attr]
    return Verdict(False, _stretch_fault(np.asarray(y), out, rate))


def _typed(y: np.ndarray, code: str) -> tuple[np.ndarray, np.ndarray | None]:
    """y as another type, and what its samples mean as `soundfile` scales them; None where they mean nothing."""
    dtype, y = np.dtype(code), 0.9 * np.clip(y, -1, 1)
    if dtype.kind == "i" and dtype.itemsize <= 4:
        full = 2.0 ** (8 * dtype.itemsize - 1)
        made = np.rint(y.astype(np.float64) * (full - 1)).astype(dtype)
        return made, (made.astype(np.float64) / full).astype(np.float32)
    if dtype == np.uint8:
        made = np.rint(y * 127 + 128).astype(dtype)
        return made, ((made.astype(np.float32) - 128) / 128).astype(np.float32)
    if dtype.kind == "M":
        return np.zeros(y.shape, dtype), None
    return y.astype(dtype), y if dtype.kind == "f" and dtype.itemsize >= 4 else None


class Canary:
    """Tells whether a file was opened, by whatever part of the process (Linux only; elsewhere it never was)."""

    def __init__(self, path: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        if self._libc is not None:
            self._watch = self._libc.inotify_init1(os.O_NONBLOCK)
            self._libc.inotify_add_watch(self._watch, os.fsencode(path), IN_OPEN)

    def was_opened(self) -> bool:
        """Whether it was, up to now."""
        if self._libc is None:
            return False
        try:
            return bool(os.read(self._watch, 4096))
        except BlockingIOError:
            return False
        finally:
            os.close(self._watch)


LISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{0}\n#EXT-X-ENDLIST\n",
    "m3u": "{0}\n",
    "ffconcat": "ffconcat version 1.0\nfile '{0}'\n",
    "cue": 'FILE "{0}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
    "pls": "[playlist]\nFile1={0}\nNumberOfEntries=1\nVersion=2\n",
    "xspf": '<?xml version="1.0"?><playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList><track><location>{0}</location>'
    "</track></trackList></playlist>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=audio 0 {0} 0\n",
    "mpd": '<?xml version="1.0"?><MPD><Period><AdaptationSet><Representation><BaseURL>{0}</BaseURL></Representation></AdaptationSet>'
    "</Period></MPD>",
}


def named_files(chance: random.Random, folder: Path) -> Verdict:
    """Only the file that was named is read."""
    canary = folder / "canary.wav"
    soundfile.write(canary, sound(chance, 1, 8000, 0.2).T, 8000)
    name = chance.choice(["{}", "{}", "file://{}", "file:{}", "concat:{}", "subfile,,start,0,end,0,,:{}", "crypto:{}"])
    content = LISTS[chance.choice(sorted(LISTS))].format(name.format(chance.choice([canary, canary.name]))).encode()
    if chance.random() < 0.6:
        at = chance.choice([len(content), content.find(b"\n") + 1, chance.randrange(len(content) + 1)])
        content = content[:at] + chance.choice([b"\0", b"\0" * 50, b"\n\0\n", b"\xff\xfe"]) + content[at:]
    source = folder / f"in.{chance.choice([*LISTS, 'm4a', 'mp4', 'webm', 'wav', 'mka', 'txt'])}"
    source.write_bytes(content)
    watch = Canary(canary)
    entry = stretch_task(Task(str(source), str(folder), "out.wav", StretchOptions(rate=1.3, salvage=chance.random() < 0.3)))
    return Verdict(entry.error is not None, "another file was opened" if watch.was_opened() else _sentence_fault(entry.error))


def _sentence_fault(error: str | None) -> str | None:
    return error if error is not None and (error.startswith("Internal") or "\n" in error) else None


def _model(folder: Path, values: dict[str, float], odd: str | None) -> Path:
    """A model folder whose generator decides the same everywhere; odd: an operator that no generator needs, put before an output."""
    from onnx import TensorProto, helper, numpy_helper

    frames, nodes = ["batch", "frames"], [helper.make_node("Shape", ["log_rate"], ["shape"])]
    bands = numpy_helper.from_array(np.array([20], np.int64), "bands")
    nodes.append(helper.make_node("Concat", ["shape", "bands"], ["full"], axis=0))
    constants = [numpy_helper.from_array(np.array([[[value]]], np.float32), f"{name}_value") for name, value in values.items()]
    for name in values:
        last = f"{name}_plain" if odd and name == "texture" else name
        nodes.append(helper.make_node("Expand", [f"{name}_value", "full"], [last]))
    if odd:
        nodes += _odd_nodes(odd, constants)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (
            ("features", [*frames, 130]),
            ("log_rate", frames),
            ("noise", [*frames, 4]),
            ("rule", [*frames, BANDS * len(Field._fields)]),
        )
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [*frames, 20]) for name in values]
    graph = helper.make_graph(nodes, "generator", inputs, outputs, [bands, *constants])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    folder.mkdir()
    config = json.loads((find_model().path / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generator.onnx").write_bytes(model.SerializeToString())
    return folder


def _odd_nodes(odd: str, constants: list[Any]) -> list[Any]:
    """Nodes from texture_plain to texture by way of an operator."""
    from onnx import TensorProto, helper, numpy_helper

    if odd == "Loop":
        constants += [numpy_helper.from_array(np.array(1000, np.int64), "trips"), numpy_helper.from_array(np.array(True), "go")]
        info = helper.make_tensor_value_info
        body = helper.make_graph(
            [helper.make_node("Identity", ["go_in"], ["go_out"]), helper.make_node("Identity", ["x_in"], ["x_out"])],
            "body",
            [info("k", TensorProto.INT64, []), info("go_in", TensorProto.BOOL, []), info("x_in", TensorProto.FLOAT, None)],
            [info("go_out", TensorProto.BOOL, []), info("x_out", TensorProto.FLOAT, None)],
        )
        return [helper.make_node("Loop", ["trips", "go", "texture_plain"], ["texture"], body=body)]
    if odd == "If":
        constants.append(numpy_helper.from_array(np.array(True), "go"))
        info = helper.make_tensor_value_info
        branches = [
            helper.make_graph([helper.make_node("Neg", ["texture_plain"], [f"{name}_x"])], name, [], [info(f"{name}_x", 1, None)])
            for name in ("yes", "no")
        ]
        return [helper.make_node("If", ["go"], ["texture"], then_branch=branches[0], else_branch=branches[1])]
    if odd == "Elsewhere":
        return [helper.make_node("Elsewhere", ["texture_plain"], ["texture"], domain="com.example")]
    random_like = helper.make_node("RandomNormalLike", ["texture_plain"], ["chance"])
    return [random_like, helper.make_node("Add", ["texture_plain", "chance"], ["texture"])]


def wild_fields(chance: random.Random, folder: Path) -> Verdict:
    """Whatever a model decides, the output is finite and bounded, or the model is refused."""
    wild = [1e30, -1e30, 3e38, np.nan, np.inf, -np.inf, 1e9, 100.0, -100.0, 5.0, -5.0]
    values = {name: 0.0 for name in ("coherence", "alpha_mix", "log_gain", "texture", "noise_share", "window", "grain")}
    for name in chance.sample(sorted(values), chance.choice([1, 1, 2, 5])):
        values[name] = chance.choice([chance.choice(wild), chance.uniform(-5, 5)])
    y, rate = sound(chance, 1, 8000, chance.uniform(0.05, 0.3)), max(0.2, _rate(chance))
    try:
        out = tsmgan.stretch(y, 8000, rate, model=str(_model(folder / "model", values, None)))
    except ModelError as error:
        # What is finite is clipped rather than refused.
        return Verdict(True, None if not np.isfinite(list(values.values())).all() else f"{values} are refused: {error}")
    fault = _stretch_fault(y, out, rate)
    if fault is None and np.abs(out).max(initial=0) > MOST_FIELD_GAIN * np.abs(y).max() + FLOOR:
        fault = f"a peak of {np.abs(out).max():.3g} from one of {np.abs(y).max():.3g}"
    return Verdict(False, fault and f"{fault} with {values}")


def operators(chance: random.Random, folder: Path) -> Verdict:
    """A model that needs more than a generator does is refused."""
    values = {name: 0.0 for name in ("coherence", "alpha_mix", "log_gain", "texture", "noise_share", "window", "grain")}
    odd = chance.choice(["Loop", "If", "Elsewhere", "RandomNormalLike"])
    try:
        tsmgan.stretch(np.zeros(800, np.float32), 8000, 1.3, model=str(_model(folder / "model", values, odd)))
    except ModelError:
        return REFUSED
    return Verdict(False, f"a model with {odd} is run")


@lru_cache(maxsize=1)
def _recipe_paths() -> list[str]:
    from tsmgan.training.recipe import load_recipe

    def paths(table: dict[str, Any], prefix: str) -> list[str]:
        below = {f"{prefix}{key}": value for key, value in table.items()}
        return [p for key, value in below.items() for p in (key, *(paths(value, f"{key}.") if isinstance(value, dict) else ()))]

    return paths(load_recipe("base").as_dict(), "")


def recipes(chance: random.Random, folder: Path) -> Verdict:
    """Any keys and values are a recipe or an error of ours."""
    from tsmgan.training.recipe import load_recipe

    values = ["0", "-1", "1e308", "-0.0", "nan", "inf", "1" + "0" * 400, "true", '""', '"x"', "[]", "[1]", "[[1]]", "[0.5, 2.0]", "{}"]
    values += ["{a = 1}", '{"*" = {world = -1}}', '{"*" = 1}', "1979-05-27", "99999999", "0.5", "3", "[1e999, 2]", "[nan, nan]", "[true]"]
    values += ["'", "\0", "[", "x = 1\ny = 2", "1_000", "0x10", "{", "\ud7ff", "2**3", "-5"]
    settings = []
    for _ in range(chance.choice([1, 1, 2, 4])):
        path = (
            chance.choice(_recipe_paths()) if chance.random() < 0.9 else chance.choice(["", ".", "a.b.c", "data", "data.", "train.x", "é"])
        )
        settings.append(f"{path}={chance.choice(values)}" if chance.random() < 0.97 else path)
    file = folder / "r.toml"
    try:
        if chance.random() < 0.5:
            load_recipe("base", settings)
        else:
            file.write_text("\n".join(settings), encoding="utf-8")
            load_recipe(str(file))
    except TsmganError:
        return REFUSED
    except Exception as error:
        return Verdict(False, f"{type(error).__name__}: {error} from {settings}"[:500])
    return OK


def _player() -> tuple[Any, Any]:
    import torch

    module = torch.nn.Linear(15, 10)
    return module, torch.optim.Adam(module.parameters())


@lru_cache(maxsize=1)
def _checkpoint() -> bytes:
    from tsmgan.training.checkpoint import State, save_checkpoint

    module, optimiser = _player()
    module(module.weight.new_ones(1, 15)).sum().backward()
    optimiser.step()
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "checkpoint.safetensors"
        save_checkpoint(file, {"generator": module}, {"generator": (module, optimiser)}, State(1, 0.5, {}, {"name": "x"}))
        return file.read_bytes()


def checkpoints(chance: random.Random, folder: Path) -> Verdict:
    """A damaged checkpoint is loaded or refused."""
    from tsmgan.training.checkpoint import load_checkpoint

    data, file = bytearray(_checkpoint()), folder / "checkpoint.safetensors"
    how = chance.choice(["truncate", "flip", "flip", "state", "type"])
    if how == "truncate":
        del data[chance.randrange(len(data)) :]
    elif how == "flip":
        for _ in range(chance.choice([1, 1, 2, 8])):
            data[chance.randrange(len(data)) if chance.random() < 0.5 else chance.randrange(min(len(data), 600))] ^= 1 << chance.randrange(
                8
            )
    else:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(bytes(data[8 : 8 + length]))
        if how == "state":
            states = ["[]", "1", "null", '"x"', "{}", '{"format": []}', "[" * 5000, "1" * 5000, '{"format": 1}']
            header["__metadata__"]["state"] = chance.choice(states)
        else:
            name = chance.choice([name for name in header if name != "__metadata__"])
            header[name]["dtype"] = chance.choice(["I32", "F16", "BOOL", "X", "I64", "U32"])
        text = json.dumps(header).encode()
        data = bytearray(len(text).to_bytes(8, "little") + text + data[8 + length :])
    file.write_bytes(data)
    module, optimiser = _player()
    try:
        load_checkpoint(file, {"generator": module}, {"generator": (module, optimiser)})
    except TsmganError:
        return REFUSED
    except Exception as error:
        return Verdict(False, f"{type(error).__name__}: {error}"[:300])
    return OK


def signals(chance: random.Random, folder: Path) -> Verdict:
    """A signal at any moment ends a run soon, with the code of the signal, without a traceback and without leftovers."""
    soundfile.write(folder / "in.wav", sound(chance, 1, 8000, 0.5).T, 8000)
    number = chance.choice([signal.SIGTERM, signal.SIGTERM, signal.SIGINT])
    command = [sys.executable, "-m", "tsmgan", "stretch", str(folder / "in.wav"), "-r", "1.3", "-o", str(folder / "out.wav")]
    heeds = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heeds)
    # Before that an interrupt meets the interpreter, not the program.
    time.sleep(chance.uniform(0.05 if number == signal.SIGTERM else 0.2, 1.0))
    process.send_signal(number)
    try:
        _, message = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Verdict(False, f"signal {int(number)} did not end it")
    codes = (0, -number, 128 + number)
    left = sorted({path.name for path in folder.iterdir()} - {"in.wav", "out.wav"})
    if process.returncode not in codes or "Traceback" in message or "Internal" in message or left:
        return Verdict(False, f"signal {int(number)}: code {process.returncode}, left {left}, {message[-300:]!r}")
    return Verdict(process.returncode != 0, None)


def recordings(chance: random.Random, folder: Path) -> Verdict:
    """Broken recordings have numbers of their own: see `judge_number`."""
    raise NotImplementedError


CLASSES: dict[str, tuple[int, Callable[[random.Random, Path], Verdict]]] = {
    "recording": (2599, recordings),
    "explosion": (400, explosion),
    "buffers": (150, buffers),
    "arrays": (250, arrays),
    "named files": (200, named_files),
    "wild fields": (100, wild_fields),
    "operators": (20, operators),
    "recipe": (220, recipes),
    "checkpoint": (60, checkpoints),
    "signal": (1, signals),
}
"""How often each class comes in a round of 4000 numbers, and what judges a case of it."""


@lru_cache(maxsize=1)
def _round() -> list[str]:
    """The class of each number of a round, well mixed."""
    order = [name for name, (count, _) in CLASSES.items() for _ in range(count)]
    random.Random(0).shuffle(order)
    return order


def class_of(number: int) -> str:
    """The class of a case."""
    return _round()[number % len(_round())]


def describe(number: int) -> str:
    """What a case is, for people."""
    kind = class_of(number)
    return str(case_by_number(number)) if kind == "recording" else kind


class Judged(NamedTuple):
    """A case's class and what became of it."""

    kind: str
    verdict: Verdict


def judge_number(number: int, folder: Path) -> Judged:
    """Judge a case in an empty folder, which is empty again after. Whatever is raised is a fault."""
    kind = class_of(number)
    if kind == "recording":
        return Judged(kind, judge(case_by_number(number), folder))
    return Judged(kind, judge_class(kind, number, folder))


def judge_class(kind: str, number: int, folder: Path) -> Verdict:
    """Judge a case of a class, any but "recording"."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        try:
            return CLASSES[kind][1](random.Random(number), Path(name))
        except Exception as error:
            return Verdict(False, f"{type(error).__name__}: {error}"[:500])
