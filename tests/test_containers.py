"""Promises about recordings that are not what their headers state: all of the sound, or a sentence about what is missing."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tsmgan.audio import AudioInfo, count_frames, open_reader, open_writer
from tsmgan.audio.wav import read_wav_header
from tsmgan.cli import run
from tsmgan.errors import AudioError, UsageError

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
FRAMES = 30011
STATING = [
    *(("AIFF", each) for each in ("PCM_S8", "PCM_16", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM", "GSM610", "DWVW_16")),
    *(("AU", each) for each in ("PCM_16", "ULAW", "G721_32", "G723_40")),
    *(("WAV", each) for each in ("PCM_U8", "PCM_16", "DOUBLE", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32", "NMS_ADPCM_16")),
    *(("W64", each) for each in ("PCM_16", "FLOAT", "IMA_ADPCM", "MS_ADPCM", "GSM610")),
    *(("CAF", each) for each in ("PCM_16", "ALAC_16", "ALAC_24")),
    *(("NIST", each) for each in ("PCM_16", "ULAW")),
    *(("VOC", each) for each in ("PCM_U8", "PCM_16", "ULAW")),
    *(("SVX", each) for each in ("PCM_S8", "PCM_16")),
    *(("SDS", each) for each in ("PCM_S8", "PCM_16", "PCM_24")),
    *(("RF64", "PCM_16"), ("WAVEX", "PCM_24"), ("AVR", "PCM_16"), ("MAT4", "FLOAT"), ("MAT5", "PCM_16"), ("MPC2K", "PCM_16")),
    *(("WVE", "ALAW"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")),
]
"""Containers that state a length, as libsndfile writes them. IRCAM, PAF, PVF and SD2 state none, and XI and HTK a wrong or no other one."""
SUFFIXES = {"NIST": "sph", "SVX": "8svx", "MAT4": "mat", "MAT5": "mat", "MPC2K": "snd", "WAVEX": "wav"}


def sound(frames: int = FRAMES, channels: int = 1) -> np.ndarray:
    # A tone that is never silent, in noise: what is missing or made up shows.
    t = np.arange(frames)[:, None] / 8000
    return 0.4 * np.sin(2 * np.pi * 440 * t) + 0.02 * np.random.default_rng(0).standard_normal((frames, channels))


def write(folder: Path, container: str, subtype: str) -> Path:
    path = folder / f"x.{SUFFIXES.get(container, container.lower())}"
    for channels, samplerate in ((2, 44100), (1, 44100), (1, 8000), (2, 48000)):
        try:
            soundfile.write(path, sound(channels=channels), samplerate, format=container, subtype=subtype)
            return path
        except (soundfile.LibsndfileError, ValueError):
            continue
    pytest.skip(f"libsndfile does not write {subtype} in {container} here")


def read(path: Path, **options) -> tuple[np.ndarray, AudioInfo]:
    """All samples, and what is known when they have been read."""
    with open_reader(path, **options) as reader:
        samples = np.concatenate(list(reader.blocks()), axis=1)
        return samples, reader.info


def says_something(path: Path) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(AudioError) as error:
        read(path)
    return str(error.value)


@pytest.mark.parametrize("container, subtype", STATING)
def test_a_whole_file_has_its_exact_length_or_says_what_may_be_padding(tmp_path, container, subtype):
    path = write(tmp_path, container, subtype)
    samples, info = read(path)
    assert samples.shape[1] == info.frames
    if info.notes:
        assert any("padding" in note for note in info.notes) and FRAMES < samples.shape[1] < FRAMES + 2048
    else:
        assert samples.shape[1] == FRAMES


@pytest.mark.parametrize("part", [0.6, 0.97])
@pytest.mark.parametrize("container, subtype", STATING)
def test_a_file_that_is_cut_is_refused_and_salvaged_with_a_note(tmp_path, container, subtype, part):
    path = write(tmp_path, container, subtype)
    whole, _ = read(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    assert "cut short" in says_something(path)
    samples, info = read(path, salvage=True)
    assert 0.2 * part * FRAMES < samples.shape[1] < (part + 0.05) * FRAMES and "cut short" in " ".join(info.notes)
    compared = samples.shape[1] - 4096
    if info.subtype not in ("VORBIS", "OPUS", "MPEG_LAYER_III") and compared > 0:
        np.testing.assert_array_equal(samples[:, :compared], whole[:, :compared])


@pytest.mark.parametrize("container, subtype", STATING)
def test_what_stands_behind_the_sound_is_never_read_as_sound_and_never_passed_over_in_silence(tmp_path, container, subtype):
    path = write(tmp_path, container, subtype)
    whole, _ = read(path)
    data = path.read_bytes()
    path.write_bytes(data + np.random.default_rng(1).bytes(3000))
    samples, info = read(path)
    np.testing.assert_array_equal(samples, whole)
    # FLAC, Ogg and MP3 are made of frames that can be told from everything else, and VOC here is read by FFmpeg, frame by frame.
    assert info.notes or info.format in ("FLAC", "OGG", "MP3", "voc")


@pytest.mark.parametrize("container, subtype", STATING)
def test_two_recordings_in_one_file_are_read_whole_or_refused(tmp_path, container, subtype):
    path = write(tmp_path, container, subtype)
    data = path.read_bytes()
    path.write_bytes(data + data)
    try:
        samples, _ = read(path)
    except AudioError as error:
        # libsndfile itself takes some of them for damaged.
        assert any(word in str(error) for word in ("more sound", "another recording", "damaged"))
    else:
        assert samples.shape[1] >= 2 * FRAMES


@pytest.mark.parametrize("container", ["VORBIS", "OPUS"])
def test_all_links_of_a_chained_ogg_are_read(tmp_path, container):
    paths = [tmp_path / f"{number}.ogg" for number in range(3)]
    for path, frames in zip(paths, (30000, 50000, 20001)):
        soundfile.write(path, sound(frames), 48000, format="OGG", subtype=container)
    chain = tmp_path / "chain.ogg"
    chain.write_bytes(b"".join(path.read_bytes() for path in paths))
    samples, info = read(chain)
    assert samples.shape[1] == info.frames == 100001
    np.testing.assert_array_equal(samples, np.concatenate([read(path)[0] for path in paths], axis=1))
    assert run(["stretch", str(chain), "--rate", "2", "-o", str(tmp_path / "out.wav"), "-q"]) == 0
    assert soundfile.info(tmp_path / "out.wav").frames == round(100001 / 2)


def test_a_chained_ogg_of_unlike_links_is_refused_and_salvaged_up_to_there(tmp_path):
    for number, samplerate in enumerate((48000, 24000)):
        soundfile.write(tmp_path / f"{number}.ogg", sound(), samplerate, format="OGG", subtype="VORBIS")
    chain = tmp_path / "chain.ogg"
    chain.write_bytes((tmp_path / "0.ogg").read_bytes() + (tmp_path / "1.ogg").read_bytes())
    assert "number 2 differs from the first in sample rate" in says_something(chain)
    samples, info = read(chain, salvage=True)
    assert samples.shape[1] == FRAMES and "differs from the first in sample rate" in " ".join(info.notes)


def test_an_ogg_with_a_hole_is_refused(tmp_path):
    path = tmp_path / "x.ogg"
    soundfile.write(path, sound(200000), 48000, format="OGG", subtype="OPUS")
    data = path.read_bytes()
    starts = [at for at in range(len(data)) if data[at : at + 5] == b"OggS\0"]
    middle = len(starts) // 2
    path.write_bytes(data[: starts[middle]] + data[starts[middle + 1] :])
    assert "1 of its pages is missing" in says_something(path)


def with_total(data: bytes, total: int) -> bytes:
    """A FLAC stream that states another length."""
    field = int.from_bytes(data[18:26], "big")
    return data[:18] + (field >> 36 << 36 | total).to_bytes(8, "big") + data[26:]


def test_a_flac_that_states_too_little_is_refused_and_salvaged_whole(tmp_path):
    path = tmp_path / "x.flac"
    soundfile.write(path, sound(), 44100)
    whole, _ = read(path)
    data = path.read_bytes()
    path.write_bytes(with_total(data, 12000))
    assert "states 0.27 s and holds 0.68 s" in says_something(path)
    np.testing.assert_array_equal(read(path, salvage=True)[0], whole)
    path.write_bytes(with_total(data, 60000))
    assert "cut short" in says_something(path)
    path.write_bytes(with_total(data, 0))
    np.testing.assert_array_equal(read(path)[0], whole)


def long_wav_header(length: int) -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + length) + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", length)


@pytest.mark.parametrize("length", [2_140_000_000, 2_200_000_000, 4_000_000_000])
def test_a_wav_of_more_than_two_gigabytes_that_is_cut_is_refused(tmp_path, length):
    path = tmp_path / "long.wav"
    with open(path, "wb") as file:
        file.write(long_wav_header(length))
        file.truncate(length // 2)  # sparse: takes no room on the disk
    with pytest.raises(AudioError, match="cut short"), open_reader(path):
        pass
    with open(path, "rb+") as file:
        file.truncate(44 + length)
    with open_reader(path) as reader:
        assert reader.info.frames == length // 2


@pytest.mark.parametrize(
    "length, frames", [(2_200_000_000, 1_100_000_000), (0xFFFFFFFF, None), (0x7FFFF000, None), (0x80000000 - 44, None)]
)
def test_only_the_sizes_that_programs_write_to_pipes_are_no_lengths(tmp_path, length, frames):
    (tmp_path / "head.wav").write_bytes(long_wav_header(length) if length < 0xFFFFFF00 else long_wav_header(0)[:40] + b"\xff" * 4)
    with open(tmp_path / "head.wav", "rb") as stream:
        assert read_wav_header(stream, "it").frames == frames


@pytest.mark.parametrize("subtype", ["MS_ADPCM", "GSM610"])
def test_coded_wav_files_have_the_length_that_their_fact_chunk_states(tmp_path, subtype):
    for frames in (20000, 20001, 20319):
        soundfile.write(tmp_path / "x.wav", sound(frames), 8000, subtype=subtype)
        assert count_frames(tmp_path / "x.wav") == frames


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.wma", "a.avi", "b.avi", "a.flv", "a.m4a", "a.mka", "a.webm", "a.tta", "a.wv", "a.voc", "a.sox"])
def test_a_film_or_phone_recording_is_read_whole_and_refused_when_cut(tmp_path, name):
    pytest.importorskip("av", reason="PyAV (extra media) is not installed")
    codec = {"a.avi": "pcm_s16le", "b.avi": "adpcm_ima_wav", "a.mka": "flac"}.get(name)
    fast_start = ["-movflags", "+faststart"] if name == "a.m4a" else []
    soundfile.write(tmp_path / "in.wav", sound(200000, 2), 44100)
    path = tmp_path / name
    coding = ["-c:a", codec] if codec else []
    made = subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "in.wav", *coding, *fast_start, path], capture_output=True)
    if made.returncode:
        pytest.skip("this ffmpeg does not write it")
    assert abs(read(path)[0].shape[1] - 200000 * (48000 / 44100 if name == "a.webm" else 1)) < 8192
    data = path.read_bytes()
    for part in (0.4, 0.8, 0.97):
        path.write_bytes(data[: int(part * len(data))])
        assert "cut short" in says_something(path)
        assert "cut short" in " ".join(read(path, salvage=True)[1].notes)
    path.write_bytes(data + data)
    try:
        assert read(path)[0].shape[1] > 390000
    except AudioError as error:
        assert "another recording" in str(error) or "damaged" in str(error)


def test_salvage_says_what_is_missing(tmp_path, capsys):
    soundfile.write(tmp_path / "in.wav", sound(), 8000)
    data = (tmp_path / "in.wav").read_bytes()
    (tmp_path / "in.wav").write_bytes(data[:30000])
    assert run(["stretch", str(tmp_path / "in.wav"), "--rate", "2", "--salvage", "-o", str(tmp_path / "out.wav")]) == 0
    assert "is cut short: its header promises 3.75 s and 1.87 s are there." in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("start", [b"", b"ID3\4\0\0\0\0\0\0", b"\xff\xfb\x90\0"])
def test_no_first_frame_is_looked_for_in_a_whole_file_of_synchronisation_bytes(tmp_path, start, capfd):
    # What libmpg123 searches for a frame it reports on standard error: silence shows that it was not asked.
    path = tmp_path / "x.mp3"
    path.write_bytes(start + b"\xff" * 5_000_000)
    assert "known kind" in (sentence := says_something(path)) or "rare kind" in sentence or "damaged" in sentence
    assert run(["info", str(path)]) == 1
    assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("name", ["a\0.wav", "\0"])
def test_a_name_with_a_nul_byte_is_refused_with_a_sentence(tmp_path, name, capsys):
    with pytest.raises(AudioError, match="NUL byte"):
        open_reader(name)
    with pytest.raises(UsageError, match="NUL byte"):
        open_writer(name, AudioInfo("x", None, "WAV", "PCM_16", 8000, 1, 10, 1.0))
    (tmp_path / "list.txt").write_text(f"in.wav\n{name}\n")
    assert run(["stretch", "--list", str(tmp_path / "list.txt"), "--rate", "2", "-o", str(tmp_path / "out")]) == 2
    assert "Line 2 of the list holds a NUL byte" in capsys.readouterr().err


def test_an_output_that_turns_out_to_have_no_samples_is_refused(tmp_path):
    header = long_wav_header(0)[:40] + b"\xff" * 4
    for target in (str(tmp_path / "out.wav"), "-"):
        command = ["-m", "tsmgan", "stretch", "-", "--rate", "2", "-o", target, "-q"]
        done = subprocess.run([sys.executable, *command], input=header + b"\5\0", capture_output=True)
        assert done.returncode == 1 and b"would hold no samples: standard input is too short" in done.stderr
    assert not list(tmp_path.iterdir())


def test_salvage_says_what_only_decoding_shows_to_be_missing(tmp_path, capsys):
    soundfile.write(tmp_path / "in.flac", sound(), 8000)
    data = (tmp_path / "in.flac").read_bytes()
    (tmp_path / "in.flac").write_bytes(data[: len(data) // 2])
    assert run(["stretch", str(tmp_path / "in.flac"), "--rate", "2", "--salvage", "-o", str(tmp_path / "out.wav")]) == 0
    assert "is damaged or cut short at second 1" in " ".join(capsys.readouterr().err.split())


def test_a_voc_of_more_than_its_length_can_state_is_refused_before_work(tmp_path):
    info = AudioInfo("in.wav", None, "WAV", "PCM_16", 44100, 1, None, None)
    with pytest.raises(AudioError, match="16 MiB"):
        open_writer(tmp_path / "out.voc", info, frames=2**23)
    assert not list(tmp_path.iterdir())
