"""Tags, chapters and pictures of files. libsndfile handles the tags that it reads and writes correctly, mutagen all others."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import struct
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from tsmgan.audio.info import AudioInfo, Chapter, Picture
from tsmgan.audio.wav_cues import chunks, cue_chunks, read_cues

if TYPE_CHECKING:
    import soundfile

ALL_STRINGS = frozenset("title copyright software artist comment date album license tracknumber genre".split())
"""The text tags that libsndfile knows."""
NATIVE = {
    "FLAC": ALL_STRINGS,
    "OGG": ALL_STRINGS,
    "CAF": ALL_STRINGS,
    "WAV": ALL_STRINGS - {"license"},
    "WAVEX": ALL_STRINGS - {"license"},
    "RF64": ALL_STRINGS - {"license"},
    "AIFF": frozenset({"title", "artist", "comment"}),
}
"""The tags that libsndfile stores in each container without loss. In MP3 files it labels UTF-8 as Latin-1; in AIFF it cuts some tags."""
CHUNKED = {"WAV": b"id3 ", "WAVEX": b"id3 ", "RF64": b"id3 ", "AIFF": b"ID3 "}
"""Containers of chunks, and the name of the chunk that holds an ID3 tag."""
WITH_COMMENTS = ("FLAC", "OGG")
BROADCAST = ("WAV", "WAVEX", "RF64")
"""Containers with a `bext` chunk."""
LARGEST_CHUNK = 2**28
"""Most bytes of an ID3 tag."""
SFC_GET_BROADCAST_INFO, SFC_SET_BROADCAST_INFO = 0x10F0, 0x10F1
BROADCAST_BYTES, CODING_HISTORY_BYTES = 608, 16000
"""Bytes of SF_BROADCAST_INFO without its coding history, and of the longest history that libsndfile keeps."""
TECHNICAL_COMMENTS = frozenset({"encoder", "encoder_options", "itunsmpb", "itunnorm", "waveformatextensible_channel_mask"})
RENAMED_COMMENTS = {"album artist": "albumartist", "album_artist": "albumartist", "track": "tracknumber", "disc": "discnumber"}
CHAPTER = re.compile(r"chapter(\d+)(name|url)?")
CLOCK = re.compile(r"(\d+):(\d+):(\d+(?:\.\d*)?)")
ENCODERS = ("LAME", "Lavf", "Lavc", "libsndfile")
"""First words of a `software` tag that names the encoder of the input."""


def with_tags(info: AudioInfo, file: soundfile.SoundFile, path: str) -> AudioInfo:
    """What is known of a file, with its tags, chapters, pictures and `bext` chunk.

    Damaged tags never keep a recording from being read. A note says that they are damaged.
    """
    strings = _strings(file)
    if info.format == "MP3":
        from tsmgan.audio.id3 import repaired

        strings = {name: repaired(text) for name, text in strings.items()}
    info = replace(info, tags=_cleaned(strings), broadcast=_broadcast(file) if info.format in BROADCAST else b"")
    try:
        found = _read(info, path)
    except Exception:
        # mutagen raises many kinds of errors for damaged tags.
        return replace(info, notes=(*info.notes, "Its tags are damaged, and some were not read."))
    strings = info.tags
    if info.format == "MP3" and found:
        # libsndfile takes players' own notes for comments, so only its date is used: mutagen drops dates that are not ISO 8601.
        strings = {name: text for name, text in strings.items() if name == "date"}
    return replace(info, **{**found, "tags": _cleaned(strings | found.get("tags", {}))})


def _strings(file: soundfile.SoundFile) -> dict[str, str]:
    """The strings that libsndfile finds. soundfile decodes all of them as UTF-8, but old programs write other encodings."""
    tags = file.copy_metadata()
    if any("\ufffd" in text for text in tags.values()):
        import soundfile

        for name, number in soundfile._str_types.items():
            raw = soundfile._snd.sf_get_string(file._file, number)
            if name in tags and raw:
                tags[name] = _decoded(soundfile._ffi.string(raw))
    return tags


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _cleaned(tags: dict[str, str]) -> dict[str, str]:
    """The tags without empty ones and without names of encoders. libsndfile adds its name to the software tag whenever it writes it."""
    cleaned = {}
    for name, text in tags.items():
        if name == "software":
            text = text.split(" (libsndfile-")[0]
            if text.startswith(ENCODERS):
                continue
        if text.strip().strip("\0"):
            cleaned[name] = text
    return cleaned


def _broadcast(file: soundfile.SoundFile) -> bytes:
    import soundfile

    buffer = soundfile._ffi.new("char[]", BROADCAST_BYTES + CODING_HISTORY_BYTES)
    found = soundfile._snd.sf_command(file._file, SFC_GET_BROADCAST_INFO, buffer, len(buffer))
    if not found:
        return b""
    data = bytes(soundfile._ffi.buffer(buffer))
    (history,) = struct.unpack_from("=I", data, BROADCAST_BYTES - 4)
    return data[: BROADCAST_BYTES + min(history, CODING_HISTORY_BYTES)]


def _read(info: AudioInfo, path: str) -> dict[str, Any]:
    """The fields of AudioInfo that libsndfile does not provide."""
    if info.format == "MP3":
        from tsmgan.audio.id3 import read_id3

        with open(path, "rb") as file:
            return read_id3(file, own_file=True)
    if info.format in CHUNKED:
        with open(path, "rb") as file:
            data = _chunk(file, {b"ID3 ", b"id3 ", b"ID32"})
            cues, unread = read_cues(file, info.samplerate)
        found: dict[str, Any] = {}
        if data is not None:
            from tsmgan.audio.id3 import read_id3

            found = read_id3(io.BytesIO(data), own_file=False)
        if cues and not found.get("chapters"):
            found["chapters"] = cues
        return found | {"unread_tags": (*found.get("unread_tags", ()), *unread)}
    if info.format in WITH_COMMENTS:
        with open(path, "rb") as file:
            comments = _comments(file, info.format, info.subtype)
            return _from_comments(comments.tags or (), getattr(comments, "pictures", ()))
    return {}


def _chunk(file: BinaryIO, names: set[bytes]) -> bytes | None:
    """The content of the first chunk with one of these names in a RIFF or AIFF file. The end of the file may cut it."""
    return next((file.read(min(length, LARGEST_CHUNK)) for name, length in chunks(file) if name in names), None)


def _comments(file: BinaryIO, container: str, subtype: str) -> Any:
    """mutagen's view of a FLAC or Ogg file."""
    if container == "FLAC":
        from mutagen.flac import FLAC

        return FLAC(file)
    if subtype == "OPUS":
        from mutagen.oggopus import OggOpus

        return OggOpus(file)
    if subtype == "VORBIS":
        from mutagen.oggvorbis import OggVorbis

        return OggVorbis(file)
    from mutagen.oggflac import OggFLAC

    return OggFLAC(file)


