"""Generator: the rule's field, and a network's departures from it, through ONNX Runtime."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import cache, lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tsmgan.core.field import BANDS, Field, Seen
from tsmgan.core.geometry import LONGEST_WINDOW, SHORTEST_WINDOW
from tsmgan.core.rule import MARGIN, RULE_CONTEXT, rule
from tsmgan.errors import ModelError, TsmganError, UsageError

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

NOISE_THRESHOLD = 0.02
"""A share of noise is 0 below this point of its sigmoid, so that a network can leave noise out altogether."""
GPU_BATCH = 16
"""Runs that a GPU decides together: one alone would leave it idle for most of the time that it takes to ask it."""
LARGEST_LOGIT = 30.0
"""A network's departure before a sigmoid is taken to be at most this, either way."""
LARGEST_MEMORY_BYTES = 1 << 31
"""Of all networks of a process on the CPU. A generator that asks for more is stopped."""
TIME_LIMIT = 60.0
"""Seconds that loading a network, or one run of it, may take."""

T = TypeVar("T")
_lock = threading.Lock()


def require_device(device: str) -> None:
    """Check what a network shall run on.

    Raises:
        UsageError: there is no such device.
    """
    if device not in DEVICES:
        raise UsageError(f"There is no device {device}; choose from {', '.join(DEVICES)}.")


class Sizes(NamedTuple):
    """What must be known of a network to run it."""

    context: int
    """Frames on either side that a decision depends on, those that the rule looks at among them: RULE_CONTEXT + 1 to RUN."""
    noise: int
    """Channels of the noise z."""
    largest_coherence: float
    """Bound of the coherence, in (0, 1]."""
    idle_from: float
    """The rate from which the network never departs from the rule, so that it need not be asked; infinite where there is none."""


def rule_inputs(by_hand: Field) -> np.ndarray:
    """The rule's field as a network takes it: its values one after the other, (..., frames, bands of all), float32."""
    return np.concatenate(by_hand, -1)


def depart(by_hand: Field, departures: Field, largest_coherence: float, library: Any = np) -> Field:
    """The rule's field with a network's departures from it. For arrays, and for tensors with `torch` as the library."""

    def logit(share: Any) -> Any:
        return library.log(share) - library.log(1 - share)

    def sigmoid(x: Any) -> Any:
        return 1 / (1 + library.exp(-x))

    share = (by_hand.coherence / largest_coherence).clip(MARGIN, 1 - MARGIN)
    noise = (NOISE_THRESHOLD + (1 - NOISE_THRESHOLD) * by_hand.noise_share).clip(NOISE_THRESHOLD, 1 - MARGIN)
    noise = sigmoid(logit(noise) + departures.noise_share.clip(-LARGEST_LOGIT, LARGEST_LOGIT))
    return Field(
        largest_coherence * sigmoid(logit(share) + departures.coherence.clip(-LARGEST_LOGIT, LARGEST_LOGIT)),
        sigmoid(logit(by_hand.alpha_mix) + departures.alpha_mix.clip(-LARGEST_LOGIT, LARGEST_LOGIT)),
        by_hand.log_gain + departures.log_gain,
        by_hand.texture + departures.texture,
        ((noise - NOISE_THRESHOLD) / (1 - NOISE_THRESHOLD)).clip(0, 1),
        (by_hand.window + departures.window).clip(SHORTEST_WINDOW, LONGEST_WINDOW),
        (by_hand.grain + departures.grain).clip(0, 1),
    )


