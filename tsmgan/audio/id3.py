"""ID3 tags, read and written with mutagen. MP3 files begin with them; WAV and AIFF files hold them in a chunk.

Only this module and `tsmgan.audio.tags` import mutagen, and only once a file has tags that libsndfile does not read or write.
"""

from __future__ import annotations

from typing import Any, BinaryIO

import mutagen.id3 as frames_of_mutagen
from mutagen.id3 import (
    APIC,
    CHAP,
    COMM,
    CTOC,
    ID3,
    TIT2,
    TXXX,
    USLT,
    CTOCFlags,
    Encoding,
    Frames,
    ID3JunkFrameError,
    ID3NoHeaderError,
    ID3TimeStamp,
)

from tsmgan.audio.info import AudioInfo, Chapter, Picture

TEXT_FRAMES = {
    "TIT1": "grouping",
    "TIT2": "title",
    "TIT3": "subtitle",
    "TPE1": "artist",
    "TPE2": "albumartist",
    "TPE3": "conductor",
    "TPE4": "remixer",
    "TALB": "album",
    "TCOM": "composer",
    "TEXT": "lyricist",
    "TDRC": "date",
    "TDOR": "originaldate",
    "TDRL": "releasedate",
    "TCON": "genre",
    "TRCK": "tracknumber",
    "TPOS": "discnumber",
    "TSST": "discsubtitle",
    "TCOP": "copyright",
    "TPUB": "publisher",
    "TENC": "encodedby",
    "TSSE": "software",
    "TBPM": "bpm",
    "TKEY": "initialkey",
    "TLAN": "language",
    "TMOO": "mood",
    "TMED": "media",
    "TSRC": "isrc",
    "TCMP": "compilation",
    "TSOP": "artistsort",
    "TSOA": "albumsort",
    "TSOT": "titlesort",
    "TSO2": "albumartistsort",
    "TSOC": "composersort",
    "TOAL": "originalalbum",
    "TOPE": "originalartist",
    "TOFN": "originalfilename",
    "TDES": "description",
    "TGID": "podcastid",
    "TCAT": "podcastcategory",
    "TKWD": "keywords",
    "WCOP": "license",
    "WOAR": "website",
    "WFED": "podcasturl",
    "WXXX": "url",
}
"""ID3 frames of texts and addresses, and the Vorbis comment names that they correspond to. Other tags become TXXX frames."""
WRITTEN_FRAMES = {name: frame for frame, name in TEXT_FRAMES.items() if frame.startswith("T")}
TECHNICAL_FRAMES = frozenset("TLEN TSIZ TFLT TDLY TDEN TDTG MLLT CTOC SEEK ASPI ENCR GRID RBUF".split())
"""Facts about the input file and its encoding. They would be false of the output."""
PLAYERS_OWN = "itun"
"""Prefixes of the comment descriptions that iTunes writes for its own players."""
OLD_COMMENT = "id3v1 comment"
"""mutagen's description of an ID3v1 comment, which often repeats another comment."""


def _guarded(frame: type[Any]) -> type[Any]:
    """A frame class that refuses compressed content. A few kilobytes of it could become gigabytes, and no program writes it."""

    class Guarded(frame):
        @classmethod
        def _fromData(cls, header: Any, tflags: int, data: bytes) -> Any:
            flag = frame.FLAG24_COMPRESS if header.version >= (2, 4, 0) else frame.FLAG23_COMPRESS
            if header.version >= (2, 3, 0) and tflags & flag:
                raise ID3JunkFrameError
            return frame._fromData(header, tflags, data)

    Guarded.__name__ = frame.__name__
    return Guarded


KNOWN_FRAMES = {name: _guarded(frame) for name, frame in {**Frames, **frames_of_mutagen.Frames_2_2}.items()}


def _text(frame: Any) -> str:
    """The values of a text frame, joined by NUL, whatever encoding the frame claims."""
    if hasattr(frame, "url"):
        return frame.url
    values = frame.genres if frame.FrameID == "TCON" else frame.text
    values = [values] if isinstance(values, str) else values
    return "\0".join(repaired(str(value)) if frame.encoding == Encoding.LATIN1 else str(value) for value in values)


def repaired(text: str) -> str:
    """Repair text that was read as Latin-1. Many programs, libsndfile among them, write UTF-8 or Windows-1252 there."""
    for encoding in ("utf-8", "cp1252"):
        try:
            return text.encode("latin-1").decode(encoding)
        except UnicodeError:
            continue
    return text


