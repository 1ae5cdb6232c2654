"""Output formats: which one a file name asks for, which subtype loses nothing, and what a format cannot hold.

Formats in capitals are written by libsndfile, those in lower case by FFmpeg's libraries through PyAV.
"""

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
    ".m4a": "mp4",
    ".m4b": "mp4",
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".mka": "matroska",
    ".webm": "webm",
    ".aac": "adts",
}
"""File name endings that can be written, and libsndfile's or FFmpeg's name of the container."""
FILM_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm"})
"""Endings of files that hold pictures and subtitles as well."""

MEDIA_CODECS = {
    "mp4": ("aac", "alac", "flac", "opus", "mp3", "ac3", "eac3"),
    "mov": ("aac", "alac", "mp3", "ac3", "eac3", "pcm"),
    "matroska": ("aac", "flac", "alac", "opus", "mp3", "ac3", "eac3", "pcm"),
    "webm": ("opus",),
    "adts": ("aac",),
}
"""FFmpeg's names of the codecs that are written into each media container: the usual one first. `pcm` is all of uncompressed sound."""
LOSSLESS_CODECS = ("alac", "flac", "pcm")
CODEC_OF_SUBTYPE = {"OPUS": "opus", "VORBIS": "opus", "vorbis": "opus", "MPEG_LAYER_III": "mp3"}
"""Which codec continues a lossy subtype of libsndfile's, or one that cannot be written."""
MOST_CHANNELS = {"mp3": 2, "ac3": 6, "eac3": 6, "aac": 16, "opus": 8, "flac": 8, "alac": 8}
USUAL_KBPS = {"aac": 80, "opus": 64, "mp3": 80, "ac3": 96, "eac3": 96}
"""kbit/s per channel, where neither the user nor a lossy input states a rate."""

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
    codec: str = ""
    """FFmpeg's name of the codec of a media file: aac, alac, flac, opus, mp3, ac3, eac3 or pcm."""
    bitrate: float | None = None
    """kbit/s of a lossy codec of a media file."""
    suffix: str = ""
    """Ending of a media file's name in lower case. It tells an audiobook from a film in the same container."""

    @property
    def is_media(self) -> bool:
        """Whether PyAV writes it."""
        return bool(self.codec)

    @property
    def holds_film(self) -> bool:
        """Whether pictures and subtitles find room beside the sound."""
        return self.suffix in FILM_SUFFIXES


def writable_suffixes() -> str:
    """The endings that can be written, as a phrase for messages."""
    sound = "wav, flac, mp3, ogg, opus, m4a, m4b, aac, mka, aiff, caf, w64, rf64, au, voc, sph, ircam, paf, pvf, mat, raw"
    return f"{sound}, mp4, mov, mkv or webm"


def default_suffix(info: AudioInfo) -> str:
    """The ending of an output that the user did not name: the input's own where it can be written, else .wav."""
    suffix = names.suffix(info.path) if info.path else ""
    container = SUFFIXES.get(suffix.lower())
    if container is not None and (container == info.format or {container, info.format} <= {"WAV", "WAVEX", "RF64"} or info.codec):
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
            raise UsageError("--bitrate is for lossy output (mp3, ogg, opus, m4a ...); this output is not compressed with loss.")
        return None, None
    _require_bitrate(bitrate)
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


def _require_bitrate(bitrate: float | None) -> None:
    if bitrate is not None and not 4 <= bitrate <= 4000:
        raise UsageError(f"The bit rate {bitrate:g} kbit/s is outside 4 to 4000; give for example --bitrate 128.")


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
    if container in MEDIA_CODECS:
        return _media_format(container, suffix.lower(), info, subtype, bitrate)
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


def _media_codec(container: str, info: AudioInfo, suffix: str, requested: str | None) -> tuple[str, str]:
    """Codec and subtype of a media file: what the user asks for, the input's own, or the container's usual one."""
    possible = MEDIA_CODECS[container]
    sample = SAME_LADDER.get(info.subtype, info.subtype)
    sample = sample if sample in LADDERS else "PCM_16"
    exact = ("pcm", "flac", "alac") if container == "mov" or sample in ("FLOAT", "DOUBLE", "PCM_32") else ("flac", "alac", "pcm")
    lossless = next((name for name in exact if name in possible), None) if container != "mp4" else "alac"
    if requested is not None:
        name = RAW_FORMATS.get(requested.lower(), requested.upper().replace("-", "_"))
        if name in LADDERS and lossless is not None:
            return lossless, name
        if name.lower() not in possible:
            choices = ", ".join(each.upper() for each in possible if each != "pcm") + (", PCM_16, PCM_24" if lossless else "")
            raise UsageError(f"{suffix[1:].upper()} files cannot hold the subtype {requested}; choose one of {choices}.")
        return name.lower(), sample if name.lower() in LOSSLESS_CODECS else name.lower()
    own = CODEC_OF_SUBTYPE.get(info.subtype, "pcm" if info.codec.startswith("pcm_") else info.codec or info.format.lower())
    codec = own if own in possible else possible[0]
    if own not in possible and not info.is_lossy and lossless is not None and container != "mp4":
        codec = lossless
    return codec, sample if codec in LOSSLESS_CODECS else codec


def _media_format(container: str, suffix: str, info: AudioInfo, requested: str | None, bitrate: float | None) -> OutputFormat:
    """How a media file is stored. See `output_format`."""
    codec, subtype = _media_codec(container, info, suffix, requested)
    most = MOST_CHANNELS.get(codec)
    if most is not None and info.channels > most:
        other = "write .mkv with --subtype PCM_16, or .wav, instead"
        raise AudioError(f"{codec.upper()} holds at most {most} channels and {info.name} has {info.channels}; {other}.")
    if codec in LOSSLESS_CODECS:
        if bitrate is not None:
            raise UsageError("--bitrate is for lossy output (mp3, ogg, opus, m4a ...); this output is not compressed with loss.")
        if codec != "pcm":
            # FLAC and ALAC are written with 16 or 24 bits.
            subtype = "PCM_16" if subtype in ("PCM_16", "PCM_U8", "PCM_S8") else "PCM_24"
        return OutputFormat(container, subtype, codec=codec, suffix=suffix)
    _require_bitrate(bitrate)
    near = info.bitrate if info.is_lossy else None
    return OutputFormat(container, subtype, codec=codec, suffix=suffix, bitrate=bitrate or near or USUAL_KBPS[codec] * info.channels)
