"""Pictures, subtitles and further audio tracks of a film on their way along a time map. Packets of pictures stay as they are."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import numpy as np

from tsmgan.audio.film import Film, StretchesBlocks
from tsmgan.audio.formats import OutputFormat
from tsmgan.audio.info import AudioInfo
from tsmgan.audio.media import MediaReader, is_cover, open_container
from tsmgan.audio.media_encoder import SoundEncoder
from tsmgan.audio.reader import BLOCK_FRAMES

FINE = Fraction(1, 90000)
"""Time base of pictures and subtitles, where the container takes any. The speed of a film may give its pictures any times."""
SHOWN_LATER = 0.02
"""A picture that begins this many seconds after its sound is reported."""


class CopiedTracks:
    """The pictures and subtitles of a film. Their packets are copied, and their times are moved.

    Args:
        film: where they lie.
        container: PyAV's output, whose header is not yet written.
        output: its kind.
        move: gives the second of the output for a second of the stretched part of the input.
    """

    def __init__(self, film: Film, container: Any, output: OutputFormat, move: Callable[[float], float]) -> None:
        self._film, self._container, self._output, self._move = film, container, output, move
        self.delay = 0.0
        """Seconds by which everything is shown later, so that nothing lies before the beginning."""
        self.notes: list[str] = []
        self._opened = contextlib.ExitStack()
        file = self._opened.enter_context(open(film.path, "rb"))
        self._input = self._opened.enter_context(open_container(file))
        # Some containers give only the order of decoding. FFmpeg finds the times of showing then.
        self._input.flags |= 0x0001
        self._streams: dict[int, Any] = {}
        for stream in self._input.streams:
            if stream.type in ("video", "subtitle") and not is_cover(stream):
                self._add(stream)
            elif stream.type in ("attachment", "data") and not is_cover(stream):
                self._attach(stream)
        self._last: dict[int, int] = {}
        self._shown: set[int] = set()
        self._packets = self._read() if self._streams else iter(())
        self._pending: Any = None

    @property
    def first_second(self) -> float:
        """Where the first picture stands, in seconds from the first stretched sample; 0 where a part of the input is left out before."""
        if self._film.start > 0:
            return 0.0
        videos = [each for index in self._streams if (each := self._input.streams[index]).type == "video" and each.start_time is not None]
        return min((float(each.start_time * each.time_base) - self._film.begins for each in videos), default=0.0)

    def _add(self, stream: Any) -> None:
        """Add a track to the output, or note why there is none."""
        name = _called(stream)
        try:
            made = self._container.add_stream_from_template(stream, opaque=True)
        except (ValueError, av.error.FFmpegError):
            kind = f"{self._output.suffix} files cannot hold this kind" + ("; .mkv can" if self._output.format != "matroska" else "")
            self.notes.append(f"The {name} was not carried: {kind}.")
            stream.discard = av.stream.Discard.all
            return
        made.time_base = FINE
        made.disposition = stream.disposition
        made.metadata.update({key: text for key, text in stream.metadata.items() if key.lower() in ("language", "title", "rotate")})
        self._streams[stream.index] = made

    def _attach(self, stream: Any) -> None:
        """Carry the fonts of subtitles. Tracks of data tell times of the input, and are left out."""
        stream.discard = av.stream.Discard.all
        if stream.type == "attachment" and self._output.format == "matroska":
            self._container.add_attachment(stream.name or "attachment", stream.mimetype or "application/octet-stream", stream.data)
        elif stream.type == "attachment":
            self.notes.append(f"The attachment {stream.name or stream.index} was not carried: {self._output.suffix} files hold none.")

    def until(self, second: float) -> None:
        """Write all packets that are decoded before a second of the output."""
        while True:
            if self._pending is None:
                self._pending = next(self._packets, None)
            if self._pending is None or float(self._pending.dts * self._pending.time_base) > second:
                return
            self._container.mux(self._pending)
            self._pending = None

    def _read(self) -> Iterator[Any]:
        """Packets in the input's order, with the times and the stream of the output."""
        for stream in self._input.streams:
            if stream.index not in self._streams:
                stream.discard = av.stream.Discard.all
        if self._film.start > 0:
            self._seek()
        ended: set[int] = set()
        with contextlib.suppress(av.error.EOFError):
            for packet in self._input.demux([self._input.streams[index] for index in self._streams]):
                stream = packet.stream
                if (packet.pts is None and packet.dts is None) or packet.time_base is None or stream.index in ended:
                    continue
                dts = packet.pts if packet.dts is None else packet.dts
                if self._film.end is not None and float(dts * packet.time_base) - self._film.origin >= self._film.end:
                    ended.add(stream.index)
                    if len(ended) == len(self._streams):
                        return
                    continue
                if self._begins(packet):
                    yield self._moved(packet)

    def _seek(self) -> None:
        """Go to the last key picture before the part that is stretched."""
        videos = [self._input.streams[index] for index in self._streams if self._input.streams[index].type == "video"]
        with contextlib.suppress(av.error.FFmpegError):
            if videos:
                self._input.seek(int(self._film.begins / videos[0].time_base), stream=videos[0], backward=True)
            else:
                self._input.seek(int(self._film.begins * av.time_base), backward=True)

    def _begins(self, packet: Any) -> bool:
        """Whether a packet belongs to the part that is stretched. A picture can only begin with a key picture."""
        index, pts = packet.stream.index, packet.dts if packet.pts is None else packet.pts
        second = float(pts * packet.time_base) - self._film.begins
        if packet.stream.type == "subtitle":
            return self._film.start == 0 or second + float((packet.duration or 0) * packet.time_base) > 0 or second >= 0
        if index in self._shown:
            return True
        if self._film.start > 0 and (not packet.is_keyframe or (second < 0 and not self._hides_pictures)):
            return False
        self._shown.add(index)
        if self._film.start > 0 and second > SHOWN_LATER:
            later = self._move(second)
            self.notes.append(f"The {_called(packet.stream)} begins {later:.2f} s after its sound, with its first key picture.")
        return True

    @property
    def _hides_pictures(self) -> bool:
        """Whether pictures before the beginning are decoded and not shown, as an edit list says."""
        return self._output.format in ("mp4", "mov")

    def _moved(self, packet: Any) -> Any:
        """The packet with its times on the output's clock. Times of decoding grow, and are never later than those of showing."""
        made, base, is_picture = self._streams[packet.stream.index], packet.time_base, packet.stream.type == "video"
        pts, dts = packet.pts, packet.dts
        pts = dts if pts is None else pts
        dts = pts if dts is None else dts

        def second(stamp: int) -> float:
            return self._move(float(stamp * base) - self._film.begins) + self.delay

        shown, ends = second(pts), second(pts + (packet.duration or 0))
        if not is_picture:
            shown, ends = max(0.0, shown), max(0.0, ends)
        step = made.time_base
        new_pts, new_dts = round(shown / step), round(min(second(dts), shown) / step)
        if not self._hides_pictures:
            new_dts = max(0, new_dts)
        last = self._last.get(made.index)
        if last is not None:
            new_dts = max(new_dts, last + (1 if self._hides_pictures else 0))
        self._last[made.index] = new_dts
        packet.time_base = step
        packet.pts, packet.dts = max(new_pts, new_dts), new_dts
        packet.duration = max(1, round(ends / step) - round(shown / step)) if packet.duration else 0
        packet.stream = made
        return packet

    def close(self) -> None:
        """Close the input. May be called twice."""
        self._opened.close()


