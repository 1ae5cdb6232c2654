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

from tsmgan.audio import open_reader
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


@pytest.mark.parametrize("suffix", [".mp3", ".flac"])
def test_text_that_libsndfile_wrote_is_read_as_it_was_meant(folder, suffix):
    with soundfile.SoundFile("in.mp3", "w", RATE, 1) as file:
        file.title, file.artist, file.comment = "Ж 日本", "Änne", "é"
        file.write(sound())
    assert run(["stretch", "in.mp3", "-o", f"out{suffix}", "--rate", "1.5", "-q"]) == 0
    tags = id3.ID3("out.mp3") if suffix == ".mp3" else flac.FLAC("out.flac")
    names = ("TIT2", "TPE1", "COMM::XXX") if suffix == ".mp3" else ("title", "artist", "comment")
    texts = [str(tags[name]) if suffix == ".mp3" else tags[name][0] for name in names]
    assert texts == ["Ж 日本", "Änne", "é"]


def test_text_in_the_code_page_of_old_programs_is_read(folder):
    soundfile.write("in.wav", sound(), RATE)
    entry = b"INAM" + struct.pack("<I", 10) + "Größe – x".encode("cp1252") + b"\0"
    content = b"INFO" + entry
    data = Path("in.wav").read_bytes() + b"LIST" + struct.pack("<I", len(content)) + content
    Path("in.wav").write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    with open_reader("in.wav") as reader:
        assert reader.info.tags == {"title": "Größe – x"}


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".mp3"])
def test_several_values_of_one_tag_stay_several(folder, suffix):
    write_tagged(folder / "in.flac")
    tagged = flac.FLAC("in.flac")
    tagged["artist"] = ["Ж", "Änne", "B; C"]
    tagged.save()
    assert run(["stretch", "in.flac", "-o", f"out{suffix}", "--rate", "1.5", "-q"]) == 0
    found = id3.ID3("out.mp3")["TPE1"].text if suffix == ".mp3" else mutagen.File(f"out{suffix}")["artist"]
    assert found == ["Ж", "Änne", "B; C"]


def broadcast_wave(samples: np.ndarray) -> bytes:
    """A Broadcast Wave file of 24 bits, whose time reference needs more than 32 bits."""
    soundfile.write("plain.wav", samples, RATE, subtype="PCM_24")
    text = b"Take 3".ljust(256, b"\0") + b"Recorder".ljust(32, b"\0") + b"REF-1".ljust(32, b"\0") + b"2024-05-0612:34:56"
    numbers = struct.pack("<IIH", 123456, 1, 2) + bytes(range(64)) + struct.pack("<5h", -2300, 700, -100, -1800, -2000) + bytes(180)
    chunk = text + numbers + b"A=PCM,F=48000,W=24,M=mono,T=Recorder\r\n"
    data = Path("plain.wav").read_bytes()
    data = data[:12] + b"bext" + struct.pack("<I", len(chunk)) + chunk + data[12:]
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def test_broadcast_data_stay_byte_for_byte_and_their_history_grows_by_a_line(folder, capsys):
    samples = sound()
    Path("in.wav").write_bytes(broadcast_wave(samples))
    before = Path("in.wav").read_bytes()
    for rate in ("1", "1.5"):
        assert run(["stretch", "in.wav", "-o", f"{rate}.wav", "--rate", rate]) == 0
        after = Path(f"{rate}.wav").read_bytes()
        start, found = before.index(b"bext") + 8, after.index(b"bext") + 8
        assert found < after.index(b"data") and after[found : found + 602] == before[start : start + 602]
        assert after[found + 602 :].startswith(b"A=PCM,F=48000,W=24,M=mono,T=Recorder\r\n")
    assert "not kept" not in capsys.readouterr().err
    np.testing.assert_array_equal(soundfile.read("1.wav", dtype="int32")[0], soundfile.read("in.wav", dtype="int32")[0])


@pytest.mark.parametrize(
    "target, names",
    [
        ("out.au", "albumartist, artist, comment, composer, date, genre, lyrics, mood of day, title, tracknumber, cover, chapters"),
        ("out.caf", "albumartist, composer, lyrics, mood of day, cover, chapters"),
    ],
)
def test_what_a_format_does_not_hold_is_named_in_one_line(folder, capsys, target, names):
    write_tagged(folder / "in.flac")
    assert run(["stretch", "in.flac", "-o", target, "--rate", "1.5"]) == 0
    assert f"Note: These tags were not kept: {names}.\n" in capsys.readouterr().err


def test_broadcast_data_that_find_no_place_are_named(folder, capsys):
    Path("in.wav").write_bytes(broadcast_wave(sound()))
    assert run(["stretch", "in.wav", "-o", "out.flac", "--rate", "1.5"]) == 0
    assert "These tags were not kept: broadcast extension (bext)." in capsys.readouterr().err


