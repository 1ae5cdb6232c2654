"""Writes MP4, M4A, M4B, MOV, Matroska, WebM and AAC files: sound through FFmpeg's encoders, pictures and subtitles as they are."""

from __future__ import annotations

import contextlib
import math
import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

import av
import numpy as np

from tsmgan.audio.file_writer import FileWriter, UrlWriter
from tsmgan.audio.film import Film, Stretching
from tsmgan.audio.formats import OutputFormat, output_format
from tsmgan.audio.info import AudioInfo
from tsmgan.audio.media import RENAMED_TAGS, MediaReader
from tsmgan.audio.media_encoder import SoundEncoder
from tsmgan.audio.media_tracks import CopiedTracks, FurtherTrack, open_further
from tsmgan.audio.tags import missing_tags
from tsmgan.errors import AudioError
from tsmgan.storage.atomic import write_error

if TYPE_CHECKING:
    from tsmgan.core.timemap import TimeMap

BRANDS = {".m4a": "M4A ", ".m4b": "M4B ", ".m4v": "M4V "}
"""What MP4 files of these endings call themselves."""
FFMPEG_NAMES = {name: key for key, name in RENAMED_TAGS.items()}
"""FFmpeg's names of tags by the names of Vorbis comments."""
MOST_MISSING_SECONDS = 0.5
"""A complete file may state so much less than was written: some containers count in milliseconds, and encoders pad."""
MICROSECOND = Fraction(1, 1000000)


