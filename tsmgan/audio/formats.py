"""Output formats: which one a file name asks for, which subtype loses nothing, and what a format cannot hold."""

from __future__ import annotations

from dataclasses import dataclass

from tsmgan.audio.info import AudioInfo
from tsmgan.audio.samples import LOSSY, WIDTHS
from tsmgan.errors import AudioError, UsageError
from tsmgan.storage import names

SUFFIXES = {
    ".wav": "WAV",
    ".wave": "WAV",
    ".bwf": "WAV",
    ".flac": "FLAC",
    ".mp3": "MP3",
    ".ogg": "OGG",
    ".oga": "OGG",
    ".opus": "OGG",
    ".aiff": "AIFF",
    ".aif": "AIFF",
    ".aifc": "AIFF",
    ".caf": "CAF",
    ".w64": "W64",
    ".rf64": "RF64",
    ".au": "AU",
    ".snd": "AU",
    ".voc": "VOC",
    ".sph": "NIST",
    ".nist": "NIST",
    ".ircam": "IRCAM",
    ".sf": "IRCAM",
    ".paf": "PAF",
    ".pvf": "PVF",
    ".mat": "MAT5",
    ".raw": "RAW",
    ".pcm": "RAW",
}
"""File name endings that can be written, and libsndfile's name of the container."""

RAW_FORMATS = {"u8": "PCM_U8", "s16le": "PCM_16", "s24le": "PCM_24", "s32le": "PCM_32", "f32le": "FLOAT", "f64le": "DOUBLE"}
"""Sample formats of raw streams under FFmpeg's names."""

LADDERS = {
    "DOUBLE": ("DOUBLE", "FLOAT", "PCM_32", "PCM_24", "PCM_16"),
    "FLOAT": ("FLOAT", "DOUBLE", "PCM_32", "PCM_24", "PCM_16"),
    "PCM_32": ("PCM_32", "DOUBLE", "FLOAT", "PCM_24", "PCM_16"),
    "PCM_24": ("PCM_24", "PCM_32", "FLOAT", "PCM_16"),
    "PCM_16": ("PCM_16", "PCM_24", "PCM_32", "FLOAT"),
    "PCM_S8": ("PCM_S8", "PCM_U8", "PCM_16"),
    "PCM_U8": ("PCM_U8", "PCM_S8", "PCM_16"),
}
"""For each sample type, the types to store it as: first itself, then those that lose nothing, then those that lose least."""
SAME_LADDER = {"ALAC_16": "PCM_16", "ALAC_20": "PCM_24", "ALAC_24": "PCM_24", "ALAC_32": "PCM_32", "DWVW_24": "PCM_24", "DPCM_8": "PCM_S8"}
"""Types that follow the ladder of another type. All that are not named (companded, ADPCM, lossy) are stored as 16 bits."""

FOUR_GIB = 2**32
RIFF_LIMIT = FOUR_GIB - 2**20
"""Most bytes of samples in a plain WAV file. The rest of the 4 GiB is for header and tags. Longer files become RF64."""

OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

VORBIS_RATES = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
"""Nominal bit rates of Vorbis in kbit/s, for stereo at 44.1 kHz, at the encoder's qualities 0, 0.1, 0.2 ..."""


@dataclass(frozen=True)
class RawFormat:
    """Raw samples, interleaved, without a header."""

    samplerate: int
    channels: int
    subtype: str = "PCM_16"


@dataclass(frozen=True)
class OutputFormat:
    """How an output is stored."""

    format: str
    subtype: str
    compression_level: float | None = None
    bitrate_mode: str | None = None
    notes: tuple[str, ...] = ()


def writable_suffixes() -> str:
    """The endings that can be written, as a phrase for messages."""
    return "wav, flac, mp3, ogg, opus, aiff, caf, w64, rf64, au, voc, sph, ircam, paf, pvf, mat or raw"


def default_suffix(info: AudioInfo) -> str:
    """The ending of an output that the user did not name: the input's own where it can be written, else .wav."""
    suffix = names.suffix(info.path) if info.path else ""
    container = SUFFIXES.get(suffix.lower())
    if container is not None and (container == info.format or {container, info.format} <= {"WAV", "WAVEX", "RF64"}):
        return suffix
    if info.format == "OGG":
        return ".opus" if info.subtype == "OPUS" else ".ogg"
    if info.format == "RAW" and info.subtype not in RAW_FORMATS.values():
        return ".wav"  # a codec without a header, as GSM is; samples without one would say nothing of themselves
    return next((ending for ending, name in SUFFIXES.items() if name == info.format), ".wav")


def _subtype(container: str, info: AudioInfo, requested: str | None, suffix: str) -> str:
    import soundfile

    # libsndfile 1.2 writes beyond its buffers when it closes a long ALAC file.
    available = [name for name in soundfile.available_subtypes(container) if not name.startswith("ALAC") and name not in LOSSY]
    if container == "RAW":
        available = list(RAW_FORMATS.values())
    if container == "OGG":
        available = ["OPUS"] if suffix == ".opus" else ["VORBIS", "OPUS"]
    if container == "MP3":
        available = ["MPEG_LAYER_III"]
    if requested is not None:
        name = RAW_FORMATS.get(requested.lower(), requested.upper().replace("-", "_"))
        if name not in available:
            raise UsageError(f"{suffix[1:].upper()} files cannot hold the subtype {requested}; choose one of {', '.join(available)}.")
        return name
    if info.subtype in available:
        return info.subtype
    ladder = LADDERS[SAME_LADDER.get(info.subtype, info.subtype if info.subtype in LADDERS else "PCM_16")]
    return next((name for name in ladder if name in available), available[0])


