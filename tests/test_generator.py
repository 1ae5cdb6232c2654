"""Promises of the generator's runtime: which device runs, and what is said when one cannot."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata

import numpy as np
import pytest
import soundfile

from tsmgan.api import Stretcher
from tsmgan.cli import run
from tsmgan.core import generator as generator_module
from tsmgan.core.features import silence
from tsmgan.core.field import Seen
from tsmgan.core.generator import AUTO, DEVICES, PACKAGES, PROVIDERS, Generator, available_devices
from tsmgan.errors import ModelError, TsmganError, UsageError
from tsmgan.models import find_model, load_config, open_decider

MODEL = find_model()


def field_of(generator: Generator, rate: float = 0.7):
    frames = silence(250)
    frames += np.random.default_rng(0).uniform(0, 0.3, frames.shape).astype(np.float32)
    return generator.decide([Seen(frames, np.full(250, rate), np.zeros((250, generator.noise), np.float32))])[0]


def absent(device: str) -> None:
    if device in available_devices():
        pytest.skip(f"{device} is installed here")


@pytest.mark.parametrize("rate", [0.9, 1.0, 1.7])
def test_a_network_that_need_not_be_asked_would_have_changed_nothing(tmp_path, rate):
    always = tmp_path / "always"
    shutil.copytree(MODEL.path, always)
    config = json.loads((always / "config.json").read_text())
    assert config.pop("idle_from") == 1.0
    (always / "config.json").write_text(json.dumps(config))
    asked, spared = (open_decider(model, "cpu", slowest=rate) for model in (load_config(always), MODEL))
    assert asked._session is not None and (spared._session is None) == (rate >= 1)
    for expected, found in zip(field_of(asked, rate), field_of(spared, rate)):
        np.testing.assert_array_equal(expected, found)
    assert (spared._session is None) == (rate >= 1)


def test_a_network_whose_loading_was_put_off_is_loaded_when_a_slow_run_comes():
    expected = field_of(open_decider(MODEL, "cpu"))
    for a, b in zip(expected, field_of(open_decider(MODEL, "cpu", slowest=1.2))):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("device", sorted(PACKAGES))
def test_a_device_that_is_missing_names_the_package_to_install(device):
    absent(device)
    package, command, _ = PACKAGES[device]
    with pytest.raises(TsmganError) as caught:
        open_decider(MODEL, device)
    assert package in str(caught.value) and command in str(caught.value) and caught.value.exit_code == 1


def test_a_package_that_another_hides_is_told_apart_from_a_missing_one(monkeypatch):
    absent("cuda")
    monkeypatch.setattr(metadata, "version", lambda name: "1.0")
    with pytest.raises(TsmganError, match="--force-reinstall --no-deps onnxruntime-gpu"):
        open_decider(MODEL, "cuda")


def test_auto_runs_on_the_cpu_when_an_accelerator_does_not_start(monkeypatch):
    absent("cuda")
    generator_module._session.cache_clear()
    monkeypatch.setattr(generator_module, "available_devices", lambda: ["cuda", "cpu"])
    tried, open_session = [], generator_module._open_session
    monkeypatch.setattr(generator_module, "_open_session", lambda *a: tried.append(a[1]) or (open_session(*a) if a[1] == "cpu" else None))
    generator = open_decider(MODEL, "auto")
    assert tried == ["cuda", "cpu"] and generator.device == "cpu"
    with pytest.raises(TsmganError, match="does not start"):
        open_decider(MODEL, "cuda")
    generator_module._session.cache_clear()


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_onnx_runtime_leaves_out_does_not_count_as_running():
    absent("cuda")
    assert generator_module._open_session(MODEL.onnx.read_bytes(), "cuda", 1) is None


@pytest.mark.parametrize(("device", "threads", "says"), [("gpu", None, "auto, cuda"), ("CPU", None, "auto"), ("cpu", 0, "from 1 to 256")])
def test_what_cannot_be_asked_for_is_told(device, threads, says):
    with pytest.raises(UsageError, match=says):
        open_decider(MODEL, device, threads)


def test_every_device_has_a_provider_and_auto_ends_at_the_cpu():
    assert set(AUTO) <= set(PROVIDERS) == set(DEVICES) - {"auto"} == set(PACKAGES) | {"cpu"}
    assert AUTO[-1] == "cpu" and "cpu" in available_devices()


def test_one_session_serves_a_whole_process():
    with ThreadPoolExecutor(8) as pool:
        sessions = {id(generator._session) for generator in pool.map(lambda _: open_decider(MODEL, "cpu"), range(16))}
    assert len(sessions) == 1
    assert open_decider(MODEL, "cpu", 2)._session is not open_decider(MODEL, "cpu", 1)._session


def test_the_number_of_threads_does_not_change_the_field():
    for one, two in zip(field_of(open_decider(MODEL, "cpu", 1)), field_of(open_decider(MODEL, "cpu", 2))):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-6)


def test_a_model_that_was_written_again_is_read_again(tmp_path):
    for name in ("config.json", "generator.onnx"):
        shutil.copy(MODEL.path / name, tmp_path)
    open_decider(load_config(tmp_path))
    (tmp_path / "generator.onnx").unlink()
    with pytest.raises(ModelError, match=r"generator\.onnx is missing"):
        open_decider(load_config(tmp_path))
    (tmp_path / "generator.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_decider(load_config(tmp_path))
    shutil.copyfile(MODEL.path / "generator.onnx", tmp_path / "generator.onnx")
    open_decider(load_config(tmp_path))


def test_a_file_that_is_no_network_is_told(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(MODEL.config))
    (tmp_path / "generator.onnx").write_bytes(b"not a network")
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_decider(load_config(tmp_path))


def test_the_stretcher_says_what_it_runs_on():
    assert Stretcher(24000, rate=1.5, device="cpu", threads=2).device == "cpu"


def test_verbose_names_the_device_and_a_missing_one_leaves_no_file(tmp_path, capsys):
    absent("cuda")
    soundfile.write(tmp_path / "in.wav", 0.1 * np.random.default_rng(0).standard_normal(12000), 24000)
    command = ["stretch", str(tmp_path / "in.wav"), "--rate", "1.5", "-o", str(tmp_path / "out.wav"), "-v"]
    assert run([*command, "--device", "cuda"]) == 1
    assert "tsmgan[gpu]" in capsys.readouterr().err and not (tmp_path / "out.wav").exists()
    assert run([*command, "--device", "cpu", "--threads", "2"]) == 0
    assert "device  cpu" in capsys.readouterr().err
