"""Generator: features and local rate in, the coherence field out, through ONNX Runtime."""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tsmgan.errors import ModelError
from tsmgan.features import FEATURES
from tsmgan.models import Model
from tsmgan.vocoder import BANDS, Field

_lock = threading.Lock()


class Generator:
    """A model's generator. Calls are independent of each other and safe from several threads.

    Attributes:
        context: frames on either side of a run that its result depends on.
        noise: channels of the noise z.
    """

    def __init__(self, model: Model) -> None:
        config = model.config["generator"]
        self.context, self.noise = int(config["context"]), int(config["noise"])
        if config["features"] != FEATURES or config["bands"] != BANDS:
            raise ModelError(
                f"{model.path} expects {config['features']} features and {config['bands']} bands; this version has {FEATURES} and {BANDS}."
            )
        with _lock:
            self._session = _session(model.path / "generator.onnx")

    def __call__(self, features: np.ndarray, rates: np.ndarray, noise: np.ndarray) -> Field:
        """Decide the field for a run of frames.

        Args:
            features: (frames, FEATURES), float32.
            rates: local rate of each frame, (frames,).
            noise: z, (frames, self.noise), float32, standard normal.

        Returns:
            A Field of arrays (frames, BANDS), float32.
        """
        inputs = {"features": features[None], "log_rate": np.log(rates).astype(np.float32)[None], "noise": noise[None]}
        return Field(*(output[0] for output in self._session.run(list(Field._fields), inputs)))


@lru_cache(maxsize=8)
def _session(file: Path) -> Any:
    """One session a process and file: sessions are costly to make and may be shared by threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        what = "is missing" if not file.is_file() else f"cannot be loaded: {str(error).splitlines()[0]}"
        raise ModelError(f"{file} {what}") from error