def _from_comments(comments: Iterable[tuple[str, str]], blocks: Iterable[Any]) -> dict[str, Any]:
    """Fields of AudioInfo from Vorbis comments and FLAC's picture blocks."""
    tags: dict[str, str] = {}
    starts: dict[int, float] = {}
    titles: dict[int, str] = {}
    pictures = [Picture(block.data, block.mime, block.type, block.desc) for block in blocks]
    for key, text in comments:
        name = key.lower()
        chapter = CHAPTER.fullmatch(name)
        if chapter is not None:
            number, what, clock = int(chapter[1]), chapter[2], CLOCK.fullmatch(text.strip())
            if what == "name":
                titles[number] = text
            elif what is None and clock is not None:
                starts[number] = int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])
        elif name == "metadata_block_picture":
            from mutagen.flac import Picture as Block

            block = Block(base64.b64decode(text))
            pictures.append(Picture(block.data, block.mime, block.type, block.desc))
        elif name == "encoder" and " (libsndfile-" in text:
            # libsndfile stores an Opus file's software under this name.
            tags["software"] = text
        elif name not in TECHNICAL_COMMENTS:
            name = RENAMED_COMMENTS.get(name, name)
            tags[name] = f"{tags[name]}\0{text}" if name in tags else text
    chapters = sorted((Chapter(start, None, titles.get(number, "")) for number, start in starts.items()), key=lambda each: each.start)
    return {"tags": tags, "chapters": tuple(chapters), "pictures": tuple(pictures)}


def set_native_tags(file: soundfile.SoundFile, info: AudioInfo) -> None:
    """Give an output, before its first sample, the tags that libsndfile stores in its format without a loss.

    A `bext` chunk is kept as it is, its time reference among it: that is the instant at which the recording begins, and the first
    sample of the output is the first one of the input. libsndfile adds a line about this coding to its history.
    """
    import soundfile

    native = NATIVE.get(file.format, frozenset())
    for name, text in info.tags.items():
        if name in native and "\0" not in text:
            try:
                setattr(file, name, text)
            except soundfile.LibsndfileError:
                # `missing_tags` reports what is missing.
                continue
    if info.broadcast and file.format in BROADCAST:
        data = soundfile._ffi.new("char[]", info.broadcast)
        soundfile._snd.sf_command(file._file, SFC_SET_BROADCAST_INFO, data, len(info.broadcast))


