"""Writes recordings to a temporary file, which gets the output's name when it is complete. libsndfile encodes them here."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from tsmgan.audio.files import native_name, stream_class
from tsmgan.audio.formats import OutputFormat
from tsmgan.audio.info import AudioInfo
from tsmgan.audio.samples import WIDTHS, ClipMeter, Clipping, integer_bits, to_integers
from tsmgan.audio.tags import Undo, add_tags, missing_tags, needs_more_tags, set_native_tags, with_tags
from tsmgan.errors import AudioError
from tsmgan.storage.atomic import Unfinished, taken, write_error
from tsmgan.storage.names import Stamp
from tsmgan.storage.places import checksum

if TYPE_CHECKING:
    import soundfile


WRITE_FRAMES = 16384
"""Most samples per channel that an encoder gets at once. Some encoders of libsndfile copy them all to the stack."""
SFC_RF64_AUTO_DOWNGRADE = 0x1210


class Writer:
    """An output that takes samples in order. Leaving its context without `commit` leaves no file behind."""

    def __init__(self, name: str, info: AudioInfo, output: OutputFormat) -> None:
        self.name = name
        """What messages call the output."""
        self.output = output
        self.frames_written = 0
        self.gain = 1.0
        """The factor that the samples were multiplied by before they came here. Further audio tracks of a film get the same."""
        self.stamp: Stamp | None = None
        """What the store of a URL said about the output after the upload."""
        self.sha256: str | None = None
        """Checksum of an output behind a URL."""
        self.notes = list(output.notes)
        self._info = info
        self._meter = ClipMeter()

    @property
    def clipping(self) -> Clipping | None:
        """Samples beyond full scale so far; None when there are none or the format keeps them."""
        return self._meter.clipping(self.output.subtype)

    def write(self, block: np.ndarray) -> None:
        """Append samples.

        Args:
            block: shape (channels, samples), floating point, full scale is 1. No samples are fine.

        Raises:
            AudioError: the disk is full or the file cannot be written.
            BrokenPipeError: the program behind the pipe has gone.
        """
        self._meter.update(block)
        for start in range(0, block.shape[1], WRITE_FRAMES):
            self._write(np.ascontiguousarray(block[:, start : start + WRITE_FRAMES].T))
        self.frames_written += block.shape[1]

    def _write(self, samples: np.ndarray) -> None:
        """Store samples, shape (samples, channels)."""
        raise NotImplementedError

    def complete(self) -> None:
        """Write the rest, and make sure that all of it is there. The output has no name yet.

        Raises:
            AudioError: the disk is full, or the file cannot be written.
        """
        raise NotImplementedError

    def publish(self) -> None:
        """Give the complete output its name.

        Raises:
            AudioError: the name was taken meanwhile, or the file cannot be moved.
        """

    def commit(self) -> None:
        """Complete the output and give it its name."""
        self.complete()
        self.publish()

    def _require_samples(self) -> None:
        """Refuse an output without samples. If the input's length is unknown, this is known only at the end."""
        if self.frames_written == 0:
            raise AudioError(f"{self.name} would hold no samples: {self._info.name} is too short for this rate.")

    def abort(self) -> None:
        """Remove what was written. Does nothing after `commit`."""

    def _note_missing(self, names: list[str]) -> None:
        if names:
            self.notes.append(f"These tags were not kept: {', '.join(names)}.")

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.abort()