def read_id3(file: BinaryIO, *, own_file: bool) -> dict[str, Any]:
    """Fields of `AudioInfo`: tags, chapters, pictures and unread_tags.

    Args:
        file: a whole MP3 file, or the content of a chunk.
        own_file: whether it is a file, which may have an ID3v1 tag at its end.
    """
    try:
        tag = ID3(file, known_frames=KNOWN_FRAMES, load_v1=own_file)
    except ID3NoHeaderError:
        return {}
    tags: dict[str, str] = {}
    chapters, pictures, unread = [], [], set()
    for frame in tag.values():
        kind = frame.FrameID
        if kind == "CHAP":
            titles = [_text(each) for each in frame.sub_frames.values() if each.FrameID == "TIT2"]
            end = frame.end_time / 1000 if frame.start_time < frame.end_time < 0xFFFFFFFF else None
            chapters.append(Chapter(frame.start_time / 1000, end, titles[0] if titles else ""))
        elif kind == "APIC":
            pictures.append(Picture(frame.data, frame.mime, int(frame.type), frame.desc))
        elif kind in ("COMM", "USLT", "TXXX"):
            _add_described(tags, kind, frame)
        elif kind in ("TIPL", "TMCL", "IPLS"):
            for role, person in frame.people:
                key = role.lower() if kind != "TMCL" else "performer"
                value = person if kind != "TMCL" else f"{person} ({role})"
                tags[key] = f"{tags[key]}\0{value}" if key in tags else value
        elif kind in TEXT_FRAMES:
            if text := _text(frame):
                tags[TEXT_FRAMES[kind]] = text
        elif kind not in TECHNICAL_FRAMES:
            unread.add(kind)
    if f"comment:{OLD_COMMENT}" in tags:
        tags.setdefault("comment", tags.pop(f"comment:{OLD_COMMENT}"))
    chapters.sort(key=lambda chapter: chapter.start)
    unread |= {data[:4].decode("latin-1") for data in tag.unknown_frames}
    return {"tags": tags, "chapters": tuple(chapters), "pictures": tuple(pictures), "unread_tags": tuple(sorted(unread))}


def _add_described(tags: dict[str, str], kind: str, frame: Any) -> None:
    """Comments, lyrics and free texts. A file may hold several of each, told apart by their descriptions."""
    description, text = frame.desc.lower(), _text(frame)
    if description.startswith(PLAYERS_OWN) or not text:
        return
    if kind == "TXXX":
        tags.setdefault(description or "text", text)
    else:
        name = {"COMM": "comment", "USLT": "lyrics"}[kind]
        tags.setdefault(f"{name}:{description}" if description else name, text)


def save_id3(info: AudioInfo, file: BinaryIO) -> None:
    """Write the tags, chapters and pictures at the start of a file, as an ID3v2.4 tag in UTF-8."""
    tag = ID3()
    for name, text in info.tags.items():
        tag.add(_frame(name, text.split("\0")))
    for picture in info.pictures:
        # ID3 keeps only one of two pictures that have the same description.
        description = picture.description
        while f"APIC:{description}" in tag:
            description += " "
        tag.add(APIC(encoding=Encoding.UTF8, mime=picture.mime, type=picture.kind, desc=description, data=picture.data))
    _add_chapters(tag, info)
    file.seek(0)
    tag.save(file, v2_version=4, v1=0, padding=lambda padding: 0)


def _frame(name: str, values: list[str]) -> Any:
    kind, _, description = name.partition(":")
    if kind == "comment":
        return COMM(encoding=Encoding.UTF8, lang="XXX", desc=description, text=values)
    if kind == "lyrics":
        return USLT(encoding=Encoding.UTF8, lang="XXX", desc=description, text="\n".join(values))
    frame = WRITTEN_FRAMES.get(name)
    # mutagen would empty a date that is not in the form of ID3.
    if frame is None or (frame.startswith("TD") and frame != "TDES" and [ID3TimeStamp(each).text for each in values] != values):
        return TXXX(encoding=Encoding.UTF8, desc=name, text=values)
    return Frames[frame](encoding=Encoding.UTF8, text=values)


def _add_chapters(tag: ID3, info: AudioInfo) -> None:
    """Write chapters as CHAP frames. Each needs an end, so an open chapter ends where the next one begins."""
    names = [f"chapter{number}" for number in range(len(info.chapters))]
    starts = [chapter.start for chapter in info.chapters[1:]]
    for name, chapter, following in zip(names, info.chapters, [*starts, None]):
        end = chapter.end if chapter.end is not None else following
        title = TIT2(encoding=Encoding.UTF8, text=[chapter.title])
        tag.add(
            CHAP(
                element_id=name,
                start_time=round(chapter.start * 1000),
                end_time=0xFFFFFFFF if end is None else round(end * 1000),
                start_offset=0xFFFFFFFF,
                end_offset=0xFFFFFFFF,
                sub_frames=[title],
            )
        )
    # The table of contents counts chapters in one byte. Where there are more, players find them without it.
    if 0 < len(names) < 256:
        tag.add(CTOC(element_id="toc", flags=CTOCFlags.TOP_LEVEL | CTOCFlags.ORDERED, child_element_ids=names, sub_frames=[]))