class Generator:
    """A network and the rule that it departs from. Calls are independent of each other and safe from several threads.

    Args:
        content: the network as an ONNX file.
        sizes: what the model's config says of it.
        name: what messages call it.
        device: one of DEVICES. `auto` takes the first of AUTO that works here.
        threads: of the network on the CPU. One leaves the other cores to the stages beside it.
        deferred: the network is loaded when a run needs it, on the CPU, which may be never. Loading it, and ONNX Runtime, takes as long as
            stretching some seconds.
        time_limit: seconds that loading, or one run, may take.

    Attributes:
        context: frames on either side of a run that its result depends on.
        noise: channels of the noise z.
        batch: runs that are decided together: one on the CPU, GPU_BATCH elsewhere.
        device: what it runs on, one of PROVIDERS.

    Raises:
        UsageError: there is no such device.
        ModelError: the network cannot be loaded.
        TsmganError: the device was asked for and cannot be used here.
    """

    def __init__(
        self,
        content: bytes,
        sizes: Sizes,
        name: str,
        device: str = "auto",
        threads: int = 1,
        *,
        deferred: bool = False,
        time_limit: float = TIME_LIMIT,
    ) -> None:
        require_device(device)
        self._content, self._threads = content, threads
        self._sizes, self._name, self._time_limit = sizes, name, time_limit
        self.context, self.noise = sizes.context, sizes.noise
        self._session: Any
        self._session, self.device = (None, "cpu") if deferred else self._load(device)
        self.batch = 1 if self.device == "cpu" else GPU_BATCH

    def _load(self, device: str) -> tuple[Any, str]:
        """The network's session, and what it runs on."""
        with _lock:
            try:
                return _session(self._content, device, self._threads, self._time_limit)
            except ModelError as error:
                raise ModelError(f"The model {self._name} cannot be loaded. {error}") from error

    def decide(self, seen: Sequence[Seen]) -> list[Field]:
        """Fields of the frames in the middle of what is seen, arrays (frames, BANDS) float32, for at most `batch` runs of equal length."""
        reach = self.context - RULE_CONTEXT
        if all((each.rates[self.context : -self.context] >= self._sizes.idle_from).all() for each in seen):
            return [self._undeparted(each) for each in seen]
        asked = len(seen)
        # The batch is always full: what comes out for a run must not depend on how many others were ready.
        rows = [min(k, asked - 1) for k in range(max(asked, self.batch))]
        features = np.stack([seen[k].features for k in rows])
        log_rate = np.log(np.stack([seen[k].rates for k in rows])).astype(np.float32)
        by_hand = rule(features, log_rate)
        # The network hears the frames of which the rule has heard all that it wants to hear.
        heard = slice(RULE_CONTEXT, features.shape[1] - RULE_CONTEXT)
        inputs = {
            "features": features[:, heard],
            "log_rate": log_rate[:, heard],
            "noise": np.stack([seen[k].noise for k in rows])[:, heard],
            "rule": rule_inputs(by_hand)[:, heard],
        }
        outputs = self._run(inputs)
        # Whoever made the model, what goes on from here is as large as it must be, and finite.
        shape = (*inputs["log_rate"].shape, BANDS)
        if not all(isinstance(output, np.ndarray) and output.shape == shape and np.isfinite(output).all() for output in outputs):
            raise ModelError(f"The model in {self._name} gives no usable field: its arrays must be {shape} and finite. Export it again.")
        field = depart(Field(*(values[:, heard] for values in by_hand)), Field(*outputs), self._sizes.largest_coherence)
        return [Field(*(values[k, reach : shape[1] - reach] for values in field)) for k in range(asked)]

    def _undeparted(self, seen: Seen) -> Field:
        """What comes out where the network departs from the rule nowhere, bit for bit."""
        by_hand = rule(seen.features, np.log(seen.rates).astype(np.float32))
        nothing = np.float32(0)
        return depart(
            Field(*(values[self.context : -self.context] for values in by_hand)),
            Field(*[nothing] * len(by_hand)),
            self._sizes.largest_coherence,
        )

    def _run(self, inputs: dict[str, np.ndarray]) -> list[Any]:
        """The network's outputs for its inputs.

        A run that takes too long is told to stop, which ONNX Runtime does after the operator that is at work. No operator of a generator
        runs others, so each ends by itself.
        """
        if self._session is None:
            self._session, _ = self._load(self.device)
        options = onnx_runtime().RunOptions()

        def stop() -> None:
            options.terminate = True

        try:
            return _within_time(lambda: self._session.run(list(Field._fields), inputs, options), self._time_limit, stop)
        except FutureTimeoutError:
            raise ModelError(f"The model in {self._name} was stopped: a single run took longer than {self._time_limit:g} s.") from None
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise ModelError(f"The model in {self._name} fails: {str(error).splitlines()[0]}") from error


