"""One audio track of a media file that is being written: samples in, packets out, with FFmpeg's encoders through PyAV."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.packet import PacketSideData

from tsmgan.audio.formats import OPUS_RATES, OutputFormat
from tsmgan.audio.info import AudioInfo
from tsmgan.audio.samples import to_integers
from tsmgan.errors import AudioError

ENCODERS = {"opus": "libopus", "mp3": "libmp3lame"}
"""FFmpeg's encoders, where they are not called as their codec."""
PCM_ENCODERS = {
    "PCM_U8": "pcm_u8",
    "PCM_S8": "pcm_u8",
    "PCM_16": "pcm_s16le",
    "PCM_24": "pcm_s24le",
    "PCM_32": "pcm_s32le",
    "FLOAT": "pcm_f32le",
    "DOUBLE": "pcm_f64le",
}
SAMPLE_FORMATS = {"alac": {"PCM_16": "s16p", "PCM_24": "s32p"}, "flac": {"PCM_16": "s16", "PCM_24": "s32"}}
LAYOUTS = ("", "mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1")
"""FFmpeg's usual layout for a number of channels."""
OPUS_RATE = 48000
SKIP_SAMPLES = 11
"""FFmpeg's number of the side data that says how many samples of a packet are not heard."""
ENDS_EXACTLY = ("opus", "mp3")
"""Codecs whose encoders say themselves how much of the last packet is padding."""


class SoundEncoder:
    """An audio track of an output.

    Args:
        container: PyAV's output, whose header is not yet written.
        output: how the track is stored.
        info: sample rate, channels and layout of the samples.

    Raises:
        AudioError: the codec cannot hold the sample rate or the channels.
    """

    def __init__(self, container: Any, output: OutputFormat, info: AudioInfo) -> None:
        self.delay = 0.0
        """Where the first sample stands on the output's clock, in seconds."""
        self._container, self._output = container, output
        self._input_rate = info.samplerate
        self.rate = OPUS_RATE if output.codec == "opus" and info.samplerate not in OPUS_RATES else info.samplerate
        name = PCM_ENCODERS[output.subtype] if output.codec == "pcm" else ENCODERS.get(output.codec, output.codec)
        rates = av.codec.Codec(name, "w").audio_rates
        if rates and self.rate not in rates:
            held = f"{min(rates) / 1000:g} to {max(rates) / 1000:g} kHz" if len(rates) > 3 else "32, 44.1 and 48 kHz"
            other = "write another format (for example .flac or .mkv with --subtype FLAC), or convert the input first"
            raise AudioError(f"{output.codec.upper()} holds rates from {held} only and {info.name} has {self.rate / 1000:g} kHz; {other}.")
        self._layout = info.layout or (LAYOUTS[info.channels] if info.channels < len(LAYOUTS) else f"{info.channels} channels")
        self.stream = self._add(name, info)
        self._resampler = None if self.rate == info.samplerate else av.AudioResampler("flt", self._layout, self.rate)
        self._held: Any = None
        self.frames = self._encoded = 0
        """Samples per channel that came in, and that went to the encoder. The second ones may have another rate."""

    def _add(self, name: str, info: AudioInfo) -> Any:
        output = self._output
        try:
            stream = self._container.add_stream(name, rate=self.rate, layout=self._layout)
            stream.time_base = Fraction(1, self.rate)
            wanted = SAMPLE_FORMATS.get(output.codec, {}).get(output.subtype) or ("flt" if output.codec == "opus" else None)
            if wanted is not None:
                stream.format = wanted
            if output.bitrate is not None:
                stream.bit_rate = round(output.bitrate * 1000)
            stream.codec_context.open()
        except (av.error.FFmpegError, ValueError):
            raise AudioError(
                f"{output.suffix[1:].upper()} with {output.codec.upper()} does not hold {info.channels} channels ({self._layout}) at "
                f"{self.rate} Hz; write .mkv with --subtype FLAC, or .wav, instead."
            ) from None
        return stream

    @property
    def seconds(self) -> float:
        """Where the next sample stands on the output's clock."""
        return self.delay + self.frames / self._input_rate

    def encode(self, samples: np.ndarray) -> None:
        """Append samples, shape (samples, channels), floating point."""
        if len(samples) == 0:
            return
        self.frames += len(samples)
        if self._resampler is None:
            self._send(samples)
        else:
            frame = self._frame(np.ascontiguousarray(samples, np.float32), "flt", self._input_rate)
            for piece in self._resampler.resample(frame):
                self._send(piece.to_ndarray().reshape(-1, samples.shape[1]))

    def _send(self, samples: np.ndarray) -> None:
        """Give samples at the encoder's rate to the encoder."""
        kind = self.stream.format.name
        frame = self._frame(self._stored(samples, kind.rstrip("p")), kind, self.rate)
        frame.pts, frame.time_base = round(self.delay * self.rate) + self._encoded, Fraction(1, self.rate)
        self._encoded += len(samples)
        self._mux(self.stream.encode(frame))

    def _stored(self, samples: np.ndarray, kind: str) -> np.ndarray:
        """The samples in the encoder's type of numbers."""
        if kind in ("flt", "dbl"):
            return samples.astype(np.float32 if kind == "flt" else np.float64, copy=False)
        if kind == "u8":
            return ((to_integers(samples, 8) >> 8) + 128).astype(np.uint8)
        return to_integers(samples, 16 if kind == "s16" else 32 if self._output.subtype == "PCM_32" else 24)

    def _frame(self, samples: np.ndarray, kind: str, rate: int) -> Any:
        data = samples.T if kind.endswith("p") else samples.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(data), format=kind, layout=self._layout)
        frame.sample_rate = rate
        return frame

    def _mux(self, packets: list[Any]) -> None:
        """Write packets, but keep the last one back: only at the end it is known how much of it is heard."""
        for packet in packets:
            if self._held is not None:
                self._container.mux(self._held)
            self._held = packet

    def finish(self) -> None:
        """Bring all samples into the file."""
        if self._resampler is not None:
            self._send_rest()
        self._mux(self.stream.encode(None))
        if self._held is not None:
            self._trim(self._held)
            self._container.mux(self._held)
            self._held = None

    def _send_rest(self) -> None:
        assert self._resampler is not None
        channels, left = self.stream.channels, round(self.frames * self.rate / self._input_rate) - self._encoded
        pieces = [piece.to_ndarray().reshape(-1, channels) for piece in self._resampler.resample(None)]
        rest = np.concatenate([*pieces, np.zeros((max(0, left), channels), np.float32)])
        self._send(rest[: max(0, left)])

    def _trim(self, packet: Any) -> None:
        """Say in the last packet how many of its samples are padding, for containers that hold this."""
        size = self.stream.codec_context.frame_size
        if self._output.codec in ENDS_EXACTLY or self._output.format != "matroska" or not size or packet.pts is None:
            return
        behind = round((packet.pts + size) * packet.time_base * self.rate) - round(self.delay * self.rate) - self._encoded
        if 0 < behind < size:
            side = PacketSideData(SKIP_SAMPLES, 10)  # type: ignore[call-arg]
            side.update(struct.pack("<IIBB", 0, behind, 0, 0))
            packet.set_sidedata(side)
