"""Promises of subtitles, labels, tables of times and CUE sheets that move with the sound: times move, all other bytes stay."""

import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pysubs2
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from praatio import textgrid

import tsmgan
from tsmgan.audio import AudioInfo
from tsmgan.cli import run
from tsmgan.errors import AudioError, UsageError
from tsmgan.followers import Moved
from tsmgan.followers.text import Texts, companions

SECONDS = 8 * 3600.0

SUBRIP = """1
00:00:01,000 --> 00:00:02,500 X1:10 X2:20
<i>Hello</i> --> there

2
00:00:02,500 --> 00:00:04,000
{\\an8}Second line
of two

7
01:00:00,000 --> 01:00:01,999
An hour later
"""
WEBVTT = """WEBVTT - a title

STYLE
::cue { color: red }

NOTE at 00:01.000 nothing happens

intro
00:01.000 --> 00:02.500 align:start
<00:01.000>Hel<00:01.800>lo

00:00:03.000 --> 00:00:04.000
Bye
"""
SUBSTATION = """[Script Info]
; 0:00:01.00
Title: Dialogue: 0,0:00:01.00
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname
Style: Default,Arial

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,note
Dialogue: 0,0:00:01.00,0:00:03.00,Default,,0,0,0,,\
{\\k50}Ka{\\kf70}ra{\\k80}oke, {\\t(500,1000,\\fs20)\\move(1,2,3,4,0,2000)\\fad(200,300)}0:00:01.00
"""
LYRICS = """[ti:Song]
[length:03:20]
[offset:+500]
[00:12.00][00:52.10]Twice <00:13.00>sung
[01:30]late
"""
AUDACITY = "1.000000\t2.500000\tfirst\n\\\t100.0\t200.0\n3.000000\t3.000000\tpoint 5.0\n"
TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 4.01
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words ""1"" 2"
        xmin = 0
        xmax = 4.01
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 1.25
            text = ""
        intervals [2]:
            xmin = 1.25
            xmax = 2.5
            text = "hello 3.5 ""x"" ! no comment"
        intervals [3]:
            xmin = 2.5
            xmax = 4.01
            text = "bye"
    item [2]:
        class = "TextTier"
        name = "bell"
        xmin = 0
        xmax = 4.01
        points: size = 1
        points [1]:
            number = 3
            mark = "2"
"""
SHORT_TEXTGRID = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n4\n<exists>\n1\n"IntervalTier"\n"w"\n0\n4\n2\n0\n2\n"a"\n2\n4\n"b"\n'
)
TABLE = 'start,end,duration,text\n1.5,2.5,1.0,"a, 1.5"\n3,"4.5",1.5,b\n'
CUE = """REM GENRE Talk
FILE "talk.wav" WAVE
  TRACK 01 AUDIO
    TITLE "00:10:00"
    INDEX 01 00:00:00
  TRACK 02 AUDIO
    PREGAP 00:02:00
    INDEX 00 00:08:00
    INDEX 01 00:10:37
