"""Promises of `tsmgan.audio`: what goes in comes out, and nothing is lost on the way without a word."""

from __future__ import annotations

import io
import os
import shutil
import struct
import subprocess

import numpy as np
import pytest
import soundfile

from tsmgan.audio import AudioInfo, Clipping, count_frames, formats, open_reader, open_writer
from tsmgan.audio.containers import payload
from tsmgan.audio.mpeg import mpeg_length
from tsmgan.audio.samples import WIDTHS, decode, encode, to_integers
from tsmgan.audio.wav import read_wav_header, wav_header
from tsmgan.errors import AudioError, UsageError

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
needs_sox = pytest.mark.skipif(shutil.which("sox") is None, reason="sox is not installed")
TAGS = {"title": "Tïtle", "artist": "An Artist", "album": "Album", "date": "2024", "genre": "Speech", "tracknumber": "3", "comment": "ok"}


def noise(frames: int = 5000, channels: int = 2, level: float = 0.2) -> np.ndarray:
    return (level * np.random.default_rng(1).standard_normal((frames, channels))).clip(-0.99, 0.99)


def integers(bits: int, frames: int = 4000, channels: int = 2) -> np.ndarray:
    """Every kind of sample, both ends of the scale among them, in the top bits of int32."""
    x = np.random.default_rng(2).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (frames, channels), dtype=np.int64)
    x[:4, 0] = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, 0, -1)
    return (x << (32 - bits)).astype(np.int32)


def copy(source, target, **options):
    """Read in blocks and write, as a stretch at rate 1 would."""
    with open_reader(source) as reader, open_writer(target, reader.info, frames=reader.info.frames, **options) as writer:
        for block in reader.blocks(997):
            writer.write(block)
        writer.commit()
    return writer


def run_ffmpeg(*arguments: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


@pytest.mark.parametrize(
    "suffix, container, subtype, bits",
    [
        (".wav", "WAV", "PCM_U8", 8),
        (".wav", "WAV", "PCM_16", 16),
        (".wav", "WAV", "PCM_24", 24),
        (".wav", "WAV", "PCM_32", 32),
        (".wav", "WAVEX", "PCM_24", 24),
        (".rf64", "RF64", "PCM_16", 16),
        (".w64", "W64", "PCM_24", 24),
        (".flac", "FLAC", "PCM_S8", 8),
        (".flac", "FLAC", "PCM_16", 16),
        (".flac", "FLAC", "PCM_24", 24),
        (".aiff", "AIFF", "PCM_16", 16),
        (".aiff", "AIFF", "PCM_32", 32),
        (".caf", "CAF", "PCM_24", 24),
        (".au", "AU", "PCM_16", 16),
    ],
)
def test_integer_samples_survive_reading_and_writing_bit_for_bit(tmp_path, suffix, container, subtype, bits):
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    soundfile.write(source, integers(bits), 44100, format=container, subtype=subtype)
    copy(source, target)
    after = soundfile.info(target)
    assert (after.format, after.subtype, after.samplerate, after.channels) == (container, subtype, 44100, 2)
    np.testing.assert_array_equal(soundfile.read(target, dtype="int32")[0], integers(bits))


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("suffix", [".wav", ".caf", ".aiff", ".w64", ".au"])
def test_floating_point_samples_survive_bit_for_bit_beyond_full_scale_too(tmp_path, suffix, subtype):
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    soundfile.write(source, noise(level=2.0) * 3, 48000, subtype=subtype)
    writer = copy(source, target)
    assert writer.clipping is None and soundfile.info(target).subtype == subtype
    np.testing.assert_array_equal(soundfile.read(target, dtype="float64")[0], soundfile.read(source, dtype="float64")[0])


@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".opus", ".flac", ".wav", ".caf"])
def test_tags_rate_channels_and_length_are_kept(tmp_path, suffix):
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    with soundfile.SoundFile(source, "w", 48000, 2, format=formats.SUFFIXES[suffix], subtype="OPUS" if suffix == ".opus" else None) as file:
        for name, text in TAGS.items():
            setattr(file, name, text)
        file.write(noise(20000))
    copy(source, target)
    with open_reader(target) as reader:
        found = sum(block.shape[1] for block in reader.blocks())
        assert {name: reader.info.tags.get(name) for name in TAGS} == TAGS
        assert (reader.info.samplerate, reader.info.channels, reader.info.frames, found) == (48000, 2, 20000, 20000)


