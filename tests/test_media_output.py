"""Promises about sound in media files that are written: exact lengths, lossless bits, tags, covers and chapters, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from mutagen.mp4 import MP4, AtomDataType, MP4Cover, MP4FreeForm
from test_tags import png

av = pytest.importorskip("av", reason="PyAV (extra media) is not installed")

from tsmgan import stretch_file  # noqa: E402
from tsmgan.audio import open_reader, open_writer  # noqa: E402
from tsmgan.audio.info import AudioInfo, Chapter, Picture  # noqa: E402
from tsmgan.cli import run  # noqa: E402
from tsmgan.errors import AudioError, UsageError  # noqa: E402

RATE = 48000
QUICK = {"model": "handmade", "force": True}


def sound(seconds: float = 3.0, channels: int = 1) -> np.ndarray:
    """(channels, samples), float32."""
    return (0.1 * np.random.default_rng(5).standard_normal((channels, round(seconds * RATE)))).astype(np.float32).clip(-0.9, 0.9)


def write(path: str, samples: np.ndarray, info: AudioInfo, **options: object) -> list[str]:
    """Write samples in blocks, and return the notes."""
    with open_writer(path, info, frames=samples.shape[1], **options) as writer:
        for start in range(0, samples.shape[1], 5000):
            writer.write(samples[:, start : start + 5000])
        writer.commit()
        return writer.notes


def wav_info(samples: np.ndarray, subtype: str = "PCM_16", **facts: object) -> AudioInfo:
    return AudioInfo("in.wav", None, "WAV", subtype, RATE, len(samples), samples.shape[1], samples.shape[1] / RATE, **facts)


def read(path: str) -> np.ndarray:
    with open_reader(path) as reader:
        return np.concatenate(list(reader.blocks()), axis=1)


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("a.m4a", None), ("a.mp4", "OPUS"), ("a.mov", "AAC"), ("a.mkv", "AAC"), ("a.mka", "OPUS"), ("a.webm", None), ("a.mka", "MP3")],
)
def test_lossy_media_files_hold_exactly_the_samples_that_were_written_in_their_place(folder, name, subtype):
    time = np.arange(2 * RATE + 123) / RATE
    samples = (0.3 * np.sin(2 * np.pi * (300 + 200 * time) * time))[None].astype(np.float32)
    write(name, samples, wav_info(samples), subtype=subtype)
    heard = read(name)
    assert heard.shape == samples.shape
    assert np.sqrt(np.mean((heard - samples) ** 2)) < 0.06 * np.sqrt(np.mean(samples**2))


@pytest.mark.parametrize(
    ("name", "subtype", "stored"),
    [
        ("a.m4a", "ALAC", "PCM_16"),
        ("a.m4a", "PCM_24", "PCM_24"),
        ("a.mkv", None, "PCM_16"),
        ("a.mka", "FLAC", "PCM_24"),
        ("a.mov", None, "PCM_24"),
        ("a.mkv", None, "FLOAT"),
    ],
)
def test_lossless_media_files_give_every_sample_back(folder, name, subtype, stored):
    samples = sound(1.3, 2)
    if stored != "FLOAT":
        scale = 2.0 ** (int(stored[4:]) - 1)
        samples = (np.rint(samples * scale) / scale).astype(np.float32)
    write(name, samples, wav_info(samples, stored), subtype=subtype)
    assert np.array_equal(read(name), samples)


@pytest.mark.parametrize("name", ["a.m4a", "a.mka", "a.webm", "a.aac"])
def test_the_bit_rate_is_near_that_of_a_lossy_input_or_the_one_that_was_asked_for(folder, name):
    samples = sound(6, 2)
    lossy = AudioInfo("in.mp3", None, "MP3", "MPEG_LAYER_III", RATE, 2, None, 6.0, bytes=round(6 * 96e3 / 8))
    for options, wanted in (({}, 96), ({"bitrate": 160}, 160)):
        write(name, samples, lossy, subtype=None if name != "a.mka" else "OPUS", force=True, **options)
        assert os.path.getsize(name) * 8e-3 / 6 == pytest.approx(wanted, rel=0.2)


def test_a_rate_that_opus_does_not_hold_is_resampled_and_said(folder):
    samples = sound()
    info = AudioInfo("in.wav", None, "WAV", "PCM_16", 44100, 1, samples.shape[1], samples.shape[1] / 44100)
    assert write("a.webm", samples, info) == ["Opus holds 44.1 kHz as 48 kHz."]
    with open_reader("a.webm") as reader:
        assert sum(block.shape[1] for block in reader.blocks()) == round(samples.shape[1] * 48000 / 44100)


def make_audiobook(path: str) -> None:
    """Three chapters, a cover, and tags of every kind."""
    samples = sound(6)
    with av.open(path, "w", format="mp4") as book:
        stream = book.add_stream("aac", rate=RATE, layout="mono")
        titles = [(0, 1.5, "Anfang é"), (1.5, 4.5, "日本"), (4.5, 6, "Ende")]
        book.set_chapters(
            [
                {
                    "id": n,
                    "start": round(start * 1000),
                    "end": round(end * 1000),
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": title},
                }
                for n, (start, end, title) in enumerate(titles, 1)
            ]
        )
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        book.mux([*stream.encode(frame), *stream.encode(None)])
    tagged = MP4(path)
    tagged.update(
        {
            "\xa9nam": ["Buch Ж"],
            "\xa9ART": ["Änne", "作者"],
            "aART": ["Verlag"],
            "\xa9wrt": ["作曲"],
            "\xa9day": ["2024-05-06"],
            "\xa9nrt": ["Erzähler"],
            "\xa9cmt": ["eine\nzweite Zeile"],
            "desc": ["kurz"],
            "ldes": ["lang " * 100],
            "trkn": [(3, 12)],
            "disk": [(1, 0)],
            "stik": [2],
            "pgap": True,
            "----:com.apple.iTunes:SERIES": [MP4FreeForm("Reihe é".encode(), AtomDataType.UTF8)],
            "----:com.apple.iTunes:iTunSMPB": [MP4FreeForm(b" 00000000 00000400 00000200 0000000000046400")],
            "covr": [MP4Cover(png(), MP4Cover.FORMAT_PNG)],
        }
    )
    tagged.save()


def test_an_audiobook_stays_one_with_its_chapters_cover_and_tags(folder):
    make_audiobook("book.m4b")
    done = stretch_file("book.m4b", "quick.m4b", rate=1.5, **QUICK)
    before, after = MP4("book.m4b"), MP4("quick.m4b")
    technical = {"\xa9too", "----:com.apple.iTunes:iTunSMPB"}
    assert {key: value for key, value in after.items() if key not in technical} == {
        key: value for key, value in before.items() if key not in technical
    }
    assert "----:com.apple.iTunes:iTunSMPB" not in after and not done.notes
    assert [(round(each.start, 3), each.title) for each in after.chapters] == [(0, "Anfang é"), (1, "日本"), (3, "Ende")]
    assert done.frames_written == 4 * RATE
    assert Path("quick.m4b").read_bytes()[8:12] == b"M4B "


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
def test_ffprobe_reads_the_chapters_and_tags_of_an_audiobook_that_was_stretched(folder):
    make_audiobook("book.m4b")
    stretch_file("book.m4b", "quick.m4b", rate=1.5, **QUICK)
    shown = []
    for name in ("book.m4b", "quick.m4b"):
        command = ["ffprobe", "-v", "error", "-show_format", "-show_chapters", "-show_streams", "-of", "json", name]
        shown.append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
    before, after = shown
    technical = {"major_brand", "minor_version", "compatible_brands", "encoder", "iTunSMPB"}
    for facts in shown:
        facts["kept"] = {key: text for key, text in facts["format"]["tags"].items() if key not in technical}
    assert after["kept"] == before["kept"] and len(before["kept"]) > 10
    for old, new in zip(before["chapters"], after["chapters"], strict=True):
        assert new["tags"]["title"] == old["tags"]["title"]
        for at in ("start_time", "end_time"):
            assert float(new[at]) == pytest.approx(float(old[at]) / 1.5, abs=0.002)
    assert [each["codec_name"] for each in after["streams"] if each["codec_type"] == "video"] == ["png"]


@pytest.mark.parametrize("name", ["a.m4a", "a.mov", "a.mkv", "a.mka", "a.webm"])
def test_tags_chapters_and_covers_of_other_formats_arrive_or_are_named(folder, name):
    samples = sound(3)
    tags = {"title": "Ж 日本", "albumartist": "Änne", "tracknumber": "3/12", "bpm": "92.5", "mood": "a\0b", "lyrics": "x\ny"}
    chapters = (Chapter(0, None, "eins"), Chapter(1.25, None, "zwei é"))
    notes = write(name, samples, wav_info(samples, tags=tags, chapters=chapters, pictures=(Picture(png(), "image/png"),)))
    with open_reader(name) as reader:
        found = reader.info
    joined = tags if name.endswith(("m4a", "mov")) else tags | {"mood": "a; b"}
    assert {key: found.tags.get(key) for key in tags} == joined
    assert [(each.title, round(each.start, 3)) for each in found.chapters] == [("eins", 0), ("zwei é", 1.25)]
    if name == "a.webm":
        assert notes == ["These tags were not kept: cover."] and not found.pictures
    else:
        assert not notes and [(each.data, each.mime) for each in found.pictures] == [(png(), "image/png")]


def test_the_padding_that_itunes_names_is_not_taken_for_sound(folder):
    with av.open("old.m4a", "w", format="mp4", options={"use_editlist": "0"}) as made:
        stream = made.add_stream("aac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound(1), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 1024, Fraction(1, RATE)
        made.mux([*stream.encode(frame), *stream.encode(None)])
    assert read("old.m4a").shape[1] > RATE
    tagged = MP4("old.m4a")
    tagged["----:com.apple.iTunes:iTunSMPB"] = [MP4FreeForm(b" 00000000 00000400 00000120 000000000000BB80 00000000")]
    tagged.save()
    heard = read("old.m4a")
    assert heard.shape[1] == RATE and np.corrcoef(heard[0], sound(1)[0])[0, 1] > 0.4


def test_an_output_without_a_name_takes_the_kind_of_its_media_input(folder):
    write("talk.m4a", sound(1), wav_info(sound(1)))
    assert run(["stretch", "talk.m4a", "--rate", "1.5", "--model", "handmade", "-q"]) == 0
    with av.open("talk@1.5.m4a") as made:
        assert made.streams.audio[0].codec_context.name == "aac"


@pytest.mark.parametrize(
    ("name", "options", "error", "sentence"),
    [
        ("a.m4a", {"subtype": "PCM_U8X"}, UsageError, "M4A files cannot hold the subtype PCM_U8X; choose one of AAC, ALAC"),
        ("a.webm", {"subtype": "AAC"}, UsageError, "WEBM files cannot hold the subtype AAC; choose one of OPUS"),
        ("a.m4a", {"subtype": "ALAC", "bitrate": 128}, UsageError, "--bitrate is for lossy output"),
        ("a.m4a", {"bitrate": 100000}, UsageError, "outside 4 to 4000"),
    ],
)
def test_what_cannot_be_stored_is_refused_before_anything_is_made(folder, name, options, error, sentence):
    samples = sound(1)
    with pytest.raises(error, match=sentence):
        open_writer(name, wav_info(samples), **options)
    assert not list(folder.iterdir())


def test_rates_and_channels_that_a_codec_cannot_hold_are_refused(folder):
    samples = sound(1)
    with pytest.raises(AudioError, match=r"AAC holds rates from 7\.35 to 96 kHz only and in\.wav has 192 kHz"):
        open_writer("a.m4a", AudioInfo("in.wav", None, "WAV", "PCM_16", 192000, 1, 100, None))
    with pytest.raises(AudioError, match=r"OPUS holds at most 8 channels and in\.wav has 12"):
        open_writer("a.webm", AudioInfo("in.wav", None, "WAV", "PCM_16", RATE, 12, 100, None))
    with open_writer("a.m4a", wav_info(samples)) as writer:
        writer.write(samples)
    assert not list(folder.iterdir())