class FileWriter(Writer):
    """A file that libsndfile encodes."""

    def __init__(
        self, path: str, info: AudioInfo, output: OutputFormat, *, frames: int | None, force: bool, name: str | None = None
    ) -> None:
        super().__init__(name or path, info, output)
        # A symbolic link stays a link. The file that it points to is replaced.
        try:
            self._target = os.path.realpath(path)
        except FileNotFoundError:
            raise AudioError(f"The current folder has been deleted, so {self.name} has no place; go to another folder.") from None
        self._force = force
        self._file: soundfile.SoundFile | None = None
        self._unfinished: Unfinished | None = None
        self._bits = integer_bits(output.subtype)
        try:
            self._require_space(frames)
            self._unfinished = Unfinished(Path(self._target))
            self._open(frames)
        except BaseException as error:
            self.abort()
            if isinstance(error, OSError) and not isinstance(error, AudioError):
                raise write_error(self.name, error) from None
            raise

    def _require_space(self, frames: int | None) -> None:
        """Fail now, not after an hour, when the samples alone do not fit on the disk."""
        width = WIDTHS.get(self.output.subtype)
        if frames is None or width is None or self.output.format == "FLAC" or self.output.codec not in ("", "pcm"):
            return
        needed, free = frames * self._info.channels * width, shutil.disk_usage(os.path.dirname(self._target)).free
        if needed > free:
            raise AudioError(
                f"{self.name} needs {needed / 1e6:.1f} MB and no space is left for it ({free / 1e6:.1f} MB are free); "
                "free some, or write elsewhere with -o."
            )

    def _open(self, frames: int | None) -> None:
        import soundfile

        output, info = self.output, self._info
        # The length is unknown, so room is reserved for the sizes of RF64. A file that stays short is closed as plain WAV.
        may_grow = output.format in {"WAV", "WAVEX"} and frames is None and output.subtype in WIDTHS
        try:
            self._file = stream_class()(
                self._descriptor,
                "w",
                info.samplerate,
                info.channels,
                output.subtype,
                None,
                "RF64" if may_grow else output.format,
                closefd=False,
                compression_level=output.compression_level,
                bitrate_mode=output.bitrate_mode,
            )
        except (soundfile.LibsndfileError, ValueError, TypeError):
            raise AudioError(
                f"{self.name} cannot be written: {output.format} with {output.subtype} does not hold {info.channels} channels "
                f"at {info.samplerate} Hz; write .wav or .flac instead."
            ) from None
        if may_grow:
            soundfile._snd.sf_command(self._file._file, SFC_RF64_AUTO_DOWNGRADE, soundfile._ffi.NULL, 1)
        set_native_tags(self._file, info)

    def _write(self, samples: np.ndarray) -> None:
        import soundfile

        assert self._file is not None
        if self._bits is not None:
            samples = to_integers(samples, self._bits)
        elif self.output.subtype != "DOUBLE":
            samples = samples.astype(np.float32, copy=False)
        try:
            self._file.write(samples)
        except (soundfile.LibsndfileError, AssertionError):
            raise self._why() from None

    def _why(self) -> AudioError:
        """Find out why a write failed. libsndfile does not say, but the system does when a write is tried again."""
        try:
            os.lseek(self._descriptor, 0, os.SEEK_END)
            os.write(self._descriptor, bytes(1 << 20))
            os.fsync(self._descriptor)
        except OSError as error:
            return write_error(self.name, error)
        return AudioError(f"{self.name} cannot be written: its encoder failed; try another format, for example .wav.")

    def _add_tags(self) -> None:
        """Write the tags that libsndfile cannot write. On failure the file is restored, and only these tags are lost."""
        container, subtype = self.output.format, self.output.subtype
        if not needs_more_tags(container, self._info):
            return
        with contextlib.suppress(OSError), os.fdopen(os.dup(self._descriptor), "r+b") as file:
            with Undo(file, container, os.path.dirname(self._target)) as undo:
                # Some formats cannot hold large pictures, so the second attempt leaves pictures out.
                for info in (self._info, replace(self._info, pictures=())):
                    try:
                        add_tags(file, container, subtype, info)
                        file.flush()
                        if self._is_complete():
                            return
                    except Exception:
                        # mutagen raises many kinds of errors. `missing_tags` reports what was not written.
                        pass
                    undo.restore()

    def _is_complete(self) -> bool:
        """Whether the file holds all samples. Some encoders write the last samples when they are closed, and do not report a full disk."""
        import soundfile

        if self.output.format == "RAW":
            return os.fstat(self._descriptor).st_size == self.frames_written * self._info.channels * WIDTHS[self.output.subtype]
        exact = self.output.subtype in WIDTHS or self.output.format in {"OGG", "MP3"}
        try:
            with stream_class()(native_name(self._temporary)) as file:
                complete = file.frames == self.frames_written if exact else file.frames >= self.frames_written
                if complete and self.frames_written and self.output.format in {"FLAC", "OGG"}:
                    file.seek(self.frames_written - 1)
                    complete = len(file.read(1)) == 1
        except soundfile.LibsndfileError:
            return False
        return complete

    def _missing_tags(self) -> list[str]:
        """Names of the input's tags that the finished file does not hold."""
        if self.output.format == "RAW":
            return []
        path = os.fspath(self._temporary)
        with stream_class()(native_name(path)) as file:
            bare = AudioInfo(self.name, path, file.format, file.subtype, file.samplerate, file.channels, file.frames, None)
            return missing_tags(self._info, with_tags(bare, file, path))

    def _finish(self) -> None:
        """Bring all samples into the file."""
        import soundfile

        assert self._file is not None
        try:
            self._file.close()
        except soundfile.LibsndfileError:
            raise self._why() from None

    def complete(self) -> None:
        self._require_samples()
        try:
            self._finish()
            self._add_tags()
            if not self._is_complete():
                raise self._why()
            self._note_missing(self._missing_tags())
            os.fsync(self._descriptor)
        except OSError as error:
            if isinstance(error, AudioError):
                raise
            raise write_error(self.name, error) from None

    def publish(self) -> None:
        assert self._unfinished is not None
        try:
            self._unfinished.publish(replace=self._force)
        except FileExistsError:
            raise taken(self.name) from None
        except OSError as error:
            raise write_error(self.name, error) from None

    @property
    def _temporary(self) -> Path:
        assert self._unfinished is not None
        return self._unfinished.path

    @property
    def _descriptor(self) -> int:
        assert self._unfinished is not None
        return self._unfinished.descriptor

    def abort(self) -> None:
        if self._file is not None:
            with contextlib.suppress(Exception):
                self._file.close()
        if self._unfinished is not None:
            self._unfinished.close()


class UrlWriter(FileWriter):
    """A file that is uploaded to its URL, by which messages call it, once it is complete."""

    def publish(self) -> None:
        from tsmgan.storage import remote

        self.sha256 = checksum(os.fspath(self._temporary))
        self.stamp = remote.put(self._temporary, self.name, replace=self._force)
        self.abort()
