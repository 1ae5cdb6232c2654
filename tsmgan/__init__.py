"""tsmgan: change the speed of a recording and keep its voice.

>>> import tsmgan
>>> slower = tsmgan.stretch(y, samplerate, rate=0.8)  # doctest: +SKIP
>>> summary = tsmgan.stretch_file("talk.wav", "quick.wav", rate=1.5)  # doctest: +SKIP
"""

__version__ = "0.1.0"
__all__ = [
    "AudioError",
    "Dub",
    "Fitted",
    "ModelError",
    "StretchOptions",
    "Stretcher",
    "Summary",
    "TimeMap",
    "TsmganError",
    "UsageError",
    "__version__",
    "fit",
    "fit_lines",
    "pauses",
    "stretch",
    "stretch_file",
]

TYPE_CHECKING = False
"""As in `typing`, which is not imported: `python -m tsmgan` cannot keep the current folder out of its imports before it is here."""
if TYPE_CHECKING:
    from tsmgan.api import Stretcher, pauses, stretch
    from tsmgan.core.timemap import TimeMap
    from tsmgan.dubbing import Dub, fit_lines
    from tsmgan.errors import AudioError, ModelError, TsmganError, UsageError
    from tsmgan.job import Summary, stretch_file
    from tsmgan.maps.slots import Fitted, fit
    from tsmgan.options import StretchOptions

_HOMES = {
    "Dub": "dubbing",
    "Fitted": "maps.slots",
    "fit": "maps.slots",
    "fit_lines": "dubbing",
    "Stretcher": "api",
    "pauses": "api",
    "stretch": "api",
    "StretchOptions": "options",
    "Summary": "job",
    "stretch_file": "job",
    "TimeMap": "core.timemap",
    "AudioError": "errors",
    "ModelError": "errors",
    "TsmganError": "errors",
    "UsageError": "errors",
}


def __getattr__(name: str) -> object:
    """Import on first use: `import tsmgan` alone takes no time, and the command line's help needs none of this."""
    if name in _HOMES:
        from importlib import import_module

        value = getattr(import_module(f"tsmgan.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
