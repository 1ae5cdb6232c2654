"""Promises about what reaches a terminal: no file's name or tag can command it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from mutagen import flac, id3

from tsmgan.cli import run

HOSTILE = "a\x1b[2J\x1b]0;title\x07\x7f\x9b31mb\u202ec"
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")


def write_recording(path: str) -> None:
    soundfile.write(path, np.full((9600, 1), 0.5), 48000, format="FLAC")
    tagged = flac.FLAC(path)
    tagged["title"] = HOSTILE
    tagged[f"MOOD{HOSTILE[1:4]}".replace("\x1b", " ")] = [HOSTILE, HOSTILE]
    tagged["CHAPTER001"], tagged["CHAPTER001NAME"] = "00:00:00.000", HOSTILE
    picture = flac.Picture()
    picture.data, picture.mime, picture.desc = b"x", f"image/{HOSTILE[:2]}", HOSTILE
    tagged.add_picture(picture)
    tagged.save()


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_info_shows_control_characters_as_escapes(folder, capsys, options):
    write_recording("in.flac")
    assert run(["info", "in.flac", *options]) == 0
    shown = capsys.readouterr().out
    assert not CONTROLS.search(shown)
    if options:
        assert json.loads(shown)["tags"]["title"] == HOSTILE and json.loads(shown)["chapters"][0]["title"] == HOSTILE
    else:
        assert shown.count(r"a\x1b[2J\x1b]0;title\x07\x7f\x9b31mb\u202ec") >= 3


def test_names_of_tags_are_shown_as_they_are_and_not_as_markup_or_commands(folder, capsys):
    soundfile.write("in.mp3", np.full((9600, 1), 0.1), 48000)
    tag = id3.ID3()
    tag.add(id3.TXXX(encoding=3, desc="[red]\x1b[2J", text=["x"]))
    tag.save("in.mp3")
    assert run(["info", "in.mp3"]) == 0
    shown = capsys.readouterr().out
    assert r"[red]\x1b[2j" in shown and not CONTROLS.search(shown)


@pytest.mark.parametrize(
    "arguments, code",
    [
        (["info", f"{HOSTILE}.flac"], 0),
        (["info", f"missing {HOSTILE}.flac"], 1),
        (["stretch", f"{HOSTILE}.flac", "--rate", "2", "--verbose"], 0),
        (["stretch", f"{HOSTILE}.flac", "--rate", "2", "-o", f"{HOSTILE}.au"], 0),
        (["stretch", f"{HOSTILE}.flac", "--rate", HOSTILE], 2),
        (["stretch", f"{HOSTILE}.flac", f"text {HOSTILE}.wav", "--rate", "2", "-o", "out", "--jobs", "1"], 3),
        (["stretch", f"{HOSTILE}.flac", "--rate", "2", "--model", HOSTILE], 1),
        (["strech\x1b[2J"], 2),
    ],
)
def test_no_message_carries_control_characters(folder, capsys, arguments, code):
    write_recording(f"{HOSTILE}.flac")
    Path(f"text {HOSTILE}.wav").write_text(HOSTILE)
    assert run(arguments) == code
    told = capsys.readouterr()
    assert told.out + told.err and not CONTROLS.search(told.out + told.err)