class _Sink:
    """The output file as PyAV writes it. All bytes are written or an error is raised."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.closed = False

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]
        return len(data)

    def read(self, count: int) -> bytes:
        return os.read(self._descriptor, count)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return os.lseek(self._descriptor, offset, whence)

    def tell(self) -> int:
        return os.lseek(self._descriptor, 0, os.SEEK_CUR)


class MediaWriter(FileWriter):
    """A file that FFmpeg's libraries write.

    Args:
        path, info, output, frames, force, name: see `FileWriter`.
        time_map: from samples of the input to samples of the output; None where nothing is stretched.
        film, stretching, subtype, bitrate: see `open_writer`.
    """

    def __init__(
        self,
        path: str,
        info: AudioInfo,
        output: OutputFormat,
        *,
        frames: int | None,
        force: bool,
        name: str | None = None,
        time_map: TimeMap | None = None,
        film: Film | None = None,
        stretching: Stretching | None = None,
        subtype: str | None = None,
        bitrate: float | None = None,
    ) -> None:
        self._time_map, self._film, self._stretching = time_map, film if output.holds_film else None, stretching
        self._subtype, self._bitrate = subtype, bitrate
        self._container: Any = None
        self._copied: CopiedTracks | None = None
        self._further: list[FurtherTrack] = []
        self._opened = contextlib.ExitStack()
        self._delay = 0.0
        if output.format not in ("mp4", "mov"):
            # Only MP4 holds several values of a tag; elsewhere they are joined.
            info = replace(info, tags={key: text.replace("\0", "; ") for key, text in info.tags.items()})
        super().__init__(path, info, output, frames=frames, force=force, name=name)

    def _move(self, second: float) -> float:
        """The second of the output for a second of the input."""
        if self._time_map is None:
            return second
        return float(self._time_map.output_at(second * self._info.samplerate)) / self._info.samplerate

    def _open(self, frames: int | None) -> None:
        output, info = self.output, self._info
        options = {"fflags": "+bitexact"}
        if output.format in ("mp4", "mov"):
            # The edit list, which says where the sound begins and ends, counts in this unit.
            options["movie_timescale"] = str(info.samplerate if info.samplerate > 1000 else 1000)
        if output.suffix in BRANDS:
            options["brand"] = BRANDS[output.suffix]
        if output.format == "adts":
            options["write_id3v2"] = "1"
        with self._errors():
            self._container = av.open(_Sink(self._descriptor), "w", format=output.format, options=options)
            if self._film is not None:
                self._copied = CopiedTracks(self._film, self._container, output, self._move)
            self._sound = SoundEncoder(self._container, output, info)
            if self._sound.rate != info.samplerate:
                self.notes.append(f"Opus holds {info.samplerate / 1000:g} kHz as {self._sound.rate / 1000:g} kHz.")
            self._open_further()
            self._set_delay()
            self._describe(frames)
            self._container.start_encoding()

    def _open_further(self) -> None:
        """Add the audio tracks that are stretched beside the first one."""
        film = self._film
        if film is None or self._stretching is None:
            return
        for number in film.further:
            track = next(each for each in film.tracks if each.kind == "audio" and each.number == number)
            reader, info = open_further(film, number, self._info.name)
            self._opened.callback(reader.close)
            stored = output_format(self.output.suffix, info, subtype=self._subtype, bitrate=self._bitrate)
            encoder = SoundEncoder(self._container, stored, info)
            if track.language:
                encoder.stream.metadata["language"] = track.language
            self._further.append(FurtherTrack(reader, film, encoder, self._stretching(info)))

    def _set_delay(self) -> None:
        """Show everything later, where a picture would stand before the beginning: it began before its sound in the input."""
        if self._copied is None:
            return
        self._delay = self._copied.delay = max(0.0, -self._move(self._copied.first_second))
        self._sound.delay = self._delay
        for track in self._further:
            track.delay(self._delay)

    def _describe(self, frames: int | None) -> None:
        """Chapters and tags, as far as FFmpeg writes them. mutagen writes those of MP4 at the end."""
        info = self._info
        if self.output.format != "mp4":
            self._container.metadata.update({FFMPEG_NAMES.get(name, name): text.replace("\0", "; ") for name, text in info.tags.items()})
        if info.chapters and self.output.format != "adts":
            self._container.set_chapters(self._chapters(frames))
        if self.output.format == "matroska":
            for number, picture in enumerate(info.pictures):
                ending = picture.mime.rpartition("/")[2].replace("jpeg", "jpg")
                self._container.add_attachment(f"cover{number or ''}.{ending}", picture.mime, picture.data)
        if self._film is not None and (language := self._film.language):
            self._sound.stream.metadata["language"] = language

    def _chapters(self, frames: int | None) -> list[dict[str, Any]]:
        """Chapters as PyAV takes them. An open one ends where the next one begins, or with the recording."""
        info = self._info
        whole = self._move(info.seconds or 0.0) if frames is None else frames / info.samplerate
        found = []
        starts = [each.start for each in info.chapters]
        for number, (chapter, following) in enumerate(zip(info.chapters, [*starts[1:], max(whole, starts[-1] + 0.001)]), 1):
            start = self._delay + chapter.start
            end = max(start, self._delay + (following if chapter.end is None else chapter.end))
            found.append(
                {
                    "id": number,
                    "start": round(start / MICROSECOND),
                    "end": round(end / MICROSECOND),
                    "time_base": MICROSECOND,
                    "metadata": {"title": chapter.title},
                }
            )
        return found

    def _write(self, samples: np.ndarray) -> None:
        with self._errors():
            self._sound.encode(samples)
            self._follow(self._sound.seconds)

    def _follow(self, second: float) -> None:
        """Bring all other tracks to a second of the output."""
        for track in self._further:
            track.until(second, self.gain)
        if self._copied is not None:
            self._copied.until(second)

    def _finish(self) -> None:
        with self._errors():
            self._sound.finish()
            self._follow(math.inf)
            for track in self._further:
                track.finish()
            if self._copied is not None:
                self.notes.extend(self._copied.notes)
            self._container.close()

    def _add_tags(self) -> None:
        """Write the tags of MP4. On failure the file is restored, and only the tags are lost."""
        if self.output.format not in ("mp4", "mov"):
            return
        from tsmgan.audio.mp4_tags import save_mp4

        with os.fdopen(os.dup(self._descriptor), "r+b") as file:
            index = _index_at(file)
            file.seek(index)
            kept = file.read()
            try:
                save_mp4(file, self._info, is_audiobook=self.output.suffix == ".m4b")
                file.flush()
            except Exception as error:
                # mutagen raises many kinds of errors. `missing_tags` reports what was not written.
                file.seek(index)
                file.write(kept)
                file.truncate()
                if isinstance(error, OSError):
                    raise

    def _is_complete(self) -> bool:
        """Whether the file opens again and states the length that was written."""
        try:
            with self._reopened() as reader:
                stated = reader.info.seconds
        except AudioError:
            return False
        wanted = self.frames_written / self._info.samplerate - MOST_MISSING_SECONDS
        return self.output.format == "adts" or (stated is not None and stated >= wanted)

    def _missing_tags(self) -> list[str]:
        with self._reopened() as reader:
            return missing_tags(self._info, reader.info)

    def _reopened(self) -> MediaReader:
        path = os.fspath(self._temporary)
        return MediaReader(path, self.name, os.path.getsize(path))

    def _why(self) -> AudioError:
        return AudioError(f"{self.name} cannot be written: the file is not complete; free some space, or try another format.")

    def abort(self) -> None:
        if self._container is not None:
            # PyAV writes the end of an open file, at the latest when it is forgotten.
            with contextlib.suppress(Exception):
                self._container.close()
            self._container = None
        if self._copied is not None:
            self._copied.close()
        self._opened.close()
        super().abort()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors of the encoder and of the disk in a sentence."""
        try:
            yield
        except (AudioError, BrokenPipeError):
            raise
        except OSError as error:
            # PyAV's errors are errors of the operating system as well, and a full disk is one.
            if isinstance(error, av.error.FFmpegError):
                raise AudioError(f"{self.name} cannot be written: its encoder failed ({error.strerror}); try another format.") from None
            raise write_error(self.name, error) from None
        except (av.error.FFmpegError, ValueError) as error:
            raise AudioError(f"{self.name} cannot be written: its encoder failed ({error}); try another format.") from None


class UrlMediaWriter(UrlWriter, MediaWriter):
    """A file that FFmpeg's libraries write, and that is uploaded to its URL once it is complete."""


def _index_at(file: BinaryIO) -> int:
    """Where the index (`moov`) of a new MP4 file begins. FFmpeg writes it behind the samples, and mutagen changes nothing before it."""
    position, size = 0, file.seek(0, os.SEEK_END)
    while position + 16 <= size:
        file.seek(position)
        length, name, long_length = struct.unpack(">I4sQ", file.read(16))
        if name == b"moov":
            break
        position += long_length if length == 1 else max(8, length)
    return position
