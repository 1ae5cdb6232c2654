"""Promises about containers that FFmpeg's libraries read: only the file that was named is opened, and what it carries arrives."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from mutagen import id3

from tsmgan.audio import open_reader
from tsmgan.cli import run
from tsmgan.errors import AudioError

av = pytest.importorskip("av", reason="PyAV (extra media) is not installed")
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def run_ffmpeg(*arguments: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


def atom(name: bytes, *content: bytes) -> bytes:
    joined = b"".join(content)
    return struct.pack(">I4s", 8 + len(joined), name) + joined


def encode(path: str, codec: str, container: str) -> None:
    """Write a second of noise through PyAV, so that no other program is needed."""
    noise = (3000 * np.random.default_rng(1).standard_normal((1, 48000))).astype(np.int16)
    with av.open(path, "w", format=container) as output:
        stream = output.add_stream(codec, rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(noise, format="s16", layout="mono")
        frame.sample_rate = 48000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)


def mov_with_external_sound(canary: str) -> bytes:
    """A QuickTime file whose samples lie in another file, as its data reference says with an absolute path."""
    encode("own.mov", "pcm_s16le", "mov")
    whole = Path("own.mov").read_bytes()
    alias = bytearray(150)
    name = os.path.basename(canary)
    alias[10 : 10 + 28] = bytes([len(b"disk")]) + b"disk".ljust(27, b"\0")
    alias[50 : 50 + 64] = bytes([len(name)]) + name.encode().ljust(63, b"\0")
    path = canary.encode()
    alias += struct.pack(">hH", 2, len(path)) + path + b"\0" * (len(path) % 2) + struct.pack(">hH", -1, 0)
    reference = atom(b"alis", struct.pack(">I", 0), bytes(alias))
    old = atom(b"url ", struct.pack(">I", 1))
    assert whole.count(old) == 1
    moved = whole.replace(old, reference)
    for name_ in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        at = moved.index(name_) - 4
        (size,) = struct.unpack(">I", moved[at : at + 4])
        moved = moved[:at] + struct.pack(">I", size + len(reference) - len(old)) + moved[at + 4 :]
    return moved


HOSTILE = {
    "nul.m3u8": lambda canary: f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{canary}\n#EXT-X-ENDLIST\n".encode() + b"\0",
    "hls.m4a": lambda canary: f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{canary}\n#EXT-X-ENDLIST\n".encode() + b"\xff\xfe",
    "concat.m4a": lambda canary: b"ffconcat version 1.0\nfile 'canary.wav'\n# caf\xe9 here\n",
    "absolute.m4a": lambda canary: f"ffconcat version 1.0\nfile '{canary}'\n".encode() + b"# caf\xe9 here\n",
    "concat.webm": lambda canary: f"ffconcat version 1.0\nfile '{canary}'\n".encode(),
    "dash.mp4": lambda canary: (
        (
            '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S"><Period>'
            '<AdaptationSet mimeType="audio/wav"><Representation id="1" bandwidth="1"><BaseURL>'
            f"file://{canary}</BaseURL></Representation></AdaptationSet></Period></MPD>\n"
        ).encode()
        + b"<!-- \0\xff -->"
    ),
    "session.m4a": lambda canary: b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=audio 5004 RTP/AVP 0\r\n\0\xff",
    "list.mka": lambda canary: f"[playlist]\nFile1={canary}\n".encode() + b"\0\xff",
    "reference.mov": mov_with_external_sound,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_names_another_is_refused_with_a_sentence_and_the_other_stays_closed(folder, name):
    canary = folder / "canary.wav"
    soundfile.write(canary, np.full(48000, 0.5), 48000)
    Path(name).write_bytes(HOSTILE[name](os.fspath(canary)))
    # FFmpeg opens files itself, which only the time of the last access tells from outside.
    os.utime(canary, (1, 1))
    with pytest.raises(AudioError) as refused, open_reader(name) as reader:
        for block in reader.blocks():
            assert not np.isclose(block, 0.5, atol=1e-3).any(), "the other file was read"
    sentence = "keeps its sound in another file" if name == "reference.mov" else "a list that names other files"
    assert name in str(refused.value) and sentence in str(refused.value) and os.stat(canary).st_atime == 1


@needs_ffmpeg
@pytest.mark.parametrize("name", ["in.m4a", "in.mka"])
def test_tags_cover_and_chapters_of_media_files_arrive_in_an_mp3(folder, name):
    soundfile.write("sound.wav", 0.1 * np.random.default_rng(1).standard_normal((96000, 1)), 48000)
    Path("facts.txt").write_text(
        ";FFMETADATA1\ntitle=Ж 日本 é\nalbum_artist=Änne\ncomposer=作曲\ntrack=3/12\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=900\ntitle=Anfang é\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=900\nEND=2000\ntitle=日本\n"
    )
    run_ffmpeg("-f", "lavfi", "-i", "color=red:s=16x16", "-frames:v", 1, "cover.png")
    cover = ["-i", "cover.png", "-map", 0, "-map", 2, "-c:v", "copy", "-disposition:v", "attached_pic"] if name == "in.m4a" else []
    run_ffmpeg("-i", "sound.wav", "-i", "facts.txt", *cover, "-map_metadata", 1, "-map_chapters", 1, "-c:a", "aac", name)
    assert run(["stretch", name, "-o", "out.mp3", "--rate", "1.5", "--model", "handmade", "-q"]) == 0
    tag = id3.ID3("out.mp3")
    assert [str(tag[frame]) for frame in ("TIT2", "TPE2", "TCOM", "TRCK")] == ["Ж 日本 é", "Änne", "作曲", "3/12"]
    assert sorted((each.start_time, str(each.sub_frames["TIT2"])) for each in tag.getall("CHAP")) == [(0, "Anfang é"), (600, "日本")]
    assert [each.data for each in tag.getall("APIC")] == ([Path("cover.png").read_bytes()] if cover else [])