def _compression(subtype: str, info: AudioInfo, bitrate: float | None) -> tuple[float | None, str | None]:
    """libsndfile's compression level and bit rate mode for a lossy subtype: the user's rate, or one near the input's."""
    if subtype not in LOSSY:
        if bitrate is not None:
            raise UsageError("--bitrate is for mp3, ogg and opus output; this output is not compressed with loss.")
        return None, None
    if bitrate is not None and not 4 <= bitrate <= 4000:
        raise UsageError(f"The bit rate {bitrate:g} kbit/s is outside 4 to 4000; give for example --bitrate 128.")
    wanted = bitrate if bitrate is not None else info.bitrate if info.is_lossy else None
    if subtype == "MPEG_LAYER_III":
        if wanted is None:
            return 0.25, "VARIABLE"  # LAME's V2, about 190 kbit/s for stereo
        highest, span = (320, 288) if info.samplerate >= 32000 else (160, 152)
        return min(0.99, max(0.0, (highest - wanted) / span)), "CONSTANT"
    if subtype == "OPUS":
        per_channel = (wanted if wanted is not None else 64 * info.channels) / info.channels
        return min(0.999, max(0.0, 1 - (per_channel - 6) / 250)), None
    if wanted is None:
        return 0.4, None
    nominal = wanted * (44100 * 2) / (info.samplerate * info.channels)
    quality = max(0, sum(rate <= nominal + 8 for rate in VORBIS_RATES) - 1) / 10
    return 1 - quality, None


def _require_fits(container: str, subtype: str, info: AudioInfo, frames: int | None) -> None:
    """Raise AudioError when the format cannot hold the sample rate, the channels or the length."""
    rate, channels = info.samplerate, info.channels
    other = f"write another format (for example .flac or .wav) or convert the input first, e.g. `sox {info.name} -r 48000 new.wav`"
    if subtype == "OPUS" and rate not in OPUS_RATES:
        raise AudioError(f"Opus holds 8, 12, 16, 24 and 48 kHz only and {info.name} has {rate / 1000:g} kHz; {other}.")
    if subtype == "VORBIS" and rate > 200000:
        raise AudioError(f"Vorbis holds at most 200 kHz and {info.name} has {rate / 1000:g} kHz; {other}.")
    if container == "MP3" and rate not in MP3_RATES:
        raise AudioError(f"MP3 holds the rates 8 to 48 kHz of its standard only and {info.name} has {rate / 1000:g} kHz; {other}.")
    if container == "FLAC" and rate > 655350:
        raise AudioError(f"FLAC holds at most 655.35 kHz and {info.name} has {rate / 1000:g} kHz; write .wav instead.")
    most = {"MP3": 2, "FLAC": 8, "OGG": 255}.get(container)
    if most is not None and channels > most:
        raise AudioError(f"{container} holds at most {most} channels and {info.name} has {channels}; write .wav instead.")
    width = WIDTHS.get(subtype)
    if container == "VOC" and frames is not None and frames * channels * WIDTHS.get(subtype, 1) > 2**24 - 64:
        # A VOC block states its length in three bytes, and libsndfile writes a single block.
        raise AudioError("The output would be longer than 16 MiB, more than VOC holds; write .wav, .w64 or .flac instead.")
    if frames is not None and width is not None and container in {"AIFF", "NIST", "PAF", "PVF", "MAT5", "IRCAM"}:
        if frames * channels * width > 2**31 - 2**20:
            raise AudioError(f"The output would be longer than 2 GiB, more than {container} holds; write .wav, .w64 or .flac instead.")


def output_format(
    suffix: str, info: AudioInfo, *, subtype: str | None = None, bitrate: float | None = None, frames: int | None = None
) -> OutputFormat:
    """Decide how to store an output whose file name ends in `suffix`.

    Args:
        suffix: ending of the file name with its dot.
        info: the input; what it holds is kept where the format can.
        subtype: the user's choice, in libsndfile's or FFmpeg's raw names.
        bitrate: kbit/s of a lossy output.
        frames: expected length in samples per channel, None if unknown.

    Raises:
        UsageError: the ending or the subtype is unknown.
        AudioError: the format cannot hold the input's sample rate, channels or length.
    """
    container = SUFFIXES.get(suffix.lower())
    if container is None:
        what = f"files that end in {suffix}" if suffix else "a file without an ending in its name"
        raise UsageError(f"tsmgan cannot write {what}; name the output .{writable_suffixes()}.")
    if container == "WAV" and info.format == "WAVEX":
        container = "WAVEX"
    if container == "RAW" and subtype is None and info.subtype not in RAW_FORMATS.values():
        subtype = "PCM_16"
    chosen = _subtype(container, info, subtype, suffix.lower())
    _require_fits(container, chosen, info, frames)
    notes = []
    size = (frames or 0) * info.channels * WIDTHS.get(chosen, 0)
    if container in {"WAV", "WAVEX"} and (size > RIFF_LIMIT or (info.format == "RF64" and frames is None)):
        container = "RF64"
        notes.append("The output is longer than 4 GiB and is stored as RF64, the WAV format for long files.")
    level, mode = _compression(chosen, info, bitrate)
    return OutputFormat(container, chosen, level, mode, tuple(notes))