@pytest.mark.parametrize("suffix, kept", [(".w64", set()), (".au", set())])
def test_tags_that_a_format_does_not_hold_are_named(tmp_path, suffix, kept):
    with soundfile.SoundFile(tmp_path / "in.flac", "w", 48000, 2) as file:
        for name, text in TAGS.items():
            setattr(file, name, text)
        file.write(noise())
    writer = copy(tmp_path / "in.flac", tmp_path / f"out{suffix}")
    with open_reader(tmp_path / f"out{suffix}") as reader:
        assert set(reader.info.tags) == kept
    assert len(writer.notes) == 1
    assert all((name in writer.notes[0]) == (name not in kept) for name in TAGS)


@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".opus", ".flac"])
def test_blocks_of_any_size_join_to_the_whole(tmp_path, suffix):
    source = tmp_path / f"in{suffix}"
    soundfile.write(source, noise(30000), 48000, format=formats.SUFFIXES[suffix], subtype="OPUS" if suffix == ".opus" else None)
    whole = soundfile.read(source, dtype="float32")[0]
    for size in (1000, 4096, 32768):
        with open_reader(source) as reader:
            np.testing.assert_array_equal(np.concatenate(list(reader.blocks(size)), axis=1).T, whole)


@pytest.mark.parametrize(
    "suffix, subtype, kept",
    [
        (".flac", "FLOAT", "PCM_24"),
        (".flac", "PCM_32", "PCM_24"),
        (".flac", "PCM_U8", "PCM_S8"),
        (".aiff", "PCM_24", "PCM_24"),
        (".au", "PCM_U8", "PCM_S8"),
        (".wav", "ULAW", "ULAW"),
        (".flac", "ULAW", "PCM_16"),
        (".wav", "VORBIS", "PCM_16"),
        (".wav", "MPEG_LAYER_III", "PCM_16"),
        (".mp3", "FLOAT", "MPEG_LAYER_III"),
        (".wav", "aac", "PCM_16"),
        (".wav", "ALAC_24", "PCM_24"),
        (".caf", "ALAC_16", "PCM_16"),
        (".opus", "PCM_24", "OPUS"),
        (".ogg", "OPUS", "OPUS"),
        (".ogg", "PCM_16", "VORBIS"),
        (".voc", "FLOAT", "PCM_16"),
    ],
)
def test_subtype_is_kept_or_becomes_the_nearest_that_loses_least(suffix, subtype, kept):
    assert formats.output_format(suffix, AudioInfo("x", None, "WAV", subtype, 48000, 2, 10, 1.0)).subtype == kept


def test_companded_samples_survive(tmp_path):
    soundfile.write(tmp_path / "in.wav", noise(), 8000, subtype="ULAW")
    copy(tmp_path / "in.wav", tmp_path / "out.wav")
    np.testing.assert_array_equal(soundfile.read(tmp_path / "in.wav")[0], soundfile.read(tmp_path / "out.wav")[0])


def test_samples_are_rounded_to_the_nearest_step_without_bias():
    steps = np.array([-1.6, -1.4, -0.6, -0.4, 0.4, 0.6, 1.4, 1.6])
    for bits, samples in ((16, steps.astype(np.float32) / 2**15), (24, steps / 2**23), (32, steps / 2**31)):
        moved = to_integers(samples, bits).astype(np.int64) >> ((16 if bits == 16 else 32) - bits)
        np.testing.assert_array_equal(moved, [-2, -1, -1, 0, 0, 1, 1, 2])


def test_samples_beyond_full_scale_are_limited_not_wrapped_and_counted(tmp_path):
    info = AudioInfo("x", None, "WAV", "PCM_16", 48000, 1, 6, 1.0)
    with open_writer(tmp_path / "out.wav", info, frames=6) as writer:
        writer.write(np.array([[0.5, 1.0, 1.2, -1.0, -1.5, 2.0]], np.float32))
        writer.commit()
    assert soundfile.read(tmp_path / "out.wav", dtype="int16")[0].tolist() == [16384, 32767, 32767, -32768, -32768, 32767]
    assert writer.clipping == Clipping(3, pytest.approx(6.0206, abs=1e-4), True)
    assert writer.clipping.safe_gain == -6.1


