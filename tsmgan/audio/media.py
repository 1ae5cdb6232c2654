"""Containers that libsndfile does not know (m4a, mp4, webm, mkv, aac ...), decoded by FFmpeg's libraries through PyAV."""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np

from tsmgan.audio.info import AudioInfo
from tsmgan.audio.reader import Reader, cut_short
from tsmgan.errors import AudioError

TAGS = {"title", "artist", "album", "date", "genre", "comment", "copyright"}
STATES_LENGTH = {"mov", "matroska", "flac", "ogg", "wav", "aiff", "caf", "asf", "flv", "rso", "tta", "wv"}
"""Containers whose header holds the duration; for others (aac, ac3 ...) FFmpeg guesses it from the bit rate."""
SLACK_SECONDS = 0.5
"""How much less than the container claims a whole file may hold: claims are rounded and count encoder padding."""


def _subtype(stream: av.AudioStream) -> str:
    """libsndfile's name for lossless codecs, the codec's own in lower case for others."""
    codec = stream.codec_context.name
    if codec in {"alac", "flac", "tta", "wavpack", "ape"} or codec.startswith("pcm_"):
        sample = stream.format.name.rstrip("p")
        # Lossless codecs carry 24 bits in 32; 32 real ones are rare.
        if sample == "s32" and codec != "pcm_s32le" and codec != "pcm_s32be":
            return "PCM_24"
        return {"u8": "PCM_U8", "s16": "PCM_16", "s32": "PCM_32", "flt": "FLOAT", "dbl": "DOUBLE"}.get(sample, codec)
    return codec


class MediaReader(Reader):
    """The first audio stream of a file that FFmpeg can read."""

    def __init__(self, path: str, name: str, size: int, *, salvage: bool = False) -> None:
        try:
            # A name is never taken for an address, and a playlist never leads to one.
            self._container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise AudioError(f"{name} cannot be read ({_reason(error)}): it is damaged, cut short or of an unknown kind.") from None
        try:
            if not self._container.streams.audio:
                raise AudioError(f"{name} holds no sound.")
            stream = self._container.streams.audio[0]
            if stream.codec_context is None:
                raise AudioError(f"{name} holds sound in a code that is unknown here: it is damaged, or convert it first.")
            seconds = None
            if stream.duration is not None and stream.time_base is not None:
                seconds = float(stream.duration * stream.time_base)
            elif self._container.duration is not None:
                seconds = self._container.duration / av.time_base
            tags = {key.lower(): text for source in (self._container.metadata, stream.metadata) for key, text in source.items()}
            if "track" in tags:
                tags["tracknumber"] = tags["track"]
            tags = {key: text for key, text in tags.items() if key in TAGS | {"tracknumber"} and text.strip()}
            container = self._container.format.name.split(",")[0]
            if not stream.rate or not stream.channels:
                raise AudioError(f"{name} does not state its sample rate or channels: it is damaged.")
            info = AudioInfo(name, path, container, _subtype(stream), stream.rate, stream.channels, None, seconds, tags, size)
            # Interleaved samples at the stream's own rate and layout: only the sample type is converted.
            self._resampler = av.AudioResampler("dbl" if info.is_double else "flt", stream.layout, stream.rate)
        except BaseException:
            self._container.close()
            raise
        super().__init__(info, salvage=salvage)
        self._dtype = np.float64 if info.is_double else np.float32
        self._pieces = self._decode(stream)
        self._rest = np.zeros((0, info.channels), self._dtype)

    def _decode(self, stream: av.AudioStream) -> Iterator[np.ndarray]:
        found, is_cut = 0, False
        try:
            for packet in self._container.demux(stream):
                # What FFmpeg says of a packet whose end is missing; it decodes what is there.
                is_cut = is_cut or packet.is_corrupt
                for frame in packet.decode():
                    for piece in self._resampler.resample(frame):
                        found += piece.samples
                        yield piece.to_ndarray().reshape(-1, self.info.channels)
            for piece in self._resampler.resample(None):
                found += piece.samples
                yield piece.to_ndarray().reshape(-1, self.info.channels)
        except (av.error.FFmpegError, ValueError) as error:
            self._complain(
                f"is damaged or cut short at second {found / self.info.samplerate:.2f} ({_reason(error)})",
                "fetch it again, or use what comes before with --salvage",
            )
            return
        if is_cut:
            what = f"is damaged or cut short at second {found / self.info.samplerate:.2f}"
            self._complain(what, "fetch it again, or use what is there with --salvage")
            return
        claimed = self.info.seconds or 0.0 if self.info.format in STATES_LENGTH else 0.0
        if found and found / self.info.samplerate < claimed - SLACK_SECONDS - 0.001 * claimed:
            self._complain(*cut_short(claimed, found / self.info.samplerate))

    def _read(self, frames: int) -> np.ndarray:
        pieces, held = [self._rest], len(self._rest)
        while held < frames and (piece := next(self._pieces, None)) is not None:
            pieces.append(piece.astype(self._dtype, copy=False))
            held += len(piece)
        joined = np.concatenate(pieces)
        self._rest = joined[frames:]
        return joined[:frames]

    def close(self) -> None:
        self._container.close()


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]
