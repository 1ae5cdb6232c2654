"""Promises about what recordings carry beside sound: texts, covers, chapters and broadcast data arrive, or are named in one line."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from mutagen import aiff, flac, id3, oggopus, oggvorbis, wave

from tsmgan.cli import run

RATE = 48000
TEXTS = {
    "title": "Ж 日本 é",
    "artist": "Änne",
    "albumartist": "Various Ж",
    "composer": "作曲",
    "date": "2024-05-06",
    "comment": "Größe: 日本",
    "genre": "Hörspiel",
    "tracknumber": "3/12",
    "lyrics": "erste Zeile\nzweite Ж",
    "mood of day": "é",
}
FRAMES = {
    "TIT2": "title",
    "TPE1": "artist",
    "TPE2": "albumartist",
    "TCOM": "composer",
    "TDRC": "date",
    "TCON": "genre",
    "TRCK": "tracknumber",
}
CHAPTERS = [(0.0, "Anfang é"), (0.75, "日本"), (1.2, "Ж")]


def png() -> bytes:
    """A picture of 3 by 2 points."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 3, 2, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(2 * (b"\0" + bytes(9)))) + chunk(b"IEND", b"")


def clock(seconds: float) -> str:
    return f"00:00:{seconds:06.3f}"


def sound(seconds: float = 1.5) -> np.ndarray:
    return (0.1 * np.random.default_rng(5).standard_normal((round(seconds * RATE), 1))).clip(-0.9, 0.9)


def picture_block() -> flac.Picture:
    block = flac.Picture()
    block.data, block.mime, block.type, block.desc = png(), "image/png", 3, "front é"
    return block


def id3_frames() -> list[id3.Frame]:
    frames = [getattr(id3, frame)(encoding=1, text=[TEXTS[name]]) for frame, name in FRAMES.items()]
    frames += [
        id3.COMM(encoding=1, lang="deu", desc="", text=[TEXTS["comment"]]),
        id3.USLT(encoding=1, lang="deu", desc="", text=TEXTS["lyrics"]),
    ]
    frames += [
        id3.TXXX(encoding=1, desc="Mood of day", text=["é"]),
        id3.APIC(encoding=3, mime="image/png", type=3, desc="front é", data=png()),
    ]
    ends = [start for start, _ in CHAPTERS[1:]] + [1.5]
    for number, ((start, title), end) in enumerate(zip(CHAPTERS, ends)):
        name = id3.TIT2(encoding=1, text=[title])
        times = {"start_time": round(start * 1000), "end_time": round(end * 1000), "start_offset": 0xFFFFFFFF, "end_offset": 0xFFFFFFFF}
        frames.append(id3.CHAP(element_id=f"c{number}", sub_frames=[name], **times))
    return [*frames, id3.CTOC(element_id="toc", flags=3, child_element_ids=["c0", "c1", "c2"], sub_frames=[])]


def write_tagged(path: Path) -> None:
    """A recording with everything in it, written by mutagen."""
    formats = {".mp3": "MP3", ".flac": "FLAC", ".ogg": "OGG", ".opus": "OGG", ".wav": "WAV", ".aiff": "AIFF"}
    soundfile.write(path, sound(), RATE, format=formats[path.suffix], subtype="OPUS" if path.suffix == ".opus" else None)
    if path.suffix in (".mp3", ".wav", ".aiff"):
        file = {".mp3": id3.ID3, ".wav": wave.WAVE, ".aiff": aiff.AIFF}[path.suffix]
        tagged = file() if path.suffix == ".mp3" else file(path)
        if path.suffix != ".mp3":
            tagged.add_tags()
        for frame in id3_frames():
            (tagged if path.suffix == ".mp3" else tagged.tags).add(frame)
        tagged.save(path)
        return
    tagged = {".flac": flac.FLAC, ".ogg": oggvorbis.OggVorbis, ".opus": oggopus.OggOpus}[path.suffix](path)
    for name, text in TEXTS.items():
        tagged[name] = text
    for number, (start, title) in enumerate(CHAPTERS):
        tagged[f"CHAPTER{number:03d}"], tagged[f"CHAPTER{number:03d}NAME"] = clock(start), title
    if path.suffix == ".flac":
        tagged.add_picture(picture_block())
    else:
        tagged["METADATA_BLOCK_PICTURE"] = base64.b64encode(picture_block().write()).decode()
    tagged.save()


def read_with_mutagen(path: Path) -> tuple[dict[str, str], list[tuple[float, str]], list[bytes]]:
    """Texts, chapters and pictures as another program finds them."""
    if path.suffix in (".mp3", ".wav", ".aiff"):
        tag = {".mp3": id3.ID3, ".wav": wave.WAVE, ".aiff": aiff.AIFF}[path.suffix](path)
        tag = tag if path.suffix == ".mp3" else tag.tags
        texts = {name: str(tag[frame]) for frame, name in FRAMES.items()} | {each.desc: str(each) for each in tag.getall("TXXX")}
        texts["comment"], texts["lyrics"] = str(tag.getall("COMM")[0]), str(tag.getall("USLT")[0])
        chapters = sorted((each.start_time / 1000, str(each.sub_frames["TIT2"])) for each in tag.getall("CHAP"))
        return texts, chapters, [each.data for each in tag.getall("APIC")]
    file = mutagen.File(path)
    texts = {name.lower(): text for name, text in file.tags}
    starts = [texts.pop(name) for name in sorted(texts) if name.startswith("chapter") and name[7:].isdigit()]
    titles = [texts.pop(name) for name in sorted(texts) if name.startswith("chapter") and name.endswith("name")]
    pictures = [each.data for each in getattr(file, "pictures", [])]
    if block := texts.pop("metadata_block_picture", None):
        pictures.append(flac.Picture(base64.b64decode(block)).data)
    texts.pop("encoder", None)
    return texts, [(float(start[6:]), title) for start, title in zip(starts, titles)], pictures


EVERYTHING = [".mp3", ".flac", ".ogg", ".opus", ".wav", ".aiff"]


@pytest.mark.parametrize(
    "source, target",
    [*[(".flac", suffix) for suffix in EVERYTHING], *[(suffix, ".flac") for suffix in EVERYTHING[2:]], (".mp3", ".mp3"), (".wav", ".wav")],
)
def test_texts_cover_and_chapters_arrive_where_their_sound_is(folder, capsys, source, target):
    write_tagged(folder / f"in{source}")
    assert run(["stretch", f"in{source}", "-o", f"out{target}", "--rate", "1.5", "--model", "handmade"]) == 0
    assert "not kept" not in capsys.readouterr().err
    texts, chapters, pictures = read_with_mutagen(folder / f"out{target}")
    assert texts == TEXTS and pictures == [png()]
    assert [title for _, title in chapters] == [title for _, title in CHAPTERS]
    assert [start for start, _ in chapters] == pytest.approx([start / 1.5 for start, _ in CHAPTERS], abs=0.001)


@pytest.mark.parametrize("suffix", EVERYTHING)
def test_tags_leave_the_sound_as_it_is(folder, suffix):
    write_tagged(folder / "in.flac")
    soundfile.write("bare.flac", *soundfile.read("in.flac"))
    for name in ("in", "bare"):
        assert run(["stretch", f"{name}.flac", "-o", f"{name} out{suffix}", "--rate", "1.25", "--model", "handmade", "-q"]) == 0
    np.testing.assert_array_equal(soundfile.read(f"in out{suffix}")[0], soundfile.read(f"bare out{suffix}")[0])
