"""Generator: features and local rate in, the coherence field out, through ONNX Runtime."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tsmgan.errors import ModelError, TsmganError, UsageError
from tsmgan.features import FEATURES
from tsmgan.limits import MOST_THREADS, require_count
from tsmgan.models import Model
from tsmgan.vocoder import BANDS, Field

PROVIDERS: dict[str, tuple[str, dict[str, str]]] = {
    # Rounded products (TF32) would take the output further from the CPU's than a recording's last bit.
    "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),
    "directml": ("DmlExecutionProvider", {}),
    "coreml": ("CoreMLExecutionProvider", {}),
    "cpu": ("CPUExecutionProvider", {}),
}
"""ONNX Runtime's execution provider of each device, and its options."""
AUTO = ("cuda", "directml", "cpu")
"""What `auto` tries, in this order. Core ML compiles the network anew for every process, which a short recording does not pay back."""
DEVICES = ("auto", *PROVIDERS)
PACKAGES = {
    "cuda": ("onnxruntime-gpu", 'pip install "tsmgan[gpu]"', "with an NVIDIA GPU"),
    "directml": ("onnxruntime-directml", "pip install onnxruntime-directml", "on Windows"),
    "coreml": ("onnxruntime", "pip install onnxruntime", "on macOS"),
}
"""The package that brings a provider, the command that installs it, and where it can work."""

GPU_BATCH = 16
"""Runs that a GPU decides together: one alone would leave it idle for most of the time that it takes to ask it."""
LARGEST_BYTES = 1 << 28
"""Of `generator.onnx`. Larger files are not opened."""
LARGEST_NOISE, LARGEST_CONTEXT = 256, 1 << 12
EXTERNAL_DATA = re.compile(rb"\x0a(?:\x08|\x88\x80*\x00)location")
"""How a tensor that is stored in another file begins to say where: a protocol buffer's field 1 with the text `location`."""

_lock = threading.Lock()


class Generator:
    """A model's generator. Calls are independent of each other and safe from several threads.

    Args:
        model: the model's folder.
        device: one of DEVICES. `auto` takes the first of AUTO that works here.
        threads: of the network on the CPU; None is one, which leaves the other cores to the stages beside it.

    Attributes:
        context: frames on either side of a run that its result depends on.
        noise: channels of the noise z.
        batch: runs that are decided together: one on the CPU, GPU_BATCH elsewhere.
        device: what it runs on, one of PROVIDERS.

    Raises:
        UsageError: there is no such device, or threads is not from 1 to MOST_THREADS.
        ModelError: the model is missing, damaged, or of another architecture.
        TsmganError: the device was asked for and cannot be used here.
    """

    def __init__(self, model: Model, device: str = "auto", threads: int | None = None) -> None:
        if device not in DEVICES:
            raise UsageError(f"There is no device {device}; choose from {', '.join(DEVICES)}.")
        threads = 1 if threads is None else require_count("threads", threads, MOST_THREADS)
        config = model.config["generator"]
        self._path = model.path
        self.context = _size(model, "context", LARGEST_CONTEXT)
        self.noise = _size(model, "noise", LARGEST_NOISE)
        if config.get("features") != FEATURES or config.get("bands") != BANDS:
            raise ModelError(
                f"{model.path} expects {config.get('features')} features and {config.get('bands')} bands; "
                f"this version has {FEATURES} and {BANDS}."
            )
        file = model.path / "generator.onnx"
        try:
            written = file.stat().st_mtime_ns
        except OSError:
            raise ModelError(f"{file} is missing; write it with `tsmgan export-onnx`.") from None
        with _lock:
            self._session, self.device = _session(file, written, device, threads)
        self.batch = 1 if self.device == "cpu" else GPU_BATCH

    def __call__(self, features: np.ndarray, rates: np.ndarray, noise: np.ndarray) -> Field:
        """Decide the field for a run of frames.

        Args:
            features: (frames, FEATURES), float32.
            rates: local rate of each frame, (frames,).
            noise: z, (frames, self.noise), float32, standard normal.

        Returns:
            A Field of arrays (frames, BANDS), float32.
        """
        return self.decide([features], [rates], [noise])[0]

    def decide(self, features: Sequence[np.ndarray], rates: Sequence[np.ndarray], noise: Sequence[np.ndarray]) -> list[Field]:
        """Decide the fields of several runs of equal length together, at most `batch`; the arguments are as for one, a list of each."""
        asked = len(features)
        # The batch is always full: what comes out for a run must not depend on how many others were ready.
        rows = [min(k, asked - 1) for k in range(max(asked, self.batch))]
        inputs = {
            "features": np.stack([features[k] for k in rows]),
            "log_rate": np.log(np.stack([rates[k] for k in rows])).astype(np.float32),
            "noise": np.stack([noise[k] for k in rows]),
        }
        try:
            outputs = self._session.run(list(Field._fields), inputs)
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise ModelError(f"The model in {self._path} fails: {str(error).splitlines()[0]}") from error
        # Whoever made the model, what goes on from here is as large as it must be, and finite.
        shape = (*inputs["log_rate"].shape, BANDS)
        if not all(isinstance(output, np.ndarray) and output.shape == shape and np.isfinite(output).all() for output in outputs):
            raise ModelError(f"The model in {self._path} gives no usable field: its arrays must be {shape} and finite. Export it again.")
        return [Field(*(output[k] for output in outputs)) for k in range(asked)]