def test_frames_that_nothing_here_understands_are_named(folder, capsys):
    write_tagged(folder / "in.mp3")
    tag = id3.ID3("in.mp3")
    tag.add(id3.PRIV(owner="me", data=b"x"))
    tag.save()
    assert run(["stretch", "in.mp3", "-o", "out.mp3", "--rate", "1.5"]) == 0
    assert "These tags were not kept: PRIV." in capsys.readouterr().err


def test_a_cover_too_large_for_a_format_costs_neither_sound_nor_other_tags(folder, capsys):
    write_tagged(folder / "in.mp3")
    tag = id3.ID3("in.mp3")
    tag.getall("APIC")[0].data = png() + bytes(1 << 24)
    tag.save()
    assert run(["stretch", "in.mp3", "-o", "out.flac", "--rate", "1.5"]) == 0
    assert "These tags were not kept: cover." in capsys.readouterr().err
    texts, chapters, pictures = read_with_mutagen(folder / "out.flac")
    assert texts == TEXTS and len(chapters) == 3 and not pictures and len(soundfile.read("out.flac")[0]) == RATE


def test_damaged_tags_cost_no_sound_and_are_noted(folder, capsys):
    soundfile.write("in.ogg", sound(), RATE)
    tagged = oggvorbis.OggVorbis("in.ogg")
    tagged["metadata_block_picture"] = base64.b64encode(picture_block().write()[:30]).decode()
    tagged.save()
    assert run(["stretch", "in.ogg", "-o", "out.flac", "--rate", "1.5"]) == 0
    assert "Note: Its tags are damaged, and some were not read." in capsys.readouterr().err
    assert len(soundfile.read("out.flac")[0]) == RATE


def test_a_flac_whose_picture_is_damaged_costs_no_sound_and_is_noted(folder, capsys):
    pytest.importorskip("av", reason="PyAV is not installed, and libsndfile does not read such a file")
    soundfile.write("in.flac", sound(), RATE)
    tagged = flac.FLAC("in.flac")
    tagged.add_picture(picture_block())
    tagged.save()
    data = Path("in.flac").read_bytes()
    at = data.index(b"image/png")
    Path("in.flac").write_bytes(data[: at - 4] + b"\xff\xff\xff\xff" + data[at:])
    assert run(["stretch", "in.flac", "-o", "out.flac", "--rate", "1.5"]) == 0
    assert "Note: Its cover is damaged and was not read." in capsys.readouterr().err
    assert len(soundfile.read("out.flac")[0]) == RATE


def test_a_compressed_frame_is_not_unpacked(folder):
    soundfile.write("in.mp3", sound(), RATE)
    packed = zlib.compress(b"\3" + b"x" * (1 << 20))
    frame = b"TIT2" + struct.pack(">I", len(packed) + 4) + b"\0\x80" + struct.pack(">I", (1 << 20) + 1) + packed
    size = len(frame)
    header = b"ID3\3\0\0" + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127])
    Path("in.mp3").write_bytes(header + frame + Path("in.mp3").read_bytes())
    assert len(str(id3.ID3("in.mp3")["TIT2"])) == 1 << 20
    with open_reader("in.mp3") as reader:
        assert reader.info.tags == {}


def test_a_batch_carries_tags_as_a_single_stretch_does(folder):
    (folder / "in").mkdir()
    write_tagged(folder / "in/a.flac")
    assert run(["stretch", "in", "-o", "out", "--rate", "1.5", "--jobs", "1", "-q"]) == 0
    assert run(["stretch", "in/a.flac", "-o", "alone.flac", "--rate", "1.5", "-q"]) == 0
    assert read_with_mutagen(folder / "out/a@1.5.flac") == read_with_mutagen(folder / "alone.flac")
    assert Path("out/a@1.5.flac").read_bytes() == Path("alone.flac").read_bytes()


def test_a_time_map_moves_each_chapter_by_its_own_speed(folder):
    write_tagged(folder / "in.mp3")
    Path("map.csv").write_text("0.75, 1.5\n1.5, 2.0\n")
    assert run(["stretch", "in.mp3", "-o", "out.mp3", "--time-map", "map.csv", "-q"]) == 0
    assert [start for start, _ in read_with_mutagen(folder / "out.mp3")[1]] == pytest.approx([0, 1.5, 1.8], abs=0.001)


@pytest.mark.parametrize(
    "start, end, chapters",
    [
        (0.5, None, [(0.0, "Anfang é"), (0.25, "日本"), (0.7, "Ж")]),
        (0.0, 1.0, [(0.0, "Anfang é"), (0.75, "日本")]),
        (0.8, 1.3, [(0.0, "日本"), (0.4, "Ж")]),
        (0.75, 1.2, [(0.0, "日本")]),
        (1.3, 1.4, [(0.0, "Ж")]),
    ],
)
@pytest.mark.parametrize("suffix", [".flac", ".mp3"])
def test_a_section_has_the_chapters_that_it_touches_from_where_they_are_heard(folder, suffix, start, end, chapters):
    write_tagged(folder / f"in{suffix}")
    section = ["--start", str(start), *(() if end is None else ("--end", str(end)))]
    assert run(["stretch", f"in{suffix}", "-o", f"out{suffix}", "--rate", "0.5", "--model", "handmade", "-q", *section]) == 0
    texts, found, _ = read_with_mutagen(folder / f"out{suffix}")
    assert texts == TEXTS and [title for _, title in found] == [title for _, title in chapters]
    assert [second for second, _ in found] == pytest.approx([2 * second for second, _ in chapters], abs=0.002)