def needs_more_tags(container: str, info: AudioInfo) -> bool:
    """Whether a file of this format can hold something of the input's tags that libsndfile does not write."""
    if container not in CHUNKED and container not in WITH_COMMENTS and container != "MP3":
        return False
    native = NATIVE.get(container, frozenset())
    return bool(info.chapters or info.pictures or any(name not in native or "\0" in text for name, text in info.tags.items()))


def add_tags(file: BinaryIO, container: str, subtype: str, info: AudioInfo) -> None:
    """Write all tags, chapters and pictures of `info` into a complete file, which is open for reading and writing.

    Raises:
        Exception: of many kinds. The file may be damaged then; see `Undo`.
    """
    if container in WITH_COMMENTS:
        _add_comments(file, container, subtype, info)
        return
    from tsmgan.audio.id3 import save_id3

    if container in CHUNKED:
        content = io.BytesIO()
        save_id3(info, content)
        _append_chunk(file, CHUNKED[container], content.getvalue())
        for name, inside in cue_chunks(info.chapters, info.samplerate) if container in BROADCAST else ():
            _append_chunk(file, name, inside)
    else:
        save_id3(info, file)


def _append_chunk(file: BinaryIO, name: bytes, content: bytes) -> None:
    """Append a chunk to a RIFF, RF64 or AIFF file, and update the length that the file states."""
    order = ">" if name == b"ID3 " else "<"
    size = file.seek(0, os.SEEK_END)
    file.write(b"\0" * (size % 2) + struct.pack(order + "4sI", name, len(content)) + content + b"\0" * (len(content) % 2))
    whole = file.tell() - 8
    file.seek(0)
    if file.read(4) == b"RF64":
        file.seek(20)
        file.write(struct.pack("<Q", whole))
    else:
        file.write(struct.pack(order + "I", whole))


def _add_comments(file: BinaryIO, container: str, subtype: str, info: AudioInfo) -> None:
    from mutagen.flac import Picture as Block

    file.seek(0)
    comments = _comments(file, container, subtype)
    if comments.tags is None:
        comments.add_tags()
    kept = {"encoder": comments.tags["encoder"]} if "encoder" in comments.tags and subtype != "OPUS" else {}
    comments.tags.clear()
    comments.tags.update(kept)
    for name, text in info.tags.items():
        # A key is printable ASCII without "=", which ends it.
        comments.tags[re.sub(r"[^ -<>-}]", "_", name).upper()] = text.split("\0")
    for number, chapter in enumerate(info.chapters, 1):
        milliseconds = round(chapter.start * 1000)
        minutes, rest = divmod(milliseconds, 60000)
        comments.tags[f"CHAPTER{number:03d}"] = f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
        comments.tags[f"CHAPTER{number:03d}NAME"] = chapter.title
    blocks = []
    for picture in info.pictures:
        block = Block()
        block.data, block.mime, block.type, block.desc = picture.data, picture.mime, picture.kind, picture.description
        blocks.append(block)
    if container == "FLAC":
        for block in blocks:
            comments.add_picture(block)
    elif blocks:
        comments.tags["METADATA_BLOCK_PICTURE"] = [base64.b64encode(block.write()).decode("ascii") for block in blocks]
    file.seek(0)
    comments.save(file)


def missing_tags(wanted: AudioInfo, found: AudioInfo) -> list[str]:
    """Names of what the first recording carries and the second does not, for a message."""
    missing = sorted(name for name, text in wanted.tags.items() if found.tags.get(name) != text)
    if len(found.pictures) < len(wanted.pictures):
        missing.append("cover" if len(wanted.pictures) == 1 else "pictures")
    if [each.title for each in found.chapters] != [each.title for each in wanted.chapters]:
        missing.append("chapters")
    if wanted.broadcast and not found.broadcast:
        missing.append("broadcast extension (bext)")
    return [*missing, *wanted.unread_tags]


class Undo:
    """Keeps what a file held before its tags were written, so that a failure loses only the tags and not the sound."""

    def __init__(self, file: BinaryIO, container: str, folder: str) -> None:
        """
        Args:
            file: open for reading and writing.
            container: its format. Files of chunks only grow at their end, of others all is kept.
            folder: where a copy that has no name finds room.
        """
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self._copy = tempfile.TemporaryFile(dir=folder)
        file.seek(0)
        try:
            if container in CHUNKED:
                self._copy.write(file.read(32))
            else:
                shutil.copyfileobj(file, self._copy, 1 << 20)
        except BaseException:
            self._copy.close()
            raise

    def restore(self) -> None:
        """Restore the file."""
        self._file.seek(0)
        self._copy.seek(0)
        shutil.copyfileobj(self._copy, self._file, 1 << 20)
        self._file.truncate(self._size)
        self._file.flush()

    def __enter__(self) -> Undo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._copy.close()
