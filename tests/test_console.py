"""Promises about what a person at a terminal sees: the bar, colours, and answers to commands that do not exist."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from batch_helpers import write_recording
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tsmgan.cli import run
from tsmgan.cli.console import shorten
from tsmgan.cli.suggestions import EXTRAS

TSMGAN = [sys.executable, "-m", "tsmgan"]
pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
BAR = """
import sys, time
from tsmgan.cli.console import ProgressBar
with ProgressBar(sys.argv[1], 100, enabled=True) as bar:
    time.sleep(0.6)
    bar.update(42)
    time.sleep(0.3)
"""


def on_a_terminal(command, columns: int = 80, **environment: str) -> str:
    """What a program prints on a terminal of so many columns."""
    main, side = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "PY_COLORS", "TERM", "LINES")}
    environment = clean | {"COLUMNS": str(columns), "TERM": "xterm-256color"} | environment
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=side, stderr=side, env=environment)
    os.close(side)
    shown = b""
    try:
        while part := os.read(main, 4096):
            shown += part
    except OSError as error:  # how Linux tells that nobody writes any more
        assert error.errno == errno.EIO
    finally:
        os.close(main)
    assert process.wait() is not None
    return shown.decode()


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("name", ["short.wav", "A very long name of a lecture, " * 6 + "part 12.flac", "演講錄音" * 30 + ".flac"])
def test_the_bar_keeps_its_percentage_speed_and_time_however_long_the_name_is(name, columns):
    shown = on_a_terminal([sys.executable, "-c", BAR, name], columns)
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", shown)]
    line = next(line for line in reversed(lines) if "42%" in line)
    assert re.search(r"[━╸╺ ]{8,} +42% \d+x real time +(\d+:\d\d:\d\d|-:--:--)", line) and cell_len(line.rstrip()) <= columns
    assert line.startswith(name[:3]) and name[-5:] in line


COUNTED = """
import time
from tsmgan.cli.console import track
def work():
    for k in range(2):
        time.sleep(0.3)
        yield k