def test_the_last_chapter_of_a_section_ends_with_it(folder):
    write_tagged(folder / "in.mp3")
    assert run(["stretch", "in.mp3", "-o", "out.mp3", "--rate", "0.5", "--start", "0.5", "--end", "1", "-q"]) == 0
    ends = sorted(each.end_time for each in id3.ID3("out.mp3").getall("CHAP"))
    assert ends == pytest.approx([500, 1000], abs=2)


def wave_with_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WAV file of 1.5 s with chunks behind its samples."""
    soundfile.write("plain.wav", sound(), RATE, subtype="PCM_16")
    data = Path("plain.wav").read_bytes()
    for name, content in chunks:
        data += name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def cue_points(data: bytes) -> list[tuple[int, int]]:
    """Number and sample of each cue point of a WAV file."""
    at = data.index(b"cue ") + 8
    (count,) = struct.unpack_from("<I", data, at)
    return [(number, offset) for number, _, _, _, _, offset in struct.iter_unpack("<II4sIII", data[at + 4 : at + 4 + 24 * count])]


def test_cue_points_of_a_wav_file_move_with_the_sound_and_keep_their_labels_and_lengths(folder, capsys):
    points = b"".join(struct.pack("<II4sIII", number, at, b"data", 0, 0, at) for number, at in ((7, 48000), (3, 12000)))
    label = "zwei é".encode() + b"\0"
    listed = b"adtl" + b"labl" + struct.pack("<II", 4 + len(label), 7) + label + b"\0" * (len(label) % 2)
    listed += b"ltxt" + struct.pack("<III4s4H", 20, 3, 6000, b"rgn ", 0, 0, 0, 0)
    Path("in.wav").write_bytes(wave_with_chunks((b"cue ", struct.pack("<I", 2) + points), (b"LIST", listed)))
    assert run(["stretch", "in.wav", "-o", "out.wav", "--rate", "1.5", "--model", "handmade"]) == 0
    made = Path("out.wav").read_bytes()
    assert cue_points(made) == [(1, 8000), (2, 32000)]
    assert "zwei é".encode() in made and struct.pack("<II4s", 1, 4000, b"rgn ") in made
    assert "not kept" not in capsys.readouterr().err
    with open_reader("out.wav") as reader:
        assert [each.title for each in reader.info.chapters] == ["", "zwei é"]
        assert [each.start for each in reader.info.chapters] == pytest.approx([1 / 6, 2 / 3], abs=1e-3)


def test_chunks_of_a_wav_file_that_find_no_place_are_named(folder, capsys):
    Path("in.wav").write_bytes(wave_with_chunks((b"iXML", b"<BWFXML/>"), (b"smpl", bytes(36))))
    assert run(["stretch", "in.wav", "-o", "out.wav", "--rate", "1.5", "--model", "handmade"]) == 0
    assert "These tags were not kept: iXML, smpl." in capsys.readouterr().err


def test_a_tempo_tag_follows_the_rate_and_is_left_out_where_there_are_several(folder, capsys):
    soundfile.write("in.flac", sound(), RATE)
    tagged = flac.FLAC("in.flac")
    tagged["bpm"] = "92"
    tagged.save()
    assert run(["stretch", "in.flac", "-o", "out.flac", "--rate", "80/92", "--model", "handmade"]) == 0
    assert flac.FLAC("out.flac")["bpm"] == ["80"]
    assert run(["stretch", "in.flac", "-o", "quick.mp3", "--rate", "1.25", "--model", "handmade"]) == 0
    assert str(id3.ID3("quick.mp3")["TBPM"]) == "115"
    assert "not kept" not in capsys.readouterr().err
    Path("map.csv").write_text("0.5,0.5\n1,2\n")
    assert run(["stretch", "in.flac", "-o", "map.flac", "--time-map", "map.csv", "--model", "handmade"]) == 0
    assert "bpm" not in flac.FLAC("map.flac") and "These tags were not kept: bpm." in capsys.readouterr().err


@pytest.mark.parametrize(("container", "suffix"), [("IRCAM", "sf"), ("PAF", "paf"), ("PVF", "pvf")])
def test_a_container_that_states_no_length_is_said_to_state_none(folder, container, suffix):
    soundfile.write(f"in.{suffix}", sound(), RATE, format=container, subtype="PCM_16")
    with open_reader(f"in.{suffix}") as reader:
        assert any("states no length" in note for note in reader.info.notes)