@pytest.mark.parametrize("subtype", sorted(set(WIDTHS) - {"PCM_S8"}))
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_a_streamed_wav_header_and_its_samples_are_read_back_by_libsndfile_and_by_this_package(subtype, channels):
    samples = noise(100, channels).astype(np.float64 if subtype == "DOUBLE" else np.float32)
    data = wav_header(22050, channels, subtype, 100, TAGS) + encode(samples, subtype)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        assert (file.samplerate, file.channels, file.frames, file.subtype) == (22050, channels, 100, subtype)
        assert {name: getattr(file, name) for name in TAGS} == TAGS
        theirs = file.read(dtype="float64", always_2d=True)
    stream = io.BytesIO(data)
    header = read_wav_header(stream, "x")
    assert (header.samplerate, header.channels, header.frames, header.subtype, header.tags) == (22050, channels, 100, subtype, TAGS)
    np.testing.assert_array_equal(decode(stream.read(), subtype, channels), theirs)
    assert np.abs(theirs - samples).max() <= 2.0 ** -({"PCM_U8": 8, "PCM_16": 16, "PCM_24": 24}.get(subtype, 31))


def test_wav_output_beyond_the_riff_limit_becomes_rf64_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "RIFF_LIMIT", 1000)
    soundfile.write(tmp_path / "in.wav", integers(16), 48000, subtype="PCM_16")
    writer = copy(tmp_path / "in.wav", tmp_path / "out.wav")
    assert soundfile.info(tmp_path / "out.wav").format == "RF64" and "RF64" in writer.notes[0]
    np.testing.assert_array_equal(soundfile.read(tmp_path / "out.wav", dtype="int32")[0], integers(16))


def test_wav_output_of_unknown_length_is_plain_wav_when_it_stays_short(tmp_path):
    info = AudioInfo("x", None, "WAV", "PCM_16", 48000, 2, None, None)
    with open_writer(tmp_path / "out.wav", info) as writer:
        writer.write(noise().T)
        writer.commit()
    assert (tmp_path / "out.wav").read_bytes()[:4] == b"RIFF"
    assert soundfile.info(tmp_path / "out.wav").frames == 5000


