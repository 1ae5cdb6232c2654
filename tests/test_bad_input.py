"""Every wrong input has its own sentence and exit code, and leaves no file behind."""

from __future__ import annotations

import errno
import os
import resource
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from tsmgan.audio import file_writer as writer_module
from tsmgan.cli import run


def sound(frames: int = 24000, channels: int = 2) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((frames, channels))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder that holds in.wav only."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("in.wav", sound(), 24000)
    return tmp_path


@pytest.fixture
def stretch(folder, capsys):
    """Run `tsmgan stretch`; what was there before must be all that is there after."""

    def run_it(*arguments: object) -> tuple[int, str]:
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        code = run(["stretch", *map(str, arguments)])
        after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert after == before, "a file was left behind or changed"
        captured = capsys.readouterr()
        assert captured.out == "" and "Traceback" not in captured.err
        lines = captured.err.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("Error: ") and lines[0].endswith((".", "?")), captured.err
        return code, lines[0]

    return run_it


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "0.049", "20.1", "fast", "1/0", ""])
def test_an_impossible_rate_is_a_usage_error_that_names_it(stretch, rate):
    code, message = stretch("in.wav", "--rate", rate)
    assert code == 2 and "rate" in message.lower()


@pytest.mark.parametrize("arguments", [[], ["--rate", "2", "--duration", "1"], ["--duration", "1", "--time-map", "m.csv"]])
def test_the_speed_must_be_said_once(stretch, arguments):
    code, message = stretch("in.wav", *arguments)
    assert code == 2 and "exactly one of --rate, --duration, " in message


@pytest.mark.parametrize("text", ["0", "-5", "abc", "1:75", "1:2:3:4", "", "nan", "1:60:00", ":30"])
def test_an_impossible_duration_is_a_usage_error(stretch, text):
    code, message = stretch("in.wav", "--duration", text)
    assert code == 2 and "duration" in message


def test_a_duration_that_needs_a_rate_outside_the_range_is_a_usage_error(stretch):
    code, message = stretch("in.wav", "--duration", "1:00:00")
    assert code == 2 and "0.05" in message


@pytest.mark.parametrize(
    "text, words",
    [
        ("0,0\n1,1\n0.5,2\n", "Line 3"),
        ("0,0\n1,1\n2,0.5\n", "Line 3"),
        ("0,0\n1,x\n", "Line 2"),
        ("", "no points"),
        ("0,0\n1,nan\n", "Line 2"),
    ],
)
def test_a_map_that_goes_back_or_makes_no_sense_names_the_line(stretch, folder, text, words):
    (folder / "map.csv").write_text(text)
    code, message = stretch("in.wav", "--time-map", "map.csv")
    assert code == 2 and words in message


def test_a_missing_map_is_a_usage_error(stretch):
    code, message = stretch("in.wav", "--time-map", "nowhere.csv")
    assert code == 2 and "nowhere.csv" in message


@pytest.mark.parametrize(
    "option, value, words",
    [
        ("--coherence", "1.5", "coherence"),
        ("--coherence", "nan", "coherence"),
        ("--gain", "nan", "gain"),
        ("--gain", "100", "gain"),
        ("--seed", "-1", "seed"),
        ("--subtype", "PCM_12", "PCM_16"),
        ("--bitrate", "128", "not compressed"),
        ("--raw-format", "s12", "s16le"),
        ("--raw-rate", "8000", "--raw"),
        ("--ratte", "2", "--rate"),
        ("--seed", "x", "--seed"),
    ],
)
def test_a_wrong_option_is_a_usage_error_that_names_it(stretch, option, value, words):
    code, message = stretch("in.wav", "--rate", "2", option, value)
    assert code == 2 and words in message


def test_an_unknown_command_and_an_unknown_model_are_named(stretch, capsys):
    code, message = stretch("in.wav", "--rate", "2", "--model", "nonesuch")
    assert code == 1 and "nonesuch" in message
    assert run(["strech"]) == 2 and "strech" in capsys.readouterr().err


