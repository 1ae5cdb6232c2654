"""Promises of the command line beyond its errors."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tsmgan import __version__
from tsmgan.audio.wav import wav_header
from tsmgan.cli import COMMANDS, run
from tsmgan.cli.durations import format_duration, parse_duration
from tsmgan.cli.rates import parse_rate, parse_rates
from tsmgan.errors import UsageError

TSMGAN = [sys.executable, "-m", "tsmgan"]
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
needs_sox = pytest.mark.skipif(shutil.which("sox") is None, reason="sox is not installed")


def tones(frames: int = 24000, channels: int = 2, level: float = 0.3) -> np.ndarray:
    time_axis = np.arange(frames)[:, None] / 24000
    return level * np.sin(2 * np.pi * time_axis * np.array([220.0, 331.0, 442.0, 553.0])[:channels])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder that holds in.wav, one second of stereo at 24 kHz."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("in.wav", tones(), 24000, subtype="PCM_16")
    return tmp_path


def feed(monkeypatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "PCM_U8"])
@pytest.mark.parametrize("channels", [1, 2])
def test_rate_one_gives_the_input_bit_for_bit(folder, subtype, channels):
    samples = np.random.default_rng(0).uniform(-1, 1, (30000, channels))
    samples[100], samples[101] = -1, 1
    soundfile.write("whole.wav", samples, 44100, subtype=subtype)
    assert run(["stretch", "whole.wav", "--rate", "1", "-o", "same.wav", "-q"]) == 0
    assert soundfile.info("same.wav").subtype == subtype
    kind = "float32" if subtype == "FLOAT" else "int32"
    np.testing.assert_array_equal(soundfile.read("same.wav", dtype=kind)[0], soundfile.read("whole.wav", dtype=kind)[0])


@pytest.mark.parametrize(
    "arguments, name, frames",
    [
        (["--rate", "1.5"], "in@1.5.wav", 16000),
        (["--rate", "90/120"], "in@0.75.wav", 32000),
        (["-r", "2x"], "in@2.wav", 12000),
        (["--duration", "1.5s"], "in@1.5s.wav", 36000),
        (["--duration", "0:00.75"], "in@0.75s.wav", 18000),
        (["--time-map", "slow end.csv"], "in@slow end.wav", 36000),
        (["--rate", "0.7", "-o", "new.flac"], "new.flac", 34286),
        (["--rate", "2", "-o", "takes"], "takes/in@2.wav", 12000),
    ],
)
def test_output_has_the_promised_name_and_length(folder, arguments, name, frames):
    (folder / "slow end.csv").write_text("input,output\n0,0\n0.5,0.5\n1,1.5\n")
    (folder / "takes").mkdir()
    assert run(["stretch", "in.wav", "-q", *arguments]) == 0
    assert soundfile.info(name).frames == frames


def test_the_summary_is_one_line_on_standard_error_and_quiet_silences_it(folder, capsys):
    run(["stretch", "in.wav", "--rate", "2", "-q", "-o", "first.wav"])  # a note says when kernels were compiled
    assert run(["stretch", "in.wav", "--rate", "2"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("in.wav -> in@2.wav  0:01.000 -> 0:00.500 at rate 2, ")
    assert captured.err.endswith("x real time\n") and captured.err.count("\n") == 1
    assert run(["stretch", "in.wav", "--rate", "4", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_an_existing_output_is_kept_without_force_and_replaced_with_it(folder, capsys):
    (folder / "out.wav").write_text("precious")
    assert run(["stretch", "in.wav", "--rate", "2", "-o", "out.wav"]) == 1
    assert "--force" in capsys.readouterr().err and (folder / "out.wav").read_text() == "precious"
    assert run(["stretch", "in.wav", "--rate", "2", "-o", "out.wav", "--force"]) == 0
    assert soundfile.info("out.wav").frames == 12000


def test_the_input_is_not_overwritten_even_with_force(folder, capsys):
    before = (folder / "in.wav").read_bytes()
    os.link("in.wav", "other.wav")
    assert run(["stretch", "in.wav", "--rate", "2", "-o", "other.wav", "--force"]) == 2
    assert "never overwritten" in capsys.readouterr().err and (folder / "in.wav").read_bytes() == before


def test_clipping_is_counted_in_one_warning_whose_advice_works(folder, capsys):
    soundfile.write("loud.wav", tones(level=0.9), 24000, subtype="PCM_16")
    assert run(["stretch", "loud.wav", "--rate", "1", "--gain", "6", "-o", "a.wav"]) == 0
    lines = capsys.readouterr().err.splitlines()
    warning = next(line for line in lines if line.startswith("Warning"))
    assert len(lines) == 2 and "samples beyond full scale (by up to 5.09 dB)" in warning and "--subtype FLOAT" in warning
    gain = warning.split("--gain ")[1].split()[0]
    assert gain == "0.9"
    assert run(["stretch", "loud.wav", "--rate", "1", "--gain", gain, "-o", "b.wav"]) == 0
    assert "Warning" not in capsys.readouterr().err
    assert run(["stretch", "loud.wav", "--rate", "1", "--gain", "6", "-o", "c.wav", "--subtype", "float"]) == 0
    assert "Warning" not in capsys.readouterr().err
    np.testing.assert_allclose(soundfile.read("c.wav")[0], soundfile.read("loud.wav")[0] * 10 ** (6 / 20), rtol=1e-6)


def test_seed_model_and_coherence_reach_the_stretcher(folder):
    for name, options in {"a": [], "b": ["--model", "default"], "c": ["--coherence", "0"], "d": ["--coherence", "1"]}.items():
        assert run(["stretch", "in.wav", "--rate", "1.3", "-q", "-o", f"{name}.wav", *options]) == 0
    a, b, c, d = (soundfile.read(f"{name}.wav")[0] for name in "abcd")
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(c, d)


@pytest.mark.parametrize("frames", [None, 24000])
def test_a_wav_pipe_is_read_with_and_without_its_length(folder, monkeypatch, frames):
    samples = soundfile.read("in.wav", dtype="int16")[0]
    feed(monkeypatch, wav_header(24000, 2, "PCM_16", frames) + samples.astype("<i2").tobytes())
    assert run(["stretch", "-", "--rate", "2", "-q", "-o", "out.wav"]) == 0
    assert soundfile.info("out.wav").frames == 12000
    assert run(["stretch", "in.wav", "--rate", "2", "-q", "-o", "same.wav"]) == 0
    np.testing.assert_array_equal(soundfile.read("out.wav")[0], soundfile.read("same.wav")[0])


@pytest.mark.parametrize("name, kind, scale", [("s16le", "<i2", 2**15), ("s32le", "<i4", 2**31), ("f32le", "<f4", 1), ("f64le", "<f8", 1)])
def test_raw_samples_go_in_and_out_of_pipes(folder, name, kind, scale):
    data = np.round(tones() * scale * 0.9).astype(kind) if scale > 1 else tones().astype(kind)
    arguments = ["stretch", "-", "--rate", "1", "-o", "-", "--raw", "--raw-rate", "24000", "--raw-channels", "2", "--raw-format", name]
    result = subprocess.run([*TSMGAN, *arguments], input=data.tobytes(), capture_output=True, check=True)
    found = np.frombuffer(result.stdout, kind).reshape(-1, 2)
    assert found.shape == data.shape
    np.testing.assert_allclose(found / scale, data / scale, atol=1e-7)


def test_a_duration_for_a_pipe_without_a_length_is_refused(folder, monkeypatch, capsys):
    feed(monkeypatch, wav_header(24000, 2, "PCM_16", None) + bytes(4000))
    assert run(["stretch", "-", "--duration", "1", "-o", "out.wav"]) == 2
    assert "--duration needs the whole recording" in capsys.readouterr().err


@needs_ffmpeg
def test_ffmpeg_pipes_in_and_out(folder):
    command = f"ffmpeg -v error -i in.wav -f wav - | {' '.join(TSMGAN)} stretch - --rate 2 -q -o - | ffmpeg -v error -i - -y out.flac"
    result = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert soundfile.info("out.flac").frames == 12000


@needs_sox
def test_sox_pipes_in_and_out(folder):
    command = f"sox in.wav -t wav - | {' '.join(TSMGAN)} stretch - --rate 2 -q -o - | sox -t wav - out.flac"
    result = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert soundfile.info("out.flac").frames == 12000


def test_a_reader_that_goes_away_ends_the_program_quietly(folder):
    soundfile.write("long.wav", tones(24000 * 20), 24000)
    command = f"{' '.join(TSMGAN)} stretch long.wav --rate 1 -o - | head -c 100 > part; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (result.stdout.strip(), result.stderr, os.path.getsize("part")) == ("141", "", 100)


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_stretch_leaves_no_file(folder, number, code):
    # Reading a pipe that stays open, the program is surely still at work when the signal comes.
    command = [*TSMGAN, "stretch", "-", "--rate", "1", "-o", "out.wav"]
    # A shell may have started the tests with SIGINT ignored, which the program would respect.
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    process.stdin.write(wav_header(24000, 2, "PCM_16", None) + bytes(400000))
    process.stdin.flush()
    deadline = time.monotonic() + 60
    while len(os.listdir()) == 1 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(os.listdir()) == 2, "no temporary file appeared"
    process.send_signal(number)
    _, message = process.communicate()
    assert process.returncode == code and b"Traceback" not in message, message
    assert os.listdir() == ["in.wav"]


def test_info_shows_what_a_file_is(folder, capsys):
    with soundfile.SoundFile("tagged.flac", "w", 48000, 1, "PCM_24") as file:
        file.title = "A [bold] Title"
        file.write(np.full(72000, 0.5))
    assert run(["info", "tagged.flac", "in.wav"]) == 0
    shown = capsys.readouterr().out
    for words in ("FLAC, PCM_24", "48000 Hz", "1 (mono)", "0:01.500 (72000 samples)", "A [bold] Title", "WAV, PCM_16", "2 (stereo)"):
        assert words in shown
    assert run(["info", "--json", "--peak", "tagged.flac"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["tags"] == {"title": "A [bold] Title"} and facts["frames"] == 72000 and facts["peak_dbfs"] == -6.02


def test_info_describes_every_file_that_can_be_read_although_others_cannot(folder, capsys):
    (folder / "diary.wav").write_text("Dear diary,\n" * 20)
    assert run(["info", "diary.wav", "in.wav", "nowhere.wav"]) == 1
    shown = capsys.readouterr()
    assert "WAV, PCM_16" in shown.out and shown.err.count("Error: ") == 2 and "nowhere.wav does not exist" in shown.err
    assert run(["info", "--json", "diary.wav", "in.wav"]) == 1
    assert [facts["name"] for facts in json.loads(capsys.readouterr().out)] == ["in.wav"]


@pytest.mark.parametrize("command", ["stretch", "info", "train"])
def test_the_help_asks_for_no_value_of_an_option_that_takes_none(capsys, command):
    assert run([command, "--help"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "--help" not in line]
    assert any("--" in line for line in lines) and not any("<bool>" in line for line in lines)


def test_models_lists_what_is_shipped(capsys):
    assert run(["models"]) == 0
    shown = capsys.readouterr().out
    assert run(["models", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [entry["default"] for entry in entries].count(True) == 1
    assert all(entry["name"] in shown and entry["config"] and entry["description"] for entry in entries)


def test_version_and_help_with_examples(capsys):
    assert run(["--version"]) == 0 and capsys.readouterr().out == f"tsmgan {__version__}\n"
    for arguments in ([], ["--help"], ["-h"]):
        assert run(arguments) == 0
        shown = capsys.readouterr().out
        assert "Examples" in shown and "tsmgan stretch talk.wav --rate 1.5" in shown
    assert run(["stretch", "--help"]) == 0
    shown = capsys.readouterr().out
    for words in ("Examples", "How fast", "--rate", "--duration", "--time-map", "--coherence", "--raw-format"):
        assert words in shown


def test_only_commands_whose_file_exists_are_offered(capsys):
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    folder = os.path.dirname(sys.modules["tsmgan.cli"].__file__)
    for name in COMMANDS:
        exists = os.path.exists(os.path.join(folder, name.replace("-", "_") + ".py"))
        assert (f"│ {name} " in shown) == exists


@pytest.mark.parametrize(
    "asked, words, position, message",
    [
        ("complete_bash", None, None, "COMP_WORDS"),
        ("complete_bash", "tsmgan st", None, "COMP_CWORD"),
        ("complete_bash", "tsmgan st", "x", "COMP_CWORD"),
        ("complete_bash", "tsmgan st", "9" * 5000, "COMP_CWORD"),
        ("bash", None, None, "'bash'"),
        ("complete_dos", None, None, "'complete_dos'"),
    ],
)
def test_a_request_for_completion_that_cannot_be_answered_is_refused_in_a_sentence(monkeypatch, capsys, asked, words, position, message):
    for name, value in (("_TSMGAN_COMPLETE", asked), ("COMP_WORDS", words), ("COMP_CWORD", position)):
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    assert run(["--help"]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and message in shown.err and "unset it" in shown.err and shown.err.count("\n") == 1


@pytest.mark.parametrize(
    "words, position, offered", [("tsmgan str", "1", "stretch"), ("tsmgan 'str", "1", ""), ("tsmgan stretch --mo", "2", "--model")]
)
def test_a_shell_that_asks_is_answered(monkeypatch, capsys, words, position, offered):
    for name, value in (("_TSMGAN_COMPLETE", "complete_bash"), ("COMP_WORDS", words), ("COMP_CWORD", position)):
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        run([])
    assert ended.value.code == 0
    assert offered in capsys.readouterr().out


def test_a_traceback_is_shown_with_debug_only(folder, monkeypatch, capsys):
    monkeypatch.setattr("tsmgan.cli.stretch.parse_rate", lambda text: 1 / 0)
    assert run(["stretch", "in.wav", "--rate", "2"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("Error: Internal error (ZeroDivisionError") and "--debug" in message and message.count("\n") == 1
    for arguments in (["--debug", "stretch", "in.wav", "--rate", "2"], ["stretch", "in.wav", "--rate", "2", "--debug"]):
        with pytest.raises(ZeroDivisionError):
            run(arguments)
    monkeypatch.setenv("TSMGAN_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run(["stretch", "in.wav", "--rate", "2"])


@pytest.mark.parametrize(
    "arguments, forbidden",
    [
        (["--help"], {"numpy", "scipy", "numba", "librosa", "soundfile", "onnxruntime", "torch"}),
        (["stretch", "--help"], {"numpy", "scipy", "numba", "librosa", "soundfile", "onnxruntime", "torch"}),
        (["info", "in.wav"], {"scipy", "numba", "librosa", "onnxruntime", "torch"}),
        (["stretch", "in.wav", "--rate", "2", "-o", "out.wav"], {"torch", "tensorboard", "matplotlib"}),
        (["stretch", "nowhere.wav", "--rate", "2"], {"scipy", "numba", "librosa", "onnxruntime", "torch"}),
        (["stretch", "in.wav", "--rate", "2", "-o", "nowhere/out.wav"], {"scipy", "numba", "librosa", "onnxruntime", "torch"}),
    ],
)
def test_a_command_imports_nothing_that_it_does_not_need(folder, arguments, forbidden):
    result = subprocess.run([sys.executable, "-X", "importtime", "-m", "tsmgan", *arguments], capture_output=True, text=True)
    loaded = {line.rsplit("|", 1)[1].strip() for line in result.stderr.splitlines() if line.startswith("import time:")}
    assert "typer" in loaded and not forbidden & loaded


@pytest.mark.parametrize(
    "text, seconds",
    [("90", 90), ("90s", 90), ("1:30.5", 90.5), ("1:02:03.25", 3723.25), ("1m30s", 90), ("2h", 7200), (" .5 ", 0.5), ("0:05", 5)],
)
def test_durations_are_understood_as_people_write_them(text, seconds):
    assert parse_duration(text) == seconds


def test_durations_are_printed_as_clocks():
    seconds = (0, 0.01, 40, 59.9996, 59.999, 725.34, 3599.96, 3723.2)
    clocks = ["0:00.000", "0:00.010", "0:40.000", "1:00.0", "0:59.999", "12:05.3", "1:00:00.0", "1:02:03.2"]
    assert [format_duration(s) for s in seconds] == clocks


def test_rates_are_numbers_or_fractions():
    assert (parse_rate("1.5"), parse_rate("1.5x"), parse_rate("90/120")) == (1.5, 1.5, 0.75)
    with pytest.raises(UsageError):
        parse_rate("quick")


@pytest.mark.parametrize(
    "text, one, two", [("1,5", "1.5", "1, 5"), ("0,75", "0.75", "0, 75"), ("1,15", "1.15", "1, 15"), ("1,3/2", "1.3/2", "1, 3/2")]
)
def test_a_comma_that_may_be_a_decimal_one_is_asked_about(folder, capsys, text, one, two):
    assert run(["stretch", "in.wav", "--rate", text]) == 2
    shown = capsys.readouterr().err
    assert f"--rate {one} for one" in shown and f'"{two}" for two' in shown and shown.count("\n") == 1 and os.listdir() == ["in.wav"]
    assert run(["evaluate", "--artefacts", "--rates", text]) == 2
    assert f"--rates {one} for one" in capsys.readouterr().err
    assert parse_rate(text) == parse_rate(one), "where there is one rate, there is no doubt"


@pytest.mark.parametrize(
    "text, rates",
    [
        ("0.9,1,1.1", [0.9, 1, 1.1]),
        ("1, 5", [1, 5]),
        ("1 ,5", [1, 5]),
        ("1,2,3", [1, 2, 3]),
        ("1.0,5", [1, 5]),
        ("10,20", [10, 20]),
        ("1x,5x", [1, 5]),
    ],
)
def test_a_comma_that_is_no_decimal_one_separates_rates(text, rates):
    assert parse_rates(text) == rates


@pytest.mark.parametrize("text, seconds", [("1:30,5", 90.5), ("0,5", 0.5), ("1:30,500", 90.5), ("1,5m", 90)])
def test_a_duration_is_no_list_so_its_comma_is_a_decimal_one(text, seconds):
    assert parse_duration(text) == seconds


def test_a_duration_that_may_be_in_thousands_is_asked_about():
    with pytest.raises(UsageError, match=r"1\.500 or 1500 seconds"):
        parse_duration("1,500")


def test_the_shortest_output_has_a_duration_and_a_name(folder, capsys):
    soundfile.write("short.wav", tones(240), 24000)
    assert run(["stretch", "short.wav", "--duration", "0.012", "-o", "takes/"]) == 0
    assert "0:00.010 -> 0:00.012 at rate" in capsys.readouterr().err and os.listdir("takes") == ["short@0.012s.wav"]


@pytest.mark.parametrize(
    ("option", "with_comma", "with_point"),
    [
        ("--coherence", "0,25", "0.25"),
        ("--gain", "-1,5", "-1.5"),
        ("--pitch", "-0,5", "-0.5"),
        ("--pitch", "1,5/2", "1.5/2"),
        ("--tune", "440:432,5", "440:432.5"),
        ("--formants", "+1,5", "+1.5"),
        ("--duration", "0,75", "0.75"),
        ("--start", "0,25", "0.25"),
        ("--pauses", "0,5", "0.5"),
    ],
)
def test_a_decimal_comma_is_a_decimal_point_wherever_a_single_number_is_typed(folder, option, with_comma, with_point):
    for name, value in (("a.wav", with_comma), ("b.wav", with_point)):
        rate = ["--rate", "1"] if option in ("--coherence", "--gain", "--start") else []
        assert run(["stretch", "in.wav", *rate, option, value, "-o", name, "-m", "handmade", "-q"]) == 0
    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes()


def test_decimal_commas_are_understood_in_a_bit_rate_and_in_the_rates_of_words(folder):
    assert run(["stretch", "in.wav", "--rate", "2", "--bitrate", "96,5", "-o", "a.mp3", "-q"]) == 0
    for name, limits in (("a", ["0,9", "1,5"]), ("b", ["0.9", "1.5"])):
        Path("own.csv").write_text("begin,end\n0,0.4\n")
        Path("wanted.csv").write_text("begin,end\n0,0.3\n")
        command = ["map", "in.wav", "--slots", "wanted.csv", "--captions", "own.csv", "--slowest", limits[0], "--fastest", limits[1]]
        assert run([*command, "--csv", f"{name}.csv"]) == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("--coherence", "much", "is no number"), ("--coherence", "1,5", "from 0 to 1"), ("--bitrate", "-3", "at least 0")],
)
def test_a_number_that_cannot_be_is_refused_with_the_option_that_it_was_typed_for(folder, capsys, option, value, words):
    assert run(["stretch", "in.wav", "--rate", "2", option, value]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert words in told and option in told