def _size(model: Model, name: str, largest: int) -> int:
    """A size out of a model's config."""
    value = model.config["generator"].get(name)
    if type(value) is not int or not 0 <= value <= largest:
        raise ModelError(f"{model.path} states {name} {value!r} in its config.json; 0 to {largest} can be.")
    return value


def _require_self_contained(file: Path) -> None:
    """Raise ModelError for a model that is absurdly large, or keeps a tensor in a file that it names."""
    size = file.stat().st_size
    if size > LARGEST_BYTES:
        raise ModelError(f"{file} has {size / 1e6:.0f} MB, more than any generator; the folder is no tsmgan model.")
    if EXTERNAL_DATA.search(file.read_bytes()):
        raise ModelError(f"{file} keeps tensors in another file, which is not opened; export the model again.")


def available_devices() -> list[str]:
    """Devices whose provider the installed ONNX Runtime has; it may still lack the hardware or a driver."""
    import onnxruntime

    there = onnxruntime.get_available_providers()
    return [device for device, (provider, _) in PROVIDERS.items() if provider in there]


@lru_cache(maxsize=8)
def _session(file: Path, written: int, device: str, threads: int) -> tuple[Any, str]:
    """A session and the device that it runs on. One a process, file (as written at that time), device and number of threads: sessions
    are costly to make and may be shared by threads."""
    _require_self_contained(file)
    there = available_devices()
    if device != "auto":
        if device not in there:
            raise TsmganError(_missing(device))
        session = _open_session(file, device, threads)
        if session is None:
            raise TsmganError(
                f"The device {device} is installed and does not start; check its driver and libraries, or use --device auto, "
                "which falls back to the CPU."
            )
        return session, device
    for candidate in AUTO:
        session = _open_session(file, candidate, threads) if candidate in there else None
        if session is not None:
            return session, candidate
    raise TsmganError(
        "The installed ONNX Runtime cannot run on the CPU; install it again with `pip install --force-reinstall onnxruntime`."
    )


def _open_session(file: Path, device: str, threads: int) -> Any:
    """A session on the device; None where the provider is installed and does not start (no GPU, no driver)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3 if device == "cpu" else 4
    # Waiting threads would spin, and take the cores from the stages beside the network.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if device == "directml":
        options.enable_mem_pattern = False  # as that provider demands
    if device == "cuda" and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # CUDA and cuDNN from their Python packages
    provider, settings = PROVIDERS[device]
    providers = [(provider, settings)] if device == "cpu" else [(provider, settings), "CPUExecutionProvider"]
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        if device != "cpu":
            return None
        raise ModelError(f"{file} cannot be loaded: {str(error).splitlines()[0]}") from error
    return session if session.get_providers()[0] == provider else None


def _missing(device: str) -> str:
    package, command, where = PACKAGES[device]
    if package != "onnxruntime" and _is_installed(package):  # both packages bring the module onnxruntime, and the plain one came last
        return f"The device {device} is hidden by another onnxruntime; `pip install --force-reinstall --no-deps {package}` brings it back."
    return f"The device {device} is not there: it needs {package} {where}; install it with `{command}`, or use --device auto."


def _is_installed(package: str) -> bool:
    from importlib import metadata

    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
