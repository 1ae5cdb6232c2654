"""What somebody who typed a wrong command most likely meant."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence

from tsmgan.storage.names import URL, suffix

OTHER_NAMES = {
    "--speed": "--rate",
    "--tempo": "--rate",
    "--factor": "--rate",
    "--stretch": "--rate",
    "--from": "--start",
    "--to": "--end",
    "--begin": "--start",
    "--volume": "--gain",
    "--normalize": "--gain auto",
    "--out": "--output",
    "--overwrite": "--force",
    "--processes": "--jobs",
    "--slow": "--rate",
    "--slower": "--rate",
    "--faster": "--rate",
    "--map": "--time-map",
    "--template": "--name",
    "--suffix": "--name",
}
"""What other programs call an option, and what it is called here."""
INSTEAD = {
    **dict.fromkeys(("--format", "--codec", "--ext", "--extension"), "the ending of -o is the format; of many recordings that of --name"),
    **dict.fromkeys(("--samplerate", "--sample-rate"), "the sample rate is kept; `sox IN OUT rate` changes it"),
    **dict.fromkeys(("--recursive", "--recurse"), "a folder is stretched with all that is in it"),
    "--input": "the recordings stand behind the command, without an option",
}
"""How `stretch` does what an option of other programs does."""
EXTRAS = {
    "accelerate": "train",
    "av": "media",
    "cloudpickle": "eval",
    "fsspec": "urls",
    "matplotlib": "plot",
    "onnx": "train",
    "pesq": "eval",
    "pystoi": "eval",
    "python_stretch": "eval",
    "pyworld": "eval",
    "ray": "cluster",
    "safetensors": "train",
    "tensorboard": "train",
    "tomli": "train",
    "torch": "train",
}
"""The smallest extra that brings a module."""
SPEEDS = ("-r", "--rate", "-d", "--duration", "-t", "--time-map")


def for_command(arguments: Sequence[str], commands: Iterable[str]) -> str:
    """A sentence about a command line whose first word is no command."""
    word = arguments[0]
    if _is_recording(word):
        how_fast = any(argument.partition("=")[0] in SPEEDS or argument[:2] in SPEEDS for argument in arguments[1:])
        wanted = ["stretch", *arguments, *([] if how_fast else ["--rate", "1.5"])]
        return f"{word} is no command; to stretch it, say `tsmgan {shlex.join(wanted)}`."
    close = _closest(word, commands)
    meant = f"did you mean `tsmgan {close}`?" if close else "see `tsmgan --help`."
    return f"There is no command {word}; {meant}"


def for_option(name: str, options: Iterable[str], path: str) -> str:
    """A sentence about an option that a command (`path`, as in `tsmgan stretch`) does not have."""
    known = list(options)
    if path == "tsmgan" and (name in SPEEDS or name in OTHER_NAMES):
        return f"{name} stands before the command; say for example `tsmgan stretch talk.wav --rate 1.5`."
    if name in INSTEAD and path == "tsmgan stretch":
        return f"{path} has no option {name}; {INSTEAD[name]}. See `{path} --help`."
    other = OTHER_NAMES.get(name, "")
    # The dashes are alike in all of them and say nothing.
    names = {each.lstrip("-"): each for each in known}
    close = other if other.partition(" ")[0] in known else names.get(_closest(name.lstrip("-"), names) or "")
    if close:
        return f"{path} has no option {name}; did you mean {close}?"
    return f"{path} has no option {name}; see `{path} --help`."


def for_package(module: str) -> str:
    """A sentence about a module that is not installed."""
    package = module.partition(".")[0]
    extra = EXTRAS.get(package)
    how = f'pip install "tsmgan[{extra}]"' if extra is not None else f"pip install {package}"
    return f"This needs the package {package}; install it with `{how}`."


def _is_recording(word: str) -> bool:
    from tsmgan.audio.opening import READABLE_SUFFIXES

    return word == "-" or os.path.exists(word) or URL.match(word) is not None or suffix(word).lower() in READABLE_SUFFIXES


def _closest(word: str, candidates: Iterable[str]) -> str | None:
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(candidates), n=1, cutoff=0.6)), None)