def bad_wav(**changes: int) -> bytes:
    """A WAV file with a header that says something else than the truth."""
    fields = {"code": 1, "channels": 1, "samplerate": 8000, "align": 2, "bits": 16, "data": 16000, "present": 16000} | changes
    form = struct.pack("<HHIIHH", fields["code"], fields["channels"], fields["samplerate"], 16000, fields["align"], fields["bits"])
    header = b"RIFF" + struct.pack("<I", 36 + 16000) + b"WAVEfmt " + struct.pack("<I", 16) + form
    # Bytes that are no chunk's name, so that what stands behind the data is no chunk.
    return header + b"data" + struct.pack("<I", fields["data"]) + b"\x01\x80" * (fields["present"] // 2)


def cut(name: str, part: float = 0.5, **options) -> bytes:
    soundfile.write(name, sound(96000), 48000, **options)
    with open(name, "rb") as file:
        data = file.read()
    return data[: int(len(data) * part)]


BAD_FILES = {
    "empty": (lambda: b"", "empty.wav is empty"),
    "text": (lambda: b"Dear diary,\n" * 50, "text file"),
    "random": (lambda: np.random.default_rng(0).bytes(5000), "not a recording of a known kind"),
    "zero-length": (lambda: bad_wav(data=0, present=0), "holds no samples"),
    "truncated": (lambda: bad_wav(present=8000), "is cut short: its header promises 1.00 s and 0.50 s are there"),
    "liar": (lambda: bad_wav(data=10**9), "is cut short: its header promises 62500.00 s"),
    "understated": (lambda: bad_wav(data=1000, present=200000), "lies about its length"),
    "no-channels": (lambda: bad_wav(channels=0), "no channels"),
    "no-rate": (lambda: bad_wav(samplerate=0), "sample rate"),
    "odd-rate": (lambda: bad_wav(samplerate=100), "100 Hz"),
    "absurd-rate": (lambda: bad_wav(samplerate=4 * 10**9), "sample rate"),
    "header-only": (lambda: bad_wav()[:30], "damaged"),
    "cut-flac": (lambda: cut("x.flac"), "cut short"),
    "cut-ogg": (lambda: cut("x.ogg"), "cut short"),
    "cut-mp3": (lambda: cut("x.mp3"), "cut short"),
    "cut-aiff": (lambda: cut("x.aiff"), "cut short"),
    "cut-w64": (lambda: cut("x.w64"), "cut short"),
    "cut-caf": (lambda: cut("x.caf"), "cut short"),
    "cut-au": (lambda: cut("x.au"), "cut short"),
    "cut-rf64": (lambda: cut("x.rf64"), "cut short"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_has_its_own_message(stretch, folder, kind):
    make, words = BAD_FILES[kind]
    suffix = kind.split("-")[1] if kind.startswith("cut-") else "wav"
    data = make()
    for path in folder.glob("x.*"):
        path.unlink()
    (folder / f"{kind}.{suffix}").write_bytes(data)
    code, message = stretch(f"{kind}.{suffix}", "--rate", "1.5", "-o", "out.wav")
    assert code == 1 and words in message and f"{kind}.{suffix}" in message


@pytest.mark.parametrize("kind", ["truncated", "cut-flac", "cut-ogg", "cut-mp3", "cut-w64"])
def test_what_is_there_of_a_cut_file_can_be_used_on_request(folder, kind, capsys):
    make, _ = BAD_FILES[kind]
    path = folder / f"{kind}.{kind.split('-')[1] if '-' in kind else 'wav'}"
    path.write_bytes(make())
    assert run(["stretch", str(path), "--rate", "1", "--salvage", "-o", "out.wav", "-q"]) == 0
    found, whole = soundfile.info("out.wav").duration, 1 if kind == "truncated" else 2
    assert 0.3 * whole < found < 0.7 * whole


def test_a_missing_file_and_a_folder_are_told_apart(stretch, folder):
    code, message = stretch("nowhere.wav", "--rate", "2")
    assert code == 1 and "nowhere.wav does not exist" in message
    (folder / "takes").mkdir()
    code, message = stretch("takes", "--rate", "2")
    assert code == 2 and "takes is a folder" in message and "-o" in message


@pytest.mark.parametrize("value, words", [(np.nan, "not a number (NaN)"), (np.inf, "infinite"), (-np.inf, "infinite")])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_a_sample_that_is_no_number_is_located(stretch, value, words, subtype):
    samples = sound(96000)
    samples[60000, 1] = value
    soundfile.write("bad.wav", samples, 24000, subtype=subtype)
    before_name = os.listdir()
    code, message = stretch("bad.wav", "--rate", "2")
    assert code == 1 and words in message and "second 2.500000 in channel 2" in message
    assert os.listdir() == before_name


def test_an_output_folder_that_is_missing_or_a_file_is_said(stretch):
    code, message = stretch("in.wav", "--rate", "2", "-o", "nowhere/out.wav")
    assert code == 1 and "folder nowhere does not exist" in message
    code, message = stretch("in.wav", "--rate", "2", "-o", "in.wav/out.wav")
    assert code == 1 and "in.wav is not a folder" in message


def test_an_unwritable_folder_is_said(stretch, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    # Permissions do not bind the administrator, whom tests may run as.
    monkeypatch.setattr(writer_module.os, "open", refuse)
    code, message = stretch("in.wav", "--rate", "2", "-o", "out.wav")
    assert code == 1 and "You have no permission to write to the folder" in message


def test_an_output_larger_than_the_free_space_is_refused_before_work(stretch, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(writer_module.shutil, "disk_usage", lambda path: usage)
    code, message = stretch("in.wav", "--rate", "2", "-o", "out.wav")
    assert code == 1 and "no space" in message and "0.0 MB are free" in message


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "caf"])
def test_a_disk_that_fills_up_while_writing_is_said_and_nothing_is_left(folder, suffix):
    soundfile.write("long.wav", sound(24000 * 10), 24000)
    before = sorted(os.listdir())
    result = subprocess.run(
        [sys.executable, "-m", "tsmgan", "stretch", "long.wav", "--rate", "2", "-o", f"out.{suffix}"],
        capture_output=True,
        text=True,
        # A limit on the size of files fails at the same call as a full disk does.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000)),
    )
    assert result.returncode == 1 and "larger than the system allows" in result.stderr and result.stderr.count("\n") == 1, result.stderr
    assert sorted(os.listdir()) == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("output", ["-", "/dev/full"])
def test_a_full_pipe_is_said(folder, output):
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "tsmgan", "stretch", "in.wav", "--rate", "2", "-o", output]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1 and "no space is left" in result.stderr and result.stderr.count("\n") == 1, result.stderr


@pytest.mark.parametrize(
    "data, arguments, words",
    [
        (b"", [], "standard input is empty"),
        (b"Dear diary," * 9, [], "standard input is not WAV"),
        (bad_wav()[:30], [], "ends within its WAV header"),
        (bad_wav(present=8000), [], "cut short: its header promises 1.00 s and 0.50 s are there"),
        (bad_wav(present=0), [], "holds no samples"),
        (bad_wav(channels=0), [], "no channels"),
        (bad_wav(samplerate=0), [], "sample rate"),
        (bad_wav(code=2, bits=4), [], "code 2, 4 bits"),
        (b"", ["--raw", "--raw-rate", "8000", "--raw-channels", "1"], "holds no samples"),
        (np.array([0, np.nan], "<f4").tobytes(), ["--raw", "--raw-rate", "8000", "--raw-channels", "1", "--raw-format", "f32le"], "NaN"),
    ],
)
def test_a_bad_pipe_has_its_own_message(folder, data, arguments, words, monkeypatch, capsys):
    import io

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert run(["stretch", "-", "--rate", "2", "-o", "out.wav", *arguments]) == 1
    assert words in capsys.readouterr().err and os.listdir() == ["in.wav"]


def test_raw_input_must_be_described(stretch):
    code, message = stretch("-", "--rate", "2", "--raw", "-o", "out.wav")
    assert code == 2 and "--raw-rate 48000 --raw-channels 2" in message
