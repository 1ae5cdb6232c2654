"""Peers: other stretchers, called as installed programs that read one WAV file and write another. None is linked or imported here.

A peer is one small class: its `name`, the `program` or `package` that it needs, its `command` line and, where it cannot read float
samples, the `subtype` that it is given. A class that is listed in `PEERS` is known to `tsmgan compare`, `evaluate` and `benchmark`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from tsmgan import processes
from tsmgan.errors import TsmganError
from tsmgan.evaluation.signals import fit_length

TIME_LIMIT = 120.0
"""Seconds that a peer may take for one file before it counts as hung."""
BASELINE = "rubberband-r3"
"""The peer that others are compared with, where it is installed and nothing else was asked for."""


VERSION = re.compile(r"\d+\.\d+[\w.+-]*")
VERSION_OPTIONS = {"ffmpeg": ("-version",), "soundstretch": ("-license",)}
"""How programs are asked for their version, where `--version` is not what they expect."""


class PeerError(TsmganError):
    """A peer crashed, hung, or wrote nothing that can be read."""


class Peer:
    """A stretcher that somebody else made."""

    name: str
    program: str | None = None
    """Executable that must be on the PATH."""
    package: str | None = None
    """Python package that must be installed; it is imported in another process."""
    subtype: str = "FLOAT"
    """Sample format of the WAV file it is given, as libsndfile names it."""
    mono: bool = False
    """Whether it mixes channels into one, so that it has to be called for each of them."""

    def command(self, source: Path, target: Path, rate: float) -> list[str]:
        """The command line that stretches source to target; rate is speed (1.5 is faster)."""
        raise NotImplementedError

    def version(self) -> str:
        """Its version, as its package or the first line of its program tells it; nothing where neither does."""
        if self.package:
            names = importlib.metadata.packages_distributions().get(self.package) or []
            return importlib.metadata.version(names[0]) if names else ""
        for option in VERSION_OPTIONS.get(self.program or "", ("--version",)):
            try:
                done = subprocess.run([self.program or "", option], capture_output=True, timeout=5, stdin=subprocess.DEVNULL)
            except (OSError, subprocess.TimeoutExpired):
                continue
            lines = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines()
            if found := next((VERSION.search(line) for line in lines if VERSION.search(line)), None):
                return found[0]
        return ""

    def shift(self, source: Path, target: Path, rate: float, pitch: float) -> list[str]:
        """The command line that shifts the pitch as well, by semitones.

        Raises:
            PeerError: it cannot.
        """
        raise PeerError(f"{self.name} does not shift the pitch.")

    @property
    def shifts(self) -> bool:
        """Whether it can shift the pitch."""
        return type(self).shift is not Peer.shift

    def missing(self) -> str | None:
        """Why it cannot run here, or None."""
        if self.program and shutil.which(self.program) is None:
            return f"the program {self.program} is not on the PATH"
        if self.package and importlib.util.find_spec(self.package) is None:
            return f"the Python package {self.package} is not installed"
        return None

    def stretch(self, y: np.ndarray, samplerate: int, rate: float, pitch: float = 0.0, *, time_limit: float = TIME_LIMIT) -> np.ndarray:
        """Stretch y (channels, samples), and shift its pitch by semitones. Returns float32 (channels, samples),
        as many as the program makes.

        Raises:
            PeerError: it is not installed, ends with an error, takes longer than time_limit seconds, or leaves no readable output.
        """
        if reason := self.missing():
            raise PeerError(f"{self.name}: {reason}.")
        if not self.mono:
            return self._call(y, samplerate, rate, pitch, time_limit)
        channels = [self._call(channel[np.newaxis], samplerate, rate, pitch, time_limit) for channel in y]
        longest = max(channel.shape[1] for channel in channels)
        return np.concatenate([fit_length(channel, longest) for channel in channels])

    def _call(self, y: np.ndarray, samplerate: int, rate: float, pitch: float, time_limit: float) -> np.ndarray:
        with tempfile.TemporaryDirectory(prefix="tsmgan-") as folder:
            source, target = Path(folder, "in.wav"), Path(folder, "out.wav")
            soundfile.write(source, y.T, samplerate, subtype=self.subtype)
            command = self.shift(source, target, rate, pitch) if pitch else self.command(source, target, rate)
            try:
                done = subprocess.run(command, capture_output=True, timeout=time_limit, stdin=subprocess.DEVNULL)
            except subprocess.TimeoutExpired:
                raise PeerError(f"{self.name} took longer than {time_limit:g} s and was stopped.") from None
            if done.returncode:
                last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
                raise PeerError(f"{self.name} ended with code {done.returncode}: {last[0]}")
            try:
                out, got = soundfile.read(target, dtype="float32", always_2d=True)
            except (soundfile.SoundFileError, OSError):
                raise PeerError(f"{self.name} left no readable output.") from None
        if got != samplerate or out.shape[1] != len(y):
            raise PeerError(f"{self.name} changed the format: {samplerate} Hz x {len(y)} became {got} Hz x {out.shape[1]}.")
        return np.ascontiguousarray(out.T)


class RubberBandR3(Peer):
    """Rubber Band 3, finer engine: a phase vocoder with several window lengths."""

    name, program = "rubberband-r3", "rubberband"

    def command(self, source: Path, target: Path, rate: float) -> list[str]:
        return ["rubberband", "-q", "-3", "--tempo", repr(rate), str(source), str(target)]

    def shift(self, source: Path, target: Path, rate: float, pitch: float) -> list[str]:
        return ["rubberband", "-q", "-3", "--tempo", repr(rate), "--pitch", repr(pitch), str(source), str(target)]


class RubberBandR3Formant(RubberBandR3):
    """Rubber Band 3, finer engine, with formants kept."""

    name = "rubberband-r3-formant"

    def shift(self, source: Path, target: Path, rate: float, pitch: float) -> list[str]:
        program, *rest = super().shift(source, target, rate, pitch)
        return [program, "--formant", *rest]


class RubberBandR2(Peer):
    """Rubber Band, faster engine: a phase vocoder that resets its phases at transients."""

    name, program = "rubberband-r2", "rubberband"

    def command(self, source: Path, target: Path, rate: float) -> list[str]:
        return ["rubberband", "-q", "-2", "--tempo", repr(rate), str(source), str(target)]

    def shift(self, source: Path, target: Path, rate: float, pitch: float) -> list[str]:
        return ["rubberband", "-q", "-2", "--tempo", repr(rate), "--pitch", repr(pitch), str(source), str(target)]


class SoundTouch(Peer):
    """SoundTouch with its settings for speech: overlapped segments (SOLA)."""

    name, program, subtype = "soundtouch", "soundstretch", "PCM_16"

    def command(self, source: Path, target: Path, rate: float) -> list[str]:
        return ["soundstretch", str(source), str(target), f"-tempo={100 * (rate - 1):.10g}", "-speech"]

    def shift(self, source: Path, target: Path, rate: float, pitch: float) -> list[str]:
        return [*self.command(source, target, rate), f"-pitch={pitch:.10g}"]


class Sonic(Peer):
    """Sonic: pitch-synchronous overlap of whole periods, for fast speech."""

    name, program, subtype, mono = "sonic", "sonic", "PCM_16", True

    def command(self, source: Path, target: Path, rate: float) -> list[str]:
        return ["sonic", "-s", repr(rate), str(source), str(target)]

    def shift(self, source: Path, target: Path, rate: float, pitch: float) -> list[str]:
        return ["sonic", "-s", repr(rate), "-p", repr(2 ** (pitch / 12)), str(source), str(target)]


class Sox(Peer):
    """SoX `tempo -s`: overlapped segments (WSOLA), settings for speech."""

    name, program = "sox", "sox"

    def command(self, source: Path, target: Path, rate: float) -> list[str]:
        return ["sox", "-V1", str(source), str(target), "tempo", "-s", repr(rate)]

    def shift(self, source: Path, target: Path, rate: float, pitch: float) -> list[str]:
        return [*self.command(source, target, rate), "pitch", repr(100 * pitch)]


class Atempo(Peer):
    """FFmpeg `atempo`: overlapped segments (WSOLA). Beyond 0.5 to 2 the filter is chained, since a single one skips samples."""

    name, program = "atempo", "ffmpeg"

    def command(self, source: Path, target: Path, rate: float) -> list[str]:
        factors, left = [], rate
        while not 0.5 <= left <= 2:
            factors.append(2.0 if left > 2 else 0.5)
            left /= factors[-1]
        chain = ",".join(f"atempo={factor!r}" for factor in [*factors, left])
        return ["ffmpeg", "-nostdin", "-v", "error", "-i", str(source), "-filter:a", chain, "-c:a", "pcm_f32le", str(target)]


_READ = "import sys, numpy, soundfile; y, sr = soundfile.read(sys.argv[1], dtype='float32', always_2d=True); rate = float(sys.argv[3]); "
_WRITE = "soundfile.write(sys.argv[2], out.T, sr, subtype='FLOAT')"


class Librosa(Peer):
    """`librosa.effects.time_stretch`: the plain phase vocoder."""

    name, package = "librosa", "librosa"

    def command(self, source: Path, target: Path, rate: float) -> list[str]:
        script = _READ + "import librosa; out = librosa.effects.time_stretch(y.T, rate=rate); " + _WRITE
        return processes.python(script, str(source), str(target), repr(rate))

    def shift(self, source: Path, target: Path, rate: float, pitch: float) -> list[str]:
        script = (
            _READ
            + "import librosa; out = librosa.effects.time_stretch(y.T, rate=rate); "
            + "out = librosa.effects.pitch_shift(out, sr=sr, n_steps=float(sys.argv[4])); "
            + _WRITE
        )
        return processes.python(script, str(source), str(target), repr(rate), repr(pitch))


class Signalsmith(Peer):
    """Signalsmith Stretch, through `python-stretch`: a phase vocoder without phase propagation over long times."""

    name, package = "signalsmith", "python_stretch"

    def command(self, source: Path, target: Path, rate: float) -> list[str]:
        return self.shift(source, target, rate, 0.0)

    def shift(self, source: Path, target: Path, rate: float, pitch: float) -> list[str]:
        script = (
            _READ
            + "from python_stretch.Signalsmith import Stretch; s = Stretch(); s.preset(y.shape[1], sr); s.setTimeFactor(rate); "
            + "s.setTransposeSemitones(float(sys.argv[4])); out = numpy.asarray(s.process(numpy.ascontiguousarray(y.T))); "
            + _WRITE
        )
        return processes.python(script, str(source), str(target), repr(rate), repr(pitch))


PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        RubberBandR3(),
        RubberBandR3Formant(),
        RubberBandR2(),
        SoundTouch(),
        Sonic(),
        Sox(),
        Atempo(),
        Librosa(),
        Signalsmith(),
    )
}
"""Every peer by its name."""


def default_peers(*, shifted: bool) -> list[str]:
    """Names of the peers that are measured where none is named. Those that are known for their shifts alone are measured only on shifts,
    and those that cannot shift the pitch only without them."""
    return [name for name, peer in PEERS.items() if (peer.shifts if shifted else name != RubberBandR3Formant.name)]