def test_five_gigabytes_of_wav_are_planned_as_rf64_and_refused_as_aiff():
    info = AudioInfo("x", None, "WAV", "PCM_16", 48000, 2, 1, 1.0)
    assert formats.output_format(".wav", info, frames=5 * 10**9 // 4).format == "RF64"
    with pytest.raises(AudioError, match="2 GiB"):
        formats.output_format(".aiff", info, frames=5 * 10**9 // 4)


@pytest.mark.parametrize(
    "suffix, rate, channels, words",
    [
        (".opus", 44100, 2, "Opus holds 8, 12, 16, 24 and 48 kHz"),
        (".mp3", 96000, 2, "MP3 holds"),
        (".mp3", 48000, 3, "at most 2 channels"),
        (".flac", 48000, 9, "at most 8 channels"),
        (".ogg", 384000, 2, "Vorbis holds at most 200 kHz"),
    ],
)
def test_what_a_format_cannot_hold_is_said_before_work_starts(tmp_path, suffix, rate, channels, words):
    info = AudioInfo("talk.wav", None, "WAV", "PCM_16", rate, channels, 10, 1.0)
    with pytest.raises(AudioError, match=words):
        open_writer(tmp_path / f"out{suffix}", info, frames=10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out", "out.xyz", "out.wma"])
def test_an_unknown_ending_is_a_usage_error_that_lists_the_known(tmp_path, name):
    info = AudioInfo("talk.wav", None, "WAV", "PCM_16", 48000, 2, 10, 1.0)
    with pytest.raises(UsageError, match="wav, flac, mp3, ogg, opus"):
        open_writer(tmp_path / name, info)


@pytest.mark.parametrize("suffix, rate", [(".mp3", 44100), (".mp3", 22050), (".opus", 48000), (".ogg", 44100)])
def test_bitrate_is_near_what_was_asked_for(tmp_path, suffix, rate):
    seconds = 6
    info = AudioInfo("x", None, "WAV", "PCM_16", rate, 2, rate * seconds, float(seconds))
    sizes = []
    for wanted in (64, 128):
        target = tmp_path / f"{wanted}{suffix}"
        with open_writer(target, info, bitrate=wanted) as writer:
            writer.write(noise(rate * seconds).T.astype(np.float32))
            writer.commit()
        sizes.append(target.stat().st_size * 8e-3 / seconds)
    np.testing.assert_allclose(sizes, [64, 128], rtol=0.25)


@pytest.mark.parametrize("bitrate", [64, 192])
def test_lossy_output_of_lossy_input_has_about_its_bitrate(tmp_path, bitrate):
    info = AudioInfo("x", None, "WAV", "PCM_16", 48000, 2, 48000 * 5, 5.0)
    with open_writer(tmp_path / "in.mp3", info, bitrate=bitrate) as writer:
        writer.write(noise(48000 * 5).T.astype(np.float32))
        writer.commit()
    copy(tmp_path / "in.mp3", tmp_path / "out.mp3")
    with open_reader(tmp_path / "out.mp3") as reader:
        assert reader.info.bitrate == pytest.approx(bitrate, rel=0.1)


def test_nothing_is_left_when_the_context_is_left_without_commit(tmp_path):
    info = AudioInfo("x", None, "WAV", "PCM_16", 48000, 2, 10, 1.0)
    with pytest.raises(RuntimeError), open_writer(tmp_path / "out.wav", info) as writer:
        writer.write(noise().T)
        assert [path.name[0] + path.suffix for path in tmp_path.iterdir()] == ["..wav"]
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_appears_while_writing_is_not_overwritten(tmp_path):
    info = AudioInfo("x", None, "WAV", "PCM_16", 48000, 2, 10, 1.0)
    with pytest.raises(AudioError, match="exists already"), open_writer(tmp_path / "out.wav", info) as writer:
        writer.write(noise().T)
        (tmp_path / "out.wav").write_text("precious")
        writer.commit()
    assert (tmp_path / "out.wav").read_text() == "precious" and len(list(tmp_path.iterdir())) == 1


def test_forced_output_keeps_permissions_and_a_symbolic_link(tmp_path):
    real, link = tmp_path / "real.wav", tmp_path / "link.wav"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    soundfile.write(tmp_path / "in.wav", noise(), 48000)
    copy(tmp_path / "in.wav", link, force=True)
    assert link.is_symlink() and soundfile.info(real).frames == 5000 and real.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["in.wav", "hard.wav", "soft.wav", "folder/../in.wav"])
def test_the_input_is_never_the_output_whatever_its_name(tmp_path, name):
    soundfile.write(tmp_path / "in.wav", noise(), 48000)
    before = (tmp_path / "in.wav").read_bytes()
    (tmp_path / "folder").mkdir()
    os.link(tmp_path / "in.wav", tmp_path / "hard.wav")
    (tmp_path / "soft.wav").symlink_to(tmp_path / "in.wav")
    with pytest.raises(UsageError, match="never overwritten"):
        copy(tmp_path / "in.wav", tmp_path / name, force=True)
    assert (tmp_path / "in.wav").read_bytes() == before


def test_many_channels_are_read_in_blocks_of_bounded_size(tmp_path):
    soundfile.write(tmp_path / "in.wav", noise(9000, 64), 48000)
    with open_reader(tmp_path / "in.wav") as reader:
        blocks = list(reader.blocks())
    assert max(block.size for block in blocks) <= 1 << 19 and sum(block.shape[1] for block in blocks) == 9000


def wav_with(data_size: int, riff_size: int, content: bytes, behind: bytes = b"") -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    header = b"RIFF" + struct.pack("<I", riff_size) + b"WAVEfmt " + struct.pack("<I", 16) + form
    return header + b"data" + struct.pack("<I", data_size) + content + behind


@pytest.mark.parametrize("data, riff", [(0xFFFFFFFF, 0xFFFFFFFF), (0x7FFFF000, 0x7FFFF024), (0x80000000, 0x80000024)])
def test_sizes_that_programs_write_to_pipes_mean_until_the_end(tmp_path, data, riff):
    path = tmp_path / "piped.wav"
    path.write_bytes(wav_with(data, riff, bytes(2000)))
    with open_reader(path) as reader:
        assert sum(block.shape[1] for block in reader.blocks()) == 1000


def test_chunks_and_tags_behind_the_samples_are_no_lie(tmp_path):
    path = tmp_path / "in.wav"
    path.write_bytes(wav_with(2000, 2100, bytes(2000), b"LIST" + struct.pack("<I", 4) + b"INFO" + b"\0" * 40))
    assert payload(os.fspath(path)).behind == 0
    assert count_frames(path) == 1000


@needs_ffmpeg
@pytest.mark.parametrize("suffix", [".flac", ".w64", ".au", ".aiff", ".wav", ".ogg", ".mp3"])
def test_files_that_ffmpeg_wrote_down_a_pipe_are_read_to_their_end(tmp_path, suffix):
    soundfile.write(tmp_path / "in.wav", noise(48000), 48000)
    container = {".aiff": "aiff"}.get(suffix, suffix[1:])
    data = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", tmp_path / "in.wav", "-f", container, "-"], check=True, capture_output=True
    ).stdout
    (tmp_path / f"piped{suffix}").write_bytes(data)
    found = count_frames(tmp_path / f"piped{suffix}")
    assert 48000 <= found <= (50000 if suffix == ".mp3" else 48000)


@needs_ffmpeg
def test_variable_rate_mp3_without_a_header_and_joined_mp3s_are_read_to_their_end(tmp_path):
    # Silence, then noise: the first frame's bit rate says nothing about the length.
    sound = np.concatenate([np.zeros((88200, 1)), noise(88200, 1)])
    soundfile.write(tmp_path / "in.wav", sound, 44100)
    run_ffmpeg("-i", tmp_path / "in.wav", "-q:a", "4", tmp_path / "xing.mp3")
    run_ffmpeg("-i", tmp_path / "xing.mp3", "-c", "copy", "-write_xing", "0", tmp_path / "bare.mp3")
    joined = tmp_path / "joined.mp3"
    joined.write_bytes((tmp_path / "xing.mp3").read_bytes() + (tmp_path / "bare.mp3").read_bytes())
    assert count_frames(tmp_path / "xing.mp3") == 176400
    assert 176400 <= count_frames(tmp_path / "bare.mp3") <= 176400 + 3 * 1152
    assert 2 * 176400 <= count_frames(joined) <= 2 * 176400 + 6 * 1152
    assert mpeg_length(os.fspath(tmp_path / "bare.mp3")).declared is None


@needs_ffmpeg
@pytest.mark.parametrize(
    "name, codec, subtype, slack", [("a.m4a", "aac", "aac", 2048), ("a.mka", "pcm_s16le", "PCM_16", 0), ("b.m4a", "alac", "PCM_16", 0)]
)
def test_media_containers_are_read_through_pyav(tmp_path, name, codec, subtype, slack):
    pytest.importorskip("av", reason="PyAV (extra media) is not installed")
    soundfile.write(tmp_path / "in.wav", integers(16, 44100) // 4, 44100, subtype="PCM_16")
    run_ffmpeg("-i", tmp_path / "in.wav", "-c:a", codec, "-metadata", "title=Named", tmp_path / name)
    with open_reader(tmp_path / name) as reader:
        sound = np.concatenate(list(reader.blocks()), axis=1)
    assert (reader.info.subtype, reader.info.samplerate, reader.info.channels) == (subtype, 44100, 2)
    assert reader.info.tags["title"] == "Named" and abs(sound.shape[1] - 44100) <= slack
    if slack == 0:
        np.testing.assert_array_equal(sound.T, soundfile.read(tmp_path / "in.wav", dtype="float32")[0])


def test_a_codec_without_a_header_becomes_wav_unless_another_ending_is_asked_for(tmp_path):
    soundfile.write(tmp_path / "call.gsm", np.zeros(1600), 8000, format="RAW", subtype="GSM610")
    with open_reader(str(tmp_path / "call.gsm")) as reader:
        assert reader.info.subtype == "GSM610" and formats.default_suffix(reader.info) == ".wav"
