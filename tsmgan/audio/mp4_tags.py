"""Tags and covers of MP4, M4A, M4B and MOV files, read and written with mutagen. FFmpeg reads and writes only some of them."""

from __future__ import annotations

import re
from typing import Any, BinaryIO

from mutagen.mp4 import MP4, AtomDataType, MP4Cover, MP4FreeForm

from tsmgan.audio.info import AudioInfo, Picture

TEXT_ATOMS = {
    "\xa9nam": "title",
    "\xa9ART": "artist",
    "aART": "albumartist",
    "\xa9alb": "album",
    "\xa9wrt": "composer",
    "\xa9day": "date",
    "\xa9cmt": "comment",
    "\xa9gen": "genre",
    "\xa9lyr": "lyrics",
    "\xa9grp": "grouping",
    "\xa9nrt": "narrator",
    "\xa9pub": "publisher",
    "\xa9wrk": "work",
    "\xa9mvn": "movementname",
    "desc": "description",
    "ldes": "synopsis",
    "cprt": "copyright",
    "tvsh": "show",
    "tven": "episode_id",
    "tvnn": "network",
    "purl": "podcasturl",
    "catg": "podcastcategory",
    "keyw": "keywords",
    "egid": "podcastid",
    "sonm": "titlesort",
    "soar": "artistsort",
    "soaa": "albumartistsort",
    "soal": "albumsort",
    "soco": "composersort",
    "sosn": "showsort",
}
"""Atoms that hold texts, and the Vorbis comment names that they correspond to. Other tags become freeform atoms."""
ATOM_OF = {name: atom for atom, name in TEXT_ATOMS.items()}
PAIRS = {"trkn": "tracknumber", "disk": "discnumber"}
FREEFORM = "----:com.apple.iTunes:"
TECHNICAL_ATOMS = frozenset({"\xa9too", "covr"} | {f"----:com.apple.itunes:{name}" for name in ("itunsmpb", "itunnorm", "cdec")})
"""Facts about the encoder, which would be false of the output; the last three in lower case. The cover goes its own way."""
COVER_MIMES = {MP4Cover.FORMAT_JPEG: "image/jpeg", MP4Cover.FORMAT_PNG: "image/png"}
PAIR = re.compile(r"(\d+)(?:/(\d+))?")
AUDIOBOOK = 2
"""The kind of media, `stik`, of an audiobook."""


def _text(key: str, values: Any) -> tuple[str, str] | None:
    """Name and text of an atom; None of one that is no text."""
    if key in TEXT_ATOMS:
        return TEXT_ATOMS[key], "\0".join(map(str, values))
    if key in PAIRS and values:
        number, total = values[0]
        return PAIRS[key], f"{number}/{total}" if total else str(number)
    if key == "tmpo" and values:
        return "bpm", str(values[0])
    if key.startswith(FREEFORM):
        try:
            return key[len(FREEFORM) :].lower(), "\0".join(bytes(value).decode("utf-8") for value in values)
        except UnicodeDecodeError:
            return None
    return None


def read_mp4(file: BinaryIO) -> dict[str, Any]:
    """Fields of `AudioInfo`: tags, pictures and atoms. Empty where the file has no tags of iTunes' kind.

    Raises:
        Exception: mutagen raises many kinds of errors for damaged tags.
    """
    found = MP4(file).tags
    if not found:
        return {}
    atoms = {key: values for key, values in found.items() if key not in TECHNICAL_ATOMS and key.lower() not in TECHNICAL_ATOMS}
    pairs = [pair for key, values in atoms.items() if (pair := _text(key, values)) is not None and pair[1].strip("\0 ")]
    covers = found.get("covr", [])
    pictures = [
        Picture(bytes(cover), COVER_MIMES.get(cover.imageformat, "image/jpeg"), 0 if number else 3) for number, cover in enumerate(covers)
    ]
    return {"tags": dict(pairs), "pictures": tuple(pictures), "atoms": atoms}


def save_mp4(file: BinaryIO, info: AudioInfo, *, is_audiobook: bool) -> None:
    """Write the tags and covers of a recording into a complete file.

    Args:
        file: open for reading and writing.
        is_audiobook: whether players shall find it among books, unless the input says what it is.

    Raises:
        Exception: mutagen raises many kinds of errors.
    """
    file.seek(0)
    tagged = MP4(file)
    if tagged.tags is None:
        tagged.add_tags()
    tags: dict[str, Any] = ({"stik": [AUDIOBOOK]} if is_audiobook else {}) | _atoms(info)
    covers = [MP4Cover(each.data, kind) for each in info.pictures for kind, mime in COVER_MIMES.items() if each.mime == mime]
    if covers:
        tags["covr"] = covers
    tagged.clear()
    tagged.update(tags)
    file.seek(0)
    tagged.save(file, padding=lambda padding: 0)


def _atoms(info: AudioInfo) -> dict[str, Any]:
    """The input's own atoms, as far as they say what the tags say, and atoms for all other tags."""
    atoms, left = {}, dict(info.tags)
    for key, values in info.atoms.items():
        pair = _text(key, values)
        if pair is None:
            atoms[key] = values
        elif left.get(pair[0]) == pair[1]:
            atoms[key] = values
            del left[pair[0]]
    for name, text in left.items():
        key, values = _atom(name, text)
        atoms[key] = values
    return atoms


def _atom(name: str, text: str) -> tuple[str, Any]:
    """The atom for a tag. Numbers that MP4 cannot hold as such become freeform texts."""
    if name in ATOM_OF:
        return ATOM_OF[name], text.split("\0")
    pair = PAIR.fullmatch(text)
    if name in PAIRS.values() and pair is not None:
        numbers = int(pair[1]), int(pair[2] or 0)
        if max(numbers) < 1 << 16:
            return next(key for key, known in PAIRS.items() if known == name), [numbers]
    if name == "bpm" and text.isdigit() and int(text) < 1 << 16:
        return "tmpo", [int(text)]
    return FREEFORM + name, [MP4FreeForm(value.encode("utf-8"), AtomDataType.UTF8) for value in text.split("\0")]