"""
TEXTS = {
    ".srt": SUBRIP,
    ".vtt": WEBVTT,
    ".ass": SUBSTATION,
    ".lrc": LYRICS,
    ".txt": AUDACITY,
    ".TextGrid": TEXTGRID,
    ".csv": TABLE,
    ".cue": CUE.replace("talk.wav", "fast.wav"),
}


def info(path: str = "talk.wav") -> AudioInfo:
    return AudioInfo(path, path, "WAV", "PCM_16", 16000, 1, 16000 * 3600, None)


def moved_by(time_map, start: float = 0.0, seconds: float = SECONDS) -> Moved:
    return Moved(time_map, start, seconds, float(time_map.output_at(seconds)))


def move(folder: Path, ending: str, content: bytes | str, time_map, *, start: float = 0.0, seconds: float = SECONDS, end=None):
    """The bytes and notes that a file becomes."""
    path = folder / f"talk{ending}"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    texts = Texts([str(path)], end=end)
    (target,) = texts.targets(info(), str(folder / "fast.wav"))
    assert target == str(folder / f"fast{ending}")
    followed = texts.follow(moved_by(time_map, start, seconds))
    return followed.files[target], followed.notes


def at(rate: float):
    return tsmgan.TimeMap.from_rate(rate)


@pytest.mark.parametrize("ending", TEXTS)
@pytest.mark.parametrize(
    "encode", [lambda t: t.encode(), lambda t: t.replace("\n", "\r\n").encode(), lambda t: t.replace("\n", "\r").encode()]
)
def test_at_rate_1_every_byte_stays(tmp_path, ending, encode):
    content = encode(TEXTS[ending])
    assert move(tmp_path, ending, content, at(1)) == (content, ())


@pytest.mark.parametrize("ending", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"])
def test_every_encoding_is_written_back_as_it_was(tmp_path, ending, encoding):
    text = re.sub("([Hh]ello|Bye|oke,|Twice|point|first|a, |Talk)", "\\1 äöü¿", TEXTS[ending])
    content = text.encode(encoding)
    assert move(tmp_path, ending, content, at(1))[0] == content
    out = move(tmp_path, ending, content, at(2))[0]
    assert out != content and "äöü¿" in out.decode(encoding)
    assert out.decode(encoding) == move(tmp_path, ending, text, at(2))[0].decode()


def test_bytes_that_are_no_text_in_any_encoding_stay(tmp_path):
    content = SUBRIP.encode().replace(b"Hello", b"\xff\xfe\x81\xc3 \x8d")
    out, _ = move(tmp_path, ".srt", content, at(2))
    assert b"\xff\xfe\x81\xc3 \x8d" in out and b"00:00:00,500 --> 00:00:01,250 X1:10" in out


def test_subrip_times_move_and_nothing_else(tmp_path):
    out = move(tmp_path, ".srt", SUBRIP, at(2))[0].decode()
    assert out == SUBRIP.replace("00:00:01,000 --> 00:00:02,500", "00:00:00,500 --> 00:00:01,250").replace(
        "00:00:02,500 --> 00:00:04,000", "00:00:01,250 --> 00:00:02,000"
    ).replace("01:00:00,000 --> 01:00:01,999", "00:30:00,000 --> 00:30:01,000")


def test_webvtt_cues_and_the_times_within_them_move_and_notes_do_not(tmp_path):
    out = move(tmp_path, ".vtt", WEBVTT, at(0.5))[0].decode()
    assert "NOTE at 00:01.000 nothing" in out and "::cue { color: red }" in out
    assert "00:02.000 --> 00:05.000 align:start\n<00:02.000>Hel<00:03.600>lo" in out and "00:00:06.000 --> 00:00:08.000" in out


def test_webvtt_gets_hours_when_it_needs_them(tmp_path):
    assert b"01:58:20.000 --> 02:00:00.000" in move(tmp_path, ".vtt", "WEBVTT\n\n59:10.000 --> 60:00.000\nx\n", at(0.5))[0]


def test_substation_moves_karaoke_animations_and_fades(tmp_path):
    out = move(tmp_path, ".ass", SUBSTATION, at(0.5))[0].decode()
    assert out.split("[Events]")[0] == SUBSTATION.split("[Events]")[0]
    assert "Comment: 0,0:00:00.00,0:00:02.00" in out
    words = "{\\k100}Ka{\\kf140}ra{\\k160}oke, {\\t(1000,2000,\\fs20)\\move(1,2,3,4,0,4000)\\fad(400,600)}0:00:01.00"
    assert "0:00:02.00,0:00:06.00,Default,,0,0,0,," + words in out


def test_the_syllables_of_a_line_keep_its_length_whatever_the_rate(tmp_path):
    out = move(tmp_path, ".ass", SUBSTATION, at(1.37))[0].decode()
    assert sum(int(cs) for cs in re.findall(r"\\kf?(\d+)", out)) == round(200 / 1.37)


def test_lyrics_move_with_their_offset_and_length(tmp_path):
    out = move(tmp_path, ".lrc", LYRICS, at(2))[0].decode()
    # 12 s minus the offset of 0.5 s are heard at 5.75 s, which is written as 6.25.
    assert out == "[ti:Song]\n[length:01:40]\n[offset:+500]\n[00:06.25][00:26.30]Twice <00:06.75>sung\n[00:45.25]late\n"


def test_audacity_labels_move_and_their_frequencies_stay(tmp_path):
    out = move(tmp_path, ".txt", AUDACITY, at(2))[0].decode()
    assert out == "0.500000\t1.250000\tfirst\n\\\t100.0\t200.0\n1.500000\t1.500000\tpoint 5.0\n"


@pytest.mark.parametrize("text", [TEXTGRID, SHORT_TEXTGRID])
def test_praat_reads_a_moved_textgrid_with_every_boundary_where_its_sound_is(tmp_path, text):
    time_map = tsmgan.TimeMap([0, 1.25, 4.01], [0, 1.0, 5.0])
    (tmp_path / "before.TextGrid").write_text(text)
    (tmp_path / "after.TextGrid").write_bytes(move(tmp_path, ".TextGrid", text, time_map)[0])
    before, after = (textgrid.openTextgrid(str(tmp_path / f"{name}.TextGrid"), True) for name in ("before", "after"))
    assert after.maxTimestamp == pytest.approx(float(time_map.output_at(before.maxTimestamp)), abs=2e-6)
    assert before.tierNames == after.tierNames
    for name in before.tierNames:
        for old, new in zip(before.getTier(name).entries, after.getTier(name).entries, strict=True):
            assert old[-1] == new[-1]
            assert np.allclose(new[:-1], time_map.output_at(np.array(old[:-1], float)), atol=2e-6)


def test_the_columns_of_a_table_are_found_by_their_headings(tmp_path):
    out = move(tmp_path, ".csv", TABLE, at(2))[0].decode()
    assert out == 'start,end,duration,text\n0.750000,1.250000,0.500000,"a, 1.5"\n1.500000,"2.250000",0.750000,b\n'
    german = "Text;Start (ms);End (ms)\nLos;1500,0;2500\n"
    assert move(tmp_path, ".csv", german, at(2))[0].decode() == "Text;Start (ms);End (ms)\nLos;750,000000;1250.000000\n"
    clocks = "start_time\tvalue\n00:01:00,500\t12.5\n"
    assert move(tmp_path, ".tsv", clocks, at(2))[0].decode() == "start_time\tvalue\n00:00:30,250\t12.5\n"


def test_a_table_without_headings_says_what_was_taken_for_times(tmp_path):
    out, notes = move(tmp_path, ".csv", "1.0,2.0,x\n2.0,3.0,y\n", at(2), seconds=10)
    assert out == b"0.500000,1.000000,x\n1.000000,1.500000,y\n"
    assert notes == ("talk.csv has no heading: its first and second columns were taken for times.",)
    pitch, notes = move(tmp_path, ".csv", "1.0,220.0\n2.0,230.0\n", at(2), seconds=10)
    assert pitch == b"0.500000,220.0\n1.000000,230.0\n" and "first column was" in notes[0]


def test_a_cue_sheet_names_the_output_and_its_indices_move(tmp_path):
    out = move(tmp_path, ".cue", CUE, at(2))[0].decode()
    assert out == CUE.replace("talk.wav", "fast.wav").replace("00:08:00", "00:04:00").replace("01 00:10:37", "01 00:05:19")


def test_a_cue_sheet_of_several_recordings_moves_only_this_one(tmp_path):
    other = CUE.replace("talk.wav", "other.mp3").replace("WAVE", "MP3").replace("REM GENRE Talk\n", "")
    out = move(tmp_path, ".cue", CUE + other, at(2))[0].decode()
    assert out.endswith(other) and 'FILE "fast.wav" WAVE' in out


def test_a_section_keeps_what_lies_in_it_and_cuts_what_reaches_out(tmp_path):
    out, notes = move(tmp_path, ".srt", SUBRIP, at(1), start=2.0, seconds=1.0, end=3.0)
    assert out.decode() == (
        "1\n00:00:00,000 --> 00:00:00,500 X1:10 X2:20\n<i>Hello</i> --> there\n\n"
        "2\n00:00:00,500 --> 00:00:01,000\n{\\an8}Second line\nof two\n\n"
    )
    assert notes == ("1 entry of talk.srt was left out, because it lies outside --start and --end.",)


def test_a_section_of_a_textgrid_is_a_textgrid(tmp_path):
    out, _ = move(tmp_path, ".TextGrid", TEXTGRID, at(1), start=2.0, seconds=2.01, end=4.01)
    (tmp_path / "after.TextGrid").write_bytes(out)
    after = textgrid.openTextgrid(str(tmp_path / "after.TextGrid"), False)
    words = [tuple(entry) for entry in after.getTier(after.tierNames[0]).entries]
    assert [word[2] for word in words] == ['hello 3.5 "x" ! no comment', "bye"]
    assert [time for word in words for time in word[:2]] == pytest.approx([0.0, 0.5, 0.5, 2.01], abs=1e-6)
    assert b"intervals [1]:" in out and b"intervals [3]:" not in out and b"intervals: size = 2" in out


def test_what_begins_after_the_recording_moves_on_and_is_told(tmp_path):
    out, notes = move(tmp_path, ".srt", SUBRIP, at(2), seconds=10.0)
    assert b"00:30:00,000" in out
    assert notes == ("1 entry of talk.srt begins when the recording is over.",)


@st.composite
def cues(draw):
    """Begins, ends and texts of cues that may overlap and go back."""
    count = draw(st.integers(1, 8))
    times = draw(st.lists(st.tuples(st.integers(0, 5 * 3600_000), st.integers(0, 20_000)), min_size=count, max_size=count))
    text = st.text(
        st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp"), blacklist_characters="{}<>\\\x85\ufeff"), min_size=1, max_size=20
    )
    return [
        (begin, begin + length, draw(text.filter(lambda t: t.strip() and not re.search(r"^\s*\d+\s*$|\d:\d", t))))
        for begin, length in times
    ]


@settings(max_examples=60, deadline=None)
@given(cues(), st.floats(0.25, 4), st.sampled_from([".srt", ".vtt", ".ass"]), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_pysubs2_reads_every_cue_at_its_new_time_with_its_old_words(tmp_path_factory, cues, rate, ending, encoding):
    folder = tmp_path_factory.mktemp("cues")
    file = pysubs2.SSAFile()
    file.events = [pysubs2.SSAEvent(start=begin, end=end, text=text) for begin, end, text in cues]
    content = file.to_string(ending[1:]).encode(encoding)
    before = pysubs2.SSAFile.from_string(content.decode(encoding), format_=ending[1:])
    out, _ = move(folder, ending, content, at(rate))
    after = pysubs2.SSAFile.from_string(out.decode(encoding), format_=ending[1:])
    unit = 10 if ending == ".ass" else 1
    assert [event.text for event in after] == [event.text for event in before]
    for old, new in zip(before, after):
        assert abs(new.start - old.start / rate) <= unit / 2 + 0.5 and abs(new.end - old.end / rate) <= unit / 2 + 0.5
    assert move(folder, ending, content, at(1))[0] == content


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 5000), min_size=2, max_size=12), st.floats(0.1, 10))
def test_cues_that_do_not_overlap_do_not_overlap_afterwards(tmp_path_factory, steps, rate):
    instants = np.cumsum(steps)
    file = pysubs2.SSAFile()
    file.events = [pysubs2.SSAEvent(start=int(a), end=int(b), text="x") for a, b in pairwise(instants)]
    after = pysubs2.SSAFile.from_string(move(tmp_path_factory.mktemp("cues"), ".srt", file.to_string("srt"), at(rate))[0].decode())
    assert all(a.end <= b.start for a, b in zip(after, after.events[1:]))


DIALOGUE = "[Events]\nFormat: Layer, Start, End, Text\nDialogue: 0,0:00:00.00,0:00:01.00,"


@pytest.mark.parametrize(
    "ending, content, reason",
    [
        (".srt", "nothing\n", "nothing of SubRip subtitles is in it"),
        (".srt", "1\n00:00:0a,000 --> 0:1\nx\n", "line 2 holds times that cannot be read"),
        (".ass", "[Events]\nFormat: Layer, Start, End, Text\nDialogue: 0,soon,0:00:01.00,x\n", "line 3 holds no start"),
        (".lrc", "[offset:1.2.3]\n[00:01.00]x\n", "is no number of milliseconds"),
        (".txt", "Just a letter.\n", "line 1 is no label of Audacity"),
        (".TextGrid", TEXTGRID[:400], "ends before all"),
        (".TextGrid", TEXTGRID.replace('"TextGrid"', '"Sound 2"'), "no TextGrid"),
        (".TextGrid", "ooBinaryFile\x08TextGrid", "binary TextGrid"),
        (".csv", "name,age\nx,3\n", "no heading of it says"),
        (".csv", "start_sample,text\n100,x\n", "counts samples"),
        (".cue", CUE.replace("00:08:00", "eight"), "minutes:seconds:frames"),
        (".cue", CUE.replace("talk", "a") + CUE.replace("talk", "b"), "several recordings"),
        (".srt", b"\x00\x01\x02\x03\x00\x00\x00", "is no text file"),
        (".doc", "x", "is of no kind whose times can be moved"),
        (".srt", f"1\n{'9' * 400}:00:00,000 --> 00:00:01,000\nx\n", "line 2 holds times that cannot be read"),
        (".srt", f"1\n00:00:00,{'9' * 5000} --> 00:00:01,000\nx\n", "line 2 holds times that cannot be read"),
        (".vtt", f"WEBVTT\n\n{'9' * 5000}:00:00.000 --> 00:00:01.000\nx\n", "line 3 holds times that cannot be read"),
        (".ass", f"[Events]\nFormat: Layer, Start, End, Text\nDialogue: 0,{'9' * 400}:00:00.00,0:00:01.00,x\n", "line 3 holds no start"),
        (".lrc", f"[{'9' * 400}:00.00]x\n", "line 1 holds a time that cannot be read"),
        (".lrc", f"[00:01.00]x\n[{'1' * 20}:00.00]y\n", "line 2 holds a time that cannot be read"),
        (".lrc", "[00:01.00][00:02,5]x\n", "line 1 holds a time that cannot be read: '[00:02,5]'"),
        (".lrc", "[00:01.00]x <00:01.123456> y\n", "line 1 holds a time that cannot be read"),
        (".lrc", "[01:00:01.00]x\n", "line 1 holds a time that cannot be read"),
        (".lrc", f"[length: {'1' * 20}:00]\n[00:01.00]x\n", "line 1 holds a time that cannot be read"),
        (".vtt", f"WEBVTT\n\n00:01.000 --> 00:02.000\na <{'1' * 20}:01.500> b\n", "line 4 holds a time that cannot be read"),
        (".ass", DIALOGUE + f"{{\\k{'1' * 20}}}x\n", "line 3 holds a time that cannot be read"),
        (".ass", DIALOGUE + f"{{\\fad(100,{'1' * 20})}}x\n", "line 3 holds a time that cannot be read"),
        (".ass", DIALOGUE + f"{{\\move(1,2.{'1' * 20},3,4,0,{'1' * 20})}}x\n", "line 3 holds a time that cannot be read"),
        (".csv", "start,text\n1.5,x\n01:00:00:12,y\n", "holds a time that cannot be read: '01:00:00:12'"),
        (".csv", f"start,end,text\n1.5,2,x\n3,{'1' * 20}:00:00,y\n", "holds a time that cannot be read"),
        (".cue", CUE.replace("00:08:00", f"{'9' * 400}:08:00"), "minutes:seconds:frames"),
        (".txt", f"{'9' * 400}\t1\tx\n", "a number that no time is"),
        (".csv", "start,text\n1e999,x\n", "a number that no time is"),
        (".TextGrid", TEXTGRID.replace("xmax = 4.01", f"xmax = {'9' * 400}"), "a number that no time is"),
    ],
)
def test_a_text_that_cannot_be_moved_is_refused_in_a_sentence(tmp_path, ending, content, reason):
    with pytest.raises(UsageError, match=re.escape(reason)):
        move(tmp_path, ending, content, at(2))


@pytest.mark.parametrize(
    "ending, content",
    [
        (".lrc", "[00:01.00]verse [119:105] and <b>\n[ar:1:2]\n"),
        (".ass", DIALOGUE + "{\\pos(1.12345678901,2)\\move(1.12345678901,2,3,4)}x\n"),
        (".csv", "start,text\n,x\nN/A,y\n1.5,z\n"),
        (".vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n3 < 4: 5 <b> <c.x>\n"),
    ],
)
def test_what_is_no_time_is_left_alone(tmp_path, ending, content):
    assert move(tmp_path, ending, content, at(1))[0].decode() == content


@pytest.fixture
def talk(folder):
    """Half a second of noise with subtitles in two languages beside it."""
    soundfile.write("talk.wav", np.random.default_rng(0).uniform(-0.1, 0.1, 8000), 16000)
    Path("talk.srt").write_text("1\n00:00:00,100 --> 00:00:00,400\nhello\n")
    Path("talk.de.vtt").write_text("WEBVTT\n\n00:00.100 --> 00:00.400\nhallo\n")
    return folder


def test_subtitles_are_written_beside_the_output(talk):
    done = tsmgan.stretch_file("talk.wav", "fast.wav", rate=2.0, subtitles=["talk.srt", "talk.de.vtt"])
    assert Path("fast.srt").read_text() == "1\n00:00:00,050 --> 00:00:00,200\nhello\n"
    assert Path("fast.de.vtt").read_text() == "WEBVTT\n\n00:00.050 --> 00:00.200\nhallo\n"
    assert done.notes == ()


def test_two_files_of_one_ending_keep_their_names_apart(talk):
    shutil.copy("talk.srt", "other.srt")
    tsmgan.stretch_file("talk.wav", "fast.wav", rate=2.0, subtitles=["talk.srt", "other.srt"])
    assert Path("fast.srt").exists() and Path("fast.other.srt").exists()


def test_files_beside_a_recording_follow_by_themselves(talk):
    Path("talk.txt").write_text("What was said.\n")  # a transcript holds no times
    Path("talk.lrc").write_text("no lyrics\n")
    done = tsmgan.stretch_file("talk.wav", "fast.wav", rate=2.0, with_subtitles=True)
    assert {path.name for path in talk.glob("fast*")} == {"fast.wav", "fast.srt", "fast.de.vtt"}
    assert len(done.notes) == 1 and "talk.lrc cannot be moved" in done.notes[0]
    assert companions("talk.wav") == ["talk.de.vtt", "talk.lrc", "talk.srt", "talk.txt"]


def test_nothing_is_written_when_a_name_is_taken_and_force_replaces_all(talk):
    Path("fast.srt").write_text("mine")
    with pytest.raises(AudioError, match=r"fast\.srt exists already"):
        tsmgan.stretch_file("talk.wav", "fast.wav", rate=2.0, subtitles=["talk.srt"])
    assert Path("fast.srt").read_text() == "mine" and not Path("fast.wav").exists()
    tsmgan.stretch_file("talk.wav", "fast.wav", rate=2.0, subtitles=["talk.srt"], force=True)
    assert Path("fast.srt").read_text().startswith("1\n00:00:00,050")


def test_subtitles_are_never_written_over_themselves(talk):
    with pytest.raises(UsageError, match="written over itself"):
        tsmgan.stretch_file("talk.wav", "talk.flac", rate=2.0, subtitles=["talk.srt"], force=True)
    assert "00:00:00,100" in Path("talk.srt").read_text()


def test_a_pipe_has_no_place_for_subtitles(talk):
    with pytest.raises(UsageError, match="standard output has no place"):
        tsmgan.stretch_file("talk.wav", "-", rate=2.0, subtitles=["talk.srt"])


def test_a_missing_file_is_named_before_the_stretch(talk):
    with pytest.raises(AudioError, match=r"none\.srt cannot be read"):
        tsmgan.stretch_file("talk.wav", "fast.wav", rate=2.0, subtitles=["none.srt"])
    with pytest.raises(UsageError, match="give a list"):
        tsmgan.stretch_file("talk.wav", "fast.wav", rate=2.0, subtitles="talk.srt")


def stretch_folder(*options: str) -> int:
    return run(["stretch", "talks", "-o", "quick", "-r", "2", "-j", "1", "-q", "--with-subtitles", *options])


def test_a_batch_takes_subtitles_along_and_makes_what_has_changed_again(talk):
    Path("talks").mkdir()
    for path in talk.glob("talk*.*"):
        path.rename(Path("talks") / path.name)
    assert stretch_folder() == 0
    moved, sound = Path("quick/talk@2.srt"), Path("quick/talk@2.wav")
    assert moved.read_text() == "1\n00:00:00,050 --> 00:00:00,200\nhello\n" and Path("quick/talk@2.de.vtt").exists()
    made = moved.stat().st_ino, sound.stat().st_ino
    assert stretch_folder() == 0 and (moved.stat().st_ino, sound.stat().st_ino) == made
    moved.unlink()
    assert stretch_folder() == 0 and moved.exists()
    Path("talks/talk.srt").write_text("1\n00:00:00,200 --> 00:00:00,400\nchanged\n")
    assert stretch_folder() == 0 and "00:00:00,100" in moved.read_text()


def test_a_batch_does_not_replace_subtitles_that_somebody_has_edited(talk):
    Path("talks").mkdir()
    for path in talk.glob("talk*.*"):
        path.rename(Path("talks") / path.name)
    assert stretch_folder() == 0
    moved = Path("quick/talk@2.srt")
    moved.write_text("edited")
    Path("talks/talk.srt").write_text("1\n00:00:00,200 --> 00:00:00,400\nchanged\n")
    assert stretch_folder() == 3 and moved.read_text() == "edited"
    assert stretch_folder("--force") == 0 and "changed" in moved.read_text()


def test_subtitles_of_a_batch_are_not_named_one_by_one(talk, capsys):
    shutil.copy("talk.wav", "other.wav")
    assert run(["stretch", "talk.wav", "other.wav", "-r", "2", "--subtitles", "talk.srt"]) == 2
    assert "--with-subtitles" in capsys.readouterr().err