def _within_time(work: Callable[[], T], seconds: float, stop: Callable[[], None] = lambda: None) -> T:
    """What work returns or raises; it has a thread of its own, so that waiting for it can be given up.

    When the time is over or the wait is interrupted, stop is called and the thread is left behind. It does not keep the process alive.

    Raises:
        FutureTimeoutError: the time is over.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="tsmgan-network", daemon=True).start()
    try:
        return future.result(seconds)
    except BaseException:
        stop()
        raise


def onnx_runtime() -> Any:
    """The module onnxruntime, imported when it is needed.

    Some of its versions keep a number for this machine in the user's cache, and report to their makers what they run. Not from here,
    unless ORT_DISABLE_TELEMETRY is set to something else.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def available_devices() -> list[str]:
    """Devices whose provider the installed ONNX Runtime has; it may still lack the hardware or a driver."""
    there = onnx_runtime().get_available_providers()
    return [device for device, (provider, _) in PROVIDERS.items() if provider in there]


@lru_cache(maxsize=8)
def _session(content: bytes, device: str, threads: int, time_limit: float) -> tuple[Any, str]:
    """A session for a network on a device, or on the first of AUTO that works, and the device's name.

    There is one for each network, device, number of threads and limit in a process: sessions are costly to make, and threads may share
    them.
    """
    there = available_devices()
    if device != "auto":
        if device not in there:
            raise TsmganError(_missing(device))
        session = _open_session(content, device, threads, time_limit)
        if session is None:
            raise TsmganError(
                f"The device {device} is installed and does not start; check its driver and libraries, or use --device auto, "
                "which falls back to the CPU."
            )
        return session, device
    for candidate in AUTO:
        session = _open_session(content, candidate, threads, time_limit) if candidate in there else None
        if session is not None:
            return session, candidate
    raise TsmganError(
        "The installed ONNX Runtime cannot run on the CPU; install it again with `pip install --force-reinstall onnxruntime`."
    )


def _open_session(content: bytes, device: str, threads: int, time_limit: float = TIME_LIMIT) -> Any:
    """A session on the device; None where the provider is installed and does not start (no GPU, no driver)."""
    onnxruntime = onnx_runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is in the exception
    # Waiting threads would spin, and take the cores from the stages beside the network.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Otherwise the content itself could ask to be read in a format that was not checked.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    if _memory_is_bounded():
        options.add_session_config_entry("session.use_env_allocators", "1")
    if device == "directml":
        options.enable_mem_pattern = False  # as that provider demands
    if device == "cuda" and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # CUDA and cuDNN from their Python packages
    provider, settings = PROVIDERS[device]
    providers = [(provider, settings)] if device == "cpu" else [(provider, settings), "CPUExecutionProvider"]
    try:
        session = _within_time(lambda: onnxruntime.InferenceSession(content, options, providers=providers), time_limit)
    except FutureTimeoutError:
        raise ModelError(f"Loading it was given up after {time_limit:g} s.") from None
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        if device != "cpu":
            return None
        raise ModelError(str(error).splitlines()[0]) from error
    return session if session.get_providers()[0] == provider else None


@cache
def _memory_is_bounded() -> bool:
    """Give ONNX Runtime one arena of at most LARGEST_MEMORY_BYTES for all sessions of this program; whether that worked."""
    onnxruntime = onnx_runtime()
    kind = onnxruntime.OrtMemoryInfo("Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT)
    try:
        onnxruntime.create_and_register_allocator(kind, onnxruntime.OrtArenaCfg(LARGEST_MEMORY_BYTES, -1, -1, -1))
    except Exception:  # the program that tsmgan is a part of has registered one of its own
        return False
    return True


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