assert list(track(work(), "pairs", 2, enabled=True)) == [0, 1]
"""


def test_work_that_is_counted_shows_its_bar_before_the_first_piece_is_done():
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", on_a_terminal([sys.executable, "-c", COUNTED]))
    assert [shown.find(f"{done} of 2") >= 0 for done in range(3)] == [True] * 3 and shown.startswith("pairs")
    assert "of 2" not in on_a_terminal([sys.executable, "-c", COUNTED.replace("enabled=True", "enabled=False")])


@given(st.text(max_size=60), st.integers(3, 40))
def test_a_shortened_name_fits_and_keeps_both_ends(text, width):
    short = shorten(text, width)
    assert cell_len(short) <= width and (short == text or "…" in short)
    assert short == text or cell_len(text) > width


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_a_terminal_without_colours_gets_none(folder, environment):
    command = [*TSMGAN, "stretch", "nowhere.wav", "--rate", "2"]
    assert "\x1b[31mError: " in on_a_terminal(command), "a terminal that knows colours gets them"
    for arguments in (["stretch", "nowhere.wav", "--rate", "2"], ["models"], ["--help"]):
        shown = on_a_terminal([*TSMGAN, *arguments], **environment)
        assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", shown) and (environment != {"TERM": "dumb"} or "\x1b" not in shown)


def test_control_characters_in_names_do_not_reach_the_terminal(folder, capsys):
    assert run(["stretch", "\x1b]2;title\x07.wav", "--rate", "2"]) == 1
    shown = capsys.readouterr().err
    assert "\\x1b]2;title\\x07.wav does not exist" in shown and "\x1b" not in shown and "\x07" not in shown


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["strech", "talk.wav"], "did you mean `tsmgan stretch`?"),
        (["bechmark"], "did you mean `tsmgan benchmark`?"),
        (["xyzzy"], "There is no command xyzzy; see `tsmgan --help`."),
        (["take one.wav", "-r", "0.6"], "`tsmgan stretch 'take one.wav' -r 0.6`"),
        (["take one.wav", "--duration=9"], "`tsmgan stretch 'take one.wav' --duration=9`"),
        (["talk.wav"], "`tsmgan stretch talk.wav --rate 1.5`"),
        (["s3://bucket/talk"], "`tsmgan stretch s3://bucket/talk --rate 1.5`"),
        (["stretch", "talk.wav", "--speed", "2"], "no option --speed; did you mean --rate?"),
        (["stretch", "talk.wav", "--ratte", "2"], "no option --ratte; did you mean --rate?"),
        (["stretch", "talk.wav", "--qqqq"], "no option --qqqq; see `tsmgan stretch --help`."),
        (["stretch", "talk.wav", "--slower", "2"], "no option --slower; did you mean --rate?"),
        (["stretch", "talk.wav", "--mono", "2"], "no option --mono; see `tsmgan stretch --help`."),
        (["stretch", "talk.wav", "--format", "mp3"], "the ending of -o is the format"),
        (["models", "--format", "json"], "tsmgan models has no option --format; see"),
        (["plot", "talk.wav", "--tempo", "2"], "did you mean --rate?"),
        (["models", "--speed", "2"], "tsmgan models has no option --speed; see"),
        (["--rate", "2", "talk.wav"], "`tsmgan stretch talk.wav --rate 1.5`"),
    ],
)
def test_a_wrong_command_is_answered_with_the_one_that_was_meant(folder, capsys, arguments, words):
    write_recording(folder / "take one.wav")
    assert run(arguments) == 2
    shown = capsys.readouterr().err
    assert words in shown and shown.startswith("Error: ") and shown.count("\n") == 1


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["take one.wav", "-r", "1_2"], "'1_2' is no rate"),
        (["take one.wav", "-r", "1.2,", "-o", "out"], "commas between rates only"),
        (["take one.wav", "-r", ","], "commas between rates only"),
        (["take one.wav", "--time-map", "."], "The time map . is no file"),
        (["take one.wav", "take one.wav", "-r", "2", "-o", "out/{stem}.mp3"], "give -o out and --name '{stem}.mp3'."),
        (["", "-r", "2", "-o", "x.wav"], "The name of the recording is empty"),
    ],
)
def test_what_cannot_be_meant_is_told_in_a_sentence_that_says_what_to_do(folder, capsys, arguments, words):
    write_recording(folder / "take one.wav")
    assert run(["stretch", *arguments]) in (1, 2)
    shown = capsys.readouterr().err
    assert words in shown and shown.startswith("Error: ") and shown.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == ["take one.wav"]


def test_a_value_of_thousands_of_characters_is_not_shown_whole(folder, capsys):
    write_recording(folder / "talk.wav")
    assert run(["stretch", "talk.wav", "--duration", 100_000 * "9" + "x"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("Error: '999") and "is no duration; write" in shown and len(shown) < 2100


@pytest.mark.parametrize("command", [["train", "recordings"], ["evaluate", "--scores", "1"]])
def test_the_output_is_called_output_everywhere_and_out_goes_on_working(folder, capsys, command):
    (folder / "recordings").mkdir()
    answers = []
    for name in ("-o", "--output", "--out"):
        # A file where a folder must be made: each name reaches the same sentence.
        (folder / "taken").write_text("precious")
        code = run([*command, name, "taken"])
        answers.append((code, capsys.readouterr().err))
    assert len(set(answers)) == 1 and answers[0][0] != 0 and "option" not in answers[0][1]
    assert run([command[0], "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--output" in shown and "--out " not in shown


def test_every_extra_that_is_suggested_brings_the_package():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    extras = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    brought = {name: {re.split(r"[\[<>=;]", each)[0].strip().replace("-", "_") for each in needs} for name, needs in extras.items()}
    for module, extra in EXTRAS.items():
        assert module in brought[extra]
        assert all(len(brought[extra]) <= len(needs) for needs in brought.values() if module in needs), f"{module} has a smaller extra"


def test_without_matplotlib_plot_names_the_small_extra(folder, monkeypatch, capsys):
    write_recording(folder / "in.wav")
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib" or name == "tsmgan.listening.picture"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run(["plot", "in.wav"]) == 1
    assert 'pip install "tsmgan[plot]"' in capsys.readouterr().err


def test_a_folder_that_is_named_with_a_slash_is_made(folder):
    write_recording(folder / "in.wav")
    assert run(["stretch", "in.wav", "--rate", "2", "-q", "-o", "new/er/"]) == 0
    assert (folder / "new/er/in@2.wav").is_file()
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    assert run(["plot", "in.wav", "-q", "-o", "pictures/"]) == 0
    assert (folder / "pictures/in@1.png").is_file()


def test_the_first_run_says_that_it_compiled_and_leaves_that_out_of_the_speed(folder):
    write_recording(folder / "in.wav", frames=24000)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache")}
    command, shown, walls = [*TSMGAN, "stretch", "in.wav", "--rate", "2", "-f"], [], []
    for _ in range(2):
        began = time.perf_counter()
        shown.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr)
        walls.append(time.perf_counter() - began)
    assert "First run" not in shown[1]
    compiled = float(re.match(r"Note: First run: compiled for this processor in ([\d.]+) s", shown[0])[1])
    speed = float(re.search(r", ([\d.]+)x real time", shown[0])[1])
    # Both figures are rounded: to a tenth, and to two digits.
    assert 3.0 / (speed + 0.5) <= walls[0] - 0.95 * compiled, "the time that compiling took counts as stretching"


@pytest.mark.skipif(shutil.which("localedef") is None, reason="localedef is not installed")
def test_where_decimals_are_written_with_a_comma_large_rates_are_asked_about_too(folder):
    made = subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")], capture_output=True)
    if not (folder / "de_DE.UTF-8").is_dir():
        pytest.skip(f"no German locale can be made here: {made.stderr.decode()[:80]}")
    write_recording(folder / "in.wav")
    command = [*TSMGAN, "stretch", "in.wav", "--rate", "10,20", "-q"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LC_")}
    german = environment | {"LOCPATH": str(folder), "LC_ALL": "de_DE.UTF-8"}
    done = subprocess.run(command, env=german, capture_output=True, text=True)
    assert done.returncode == 2 and "--rate 10.20" in done.stderr
    assert subprocess.run(command, env=environment | {"LC_ALL": "C"}).returncode == 0


@pytest.mark.parametrize("columns", ["0", "-3", "1", "99999999", "9" * 5000, "wide", "\u00b2"])
def test_help_can_be_read_whatever_the_environment_says_of_the_width(columns):
    result = subprocess.run([*TSMGAN, "info", "--help"], capture_output=True, text=True, env=os.environ | {"COLUMNS": columns}, timeout=60)
    longest = max(map(cell_len, result.stdout.splitlines()))
    assert result.returncode == 0 and 60 <= longest <= 1000 and "--help" in result.stdout


def test_a_plot_needs_no_window_system_whichever_is_named(folder):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    write_recording(folder / "in.wav")
    command = [*TSMGAN, "plot", "in.wav", "-r", "2", "-o", "out.png"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=os.environ | {"MPLBACKEND": "nonsense"})
    assert result.returncode == 0 and (folder / "out.png").exists(), result.stderr