def _called(stream: Any) -> str:
    """What messages call a track."""
    same = [each.index for each in stream.container.streams if each.type == stream.type and not is_cover(each)]
    kind = "pictures" if stream.type == "video" else f"{stream.type} track"
    codec = "" if stream.codec_context is None else f" ({stream.codec_context.name})"
    return f"{kind}{f' {same.index(stream.index) + 1}' if len(same) > 1 else ''}{codec}"


class FurtherTrack:
    """An audio track that is stretched beside the first one, from the same instant on.

    Args:
        reader: of the track.
        film: where the first track lies.
        encoder: of the track in the output.
        stretcher: of the track.
    """

    def __init__(self, reader: MediaReader, film: Film, encoder: SoundEncoder, stretcher: StretchesBlocks) -> None:
        self._reader, self._encoder, self._stretcher = reader, encoder, stretcher
        rate = reader.info.samplerate
        self._skip = round((film.begins - reader.origin) * rate)
        self._left = None if film.end is None else round((film.end - film.start) * rate)
        self._blocks = self._stretched()

    def _input_blocks(self) -> Iterator[np.ndarray]:
        """Samples, (channels, samples), from the instant at which the stretched part of the first track begins."""
        if self._skip < 0:
            for start in range(0, -self._skip, BLOCK_FRAMES):
                yield np.zeros((self._reader.info.channels, min(BLOCK_FRAMES, -self._skip - start)), np.float32)
        position = 0
        for block in self._reader.blocks():
            first, position = max(0, self._skip - position), position + block.shape[1]
            if first < block.shape[1]:
                yield block[:, first:]

    def _stretched(self) -> Iterator[np.ndarray]:
        for block in self._input_blocks():
            if self._left is not None:
                block, self._left = block[:, : self._left], self._left - min(self._left, block.shape[1])
            yield self._stretcher.process(block)
            if self._left == 0:
                break
        yield self._stretcher.flush()

    def until(self, second: float, gain: float) -> None:
        """Write the sound up to a second of the output, multiplied by a factor."""
        while self._encoder.seconds < second and (block := next(self._blocks, None)) is not None:
            self._encoder.encode(np.ascontiguousarray(block.T) * block.dtype.type(gain))

    def delay(self, seconds: float) -> None:
        """Let the track begin later, before its first sample is written."""
        self._encoder.delay = seconds

    def finish(self) -> None:
        """Bring all samples into the file."""
        self._encoder.finish()

    def close(self) -> None:
        """Close the input. May be called twice."""
        self._reader.close()


def open_further(film: Film, number: int, name: str) -> tuple[MediaReader, AudioInfo]:
    """Open an audio track of a film, counted from 1."""
    reader = MediaReader(film.path, f"Audio track {number} of {name}", os.path.getsize(film.path), salvage=film.salvage, track=number)
    return reader, replace(reader.info, tags={}, chapters=(), pictures=())
