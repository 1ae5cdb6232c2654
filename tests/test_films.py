"""Promises about films: pictures, subtitles and all tracks of sound move along one map, and no packet of the pictures changes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av", reason="PyAV (extra media) is not installed")

from film_helpers import (  # noqa: E402
    RATE,
    WIDTH,
    flashes,
    heard_clicks,
    make_film,
    read_number,
    shown_pictures,
    video_packets,
    video_times,
)

from tsmgan import TimeMap, stretch_file  # noqa: E402
from tsmgan.errors import AudioError, UsageError  # noqa: E402

needs_ffprobe = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
QUICK = {"model": "handmade", "force": True}
MAP = TimeMap([0, 3, 7, 10], [0, 2, 7, 8.5])


def require_in_time(path: str, count: int, tolerance: float, tracks: int = 1) -> None:
    """Each flash has its click, in each track. `pytest -rP` shows how far apart they are."""
    seen = flashes(path)
    assert len(seen) == count
    for track in range(tracks):
        heard = heard_clicks(path, track)
        assert len(heard) == count
        apart = np.abs(np.array(seen) - heard)
        print(f"track {track}: flash and click at most {1000 * apart.max():.1f} ms apart, the last {1000 * apart[-1]:.1f} ms")
        assert apart.max() < tolerance


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """Ten seconds of film with two tracks of sound and pictures that refer to later ones."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    make_film(path, seconds=10, tracks=2)
    return path


@pytest.mark.parametrize(("name", "how"), [("out.mp4", {"time_map": MAP}), ("out.mkv", {"time_map": MAP}), ("out.mov", {"rate": 1.25})])
def test_flash_and_click_stay_within_a_frame_and_the_packets_of_the_pictures_are_the_same(folder, film, name, how):
    stretch_file(film, name, **how, **QUICK)
    require_in_time(name, 10, 0.01, tracks=2)
    assert video_packets(name) == video_packets(film)


def test_a_film_of_a_minute_stays_in_time_to_its_end_and_every_picture_is_shown_at_its_own_time(folder):
    make_film("film.mkv", seconds=60, fps=10, video="mpeg4")
    stretch_file("film.mkv", "out.mkv", rate=1.25, **QUICK)
    require_in_time("out.mkv", 60, 0.02)
    for second, shown in shown_pictures("out.mkv"):
        assert second == pytest.approx(read_number(shown) / 10 / 1.25, abs=0.002)


@pytest.fixture(scope="module")
def hour(tmp_path_factory) -> Path:
    """An hour of film, ten pictures a second, with sound that is quick to make."""
    path = tmp_path_factory.mktemp("hour") / "film.mkv"
    make_film(path, seconds=3600, fps=10, video="mpeg4", sound="pcm_f32le", samplerate=16000)
    return path


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("how", [{"rate": 1.25}, {"time_map": TimeMap([0, 600, 1800, 3600], [0, 900, 1800, 2800])}], ids=["rate", "map"])
def test_picture_and_sound_stay_within_twenty_milliseconds_over_an_hour(folder, hour, how):
    stretch_file(hour, "out.mkv", **how, **QUICK)
    require_in_time("out.mkv", 3600, 0.02)
    assert video_packets("out.mkv") == video_packets(hour)


def test_times_of_decoding_grow_and_never_follow_those_of_showing(folder):
    make_film("film.mp4", seconds=4)
    shown_before, _ = video_times("film.mp4")
    stretch_file("film.mp4", "out.mp4", time_map=TimeMap([0, 2, 2.04, 4], [0, 0.4, 0.8, 1.2]), **QUICK)
    shown, decoded = video_times("out.mp4")
    assert (np.diff(decoded) > 0).all() and (shown >= decoded - 1e-9).all()
    assert (np.argsort(shown) == np.argsort(shown_before)).all()


def test_a_variable_frame_rate_is_kept_along_the_map(folder):
    times = [float(second) for second in np.cumsum(np.random.default_rng(3).choice([0.04, 0.08, 0.2], 60))]
    make_film("film.mkv", seconds=times[-1] + 0.2, times=times, video="mpeg4")
    stretch_file("film.mkv", "out.mp4", rate=0.8, **QUICK)
    found = [(second, read_number(shown)) for second, shown in shown_pictures("out.mp4")]
    assert [number for _, number in found] == list(range(60))
    assert np.abs(np.array([second for second, _ in found]) - (np.array(times)) / 0.8).max() < 0.002


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
@pytest.mark.parametrize("delay", [0.5, -0.2])
def test_sound_that_begins_before_or_after_its_pictures_stays_with_them(folder, name, delay):
    make_film("film.mkv", seconds=8, sound="libopus" if delay < 0 else "aac", sound_delay=delay)
    before = np.array(heard_clicks("film.mkv"))[:6] - np.array(flashes("film.mkv"))[:6]
    stretch_file("film.mkv", name, rate=1.25, **QUICK)
    after = np.array(heard_clicks(name))[:6] - np.array(flashes(name))[:6]
    assert before == pytest.approx(delay, abs=0.01) and after == pytest.approx(delay / 1.25, abs=0.01)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_section_of_a_film_begins_with_a_key_picture_or_hides_what_lies_before(folder, name):
    make_film("film.mp4", seconds=12, key_every=60)
    done = stretch_file("film.mp4", name, rate=1.25, start=3.4, end=9.8, **QUICK)
    seen, heard = np.array(flashes(name)), np.array(heard_clicks(name))
    assert heard == pytest.approx((np.arange(4, 10) - 3.4) / 1.25, abs=0.01)
    if name == "out.mp4":
        shown = list(shown_pictures(name))
        assert shown[0][0] == pytest.approx(0, abs=0.05) and read_number(shown[0][1]) == pytest.approx(85, abs=1)
    else:
        assert any("begins 1.12 s after its sound" in note for note in done.notes)
    assert all(np.abs(heard - second).min() < 0.02 for second in seen) and len(seen) >= 4


def test_one_track_is_stretched_alone_when_it_is_asked_for(folder):
    make_film("film.mkv", seconds=4, tracks=3)
    stretch_file("film.mkv", "out.mkv", rate=1.25, track=2, **QUICK)
    stretch_file("film.mkv", "all.mkv", rate=1.25, **QUICK)
    with av.open("out.mkv") as one, av.open("all.mkv") as every:
        assert (len(one.streams.audio), len(every.streams.audio)) == (1, 3)
    with pytest.raises(UsageError, match="has 3 audio tracks; there is no --track 4"):
        stretch_file("film.mkv", "out.mkv", rate=1.25, track=4, **QUICK)


def test_what_a_container_cannot_hold_is_said_in_one_line(folder):
    make_film("film.mp4", seconds=2, tracks=2)
    assert _notes("film.mp4", "out.webm") == ["The pictures (h264) was not carried: .webm files cannot hold this kind; .mkv can."]
    assert _notes("film.mp4", "out.wav") == [
        "An output of this kind holds one track of sound. Not carried: picture track 1 (h264), audio track 2 (aac)."
    ]
    assert len(_notes("film.mp4", "out.m4a")) == 1


def _notes(source: str, target: str) -> list[str]:
    return list(stretch_file(source, target, rate=1.25, **QUICK).notes)


SUBTITLES = """1
00:00:01,000 --> 00:00:02,500
First

2
00:00:03,000 --> 00:00:03,500
Second é

"""


def cues(path: str) -> list[tuple[float, float, bytes]]:
    """Second after the first picture, length, and content of each subtitle."""
    with av.open(path) as film:
        first = film.streams.video[0]
        start = float(first.start_time * first.time_base)
        packets = [packet for packet in film.demux(subtitles=0) if packet.size > 2]
        return [(float(each.pts * each.time_base) - start, float(each.duration * each.time_base), bytes(each)) for each in packets]


@needs_ffprobe
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize(("name", "codec"), [("in.mkv", "subrip"), ("in.mp4", "mov_text")])
def test_subtitle_tracks_move_with_their_durations(folder, name, codec):
    make_film("film.mp4", seconds=5, video="mpeg4")
    Path("in.srt").write_text(SUBTITLES, encoding="utf-8")
    run = ["ffmpeg", "-v", "error", "-i", "film.mp4", "-i", "in.srt", "-c", "copy", "-c:s", codec, "-metadata:s:s:0", "language=deu", name]
    subprocess.run(run, check=True)
    out = f"out{Path(name).suffix}"
    stretch_file(name, out, rate=1.25, **QUICK)
    before, after = cues(name), cues(out)
    assert [text for _, _, text in after] == [text for _, _, text in before] and len(after) == 2
    for (start, length, _), (moved, shorter, _) in zip(before, after):
        assert (moved, shorter) == pytest.approx((start / 1.25, length / 1.25), abs=0.003)
    shown = subprocess.run(["ffprobe", "-v", "error", "-show_streams", "-of", "json", out], capture_output=True, check=True).stdout
    assert [s["tags"]["language"] for s in json.loads(shown)["streams"] if s["codec_type"] == "subtitle"] == ["deu"]


def test_a_gap_in_the_sound_is_filled_so_that_the_pictures_stay_with_it(folder):
    make_film("whole.mkv", seconds=8, video="mpeg4", sound="libopus")
    with av.open("whole.mkv") as source, av.open("film.mkv", "w") as film:
        made = {stream.index: film.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is None or (packet.stream.type == "audio" and 3.3 < packet.pts * packet.time_base < 4.7):
                continue
            packet.stream = made[packet.stream.index]
            film.mux(packet)
    done = stretch_file("film.mkv", "out.mkv", rate=1.25, **QUICK)
    assert any("filled with silence" in note for note in done.notes)
    seen, heard = np.array(flashes("out.mkv")), np.array(heard_clicks("out.mkv"))
    assert len(seen) == 8 and len(heard) == 7 and all(np.abs(seen - second).min() < 0.02 for second in heard)


def test_a_film_without_sound_is_refused_with_a_sentence(folder):
    with av.open("film.mkv", "w") as film:
        stream = film.add_stream("mpeg4", rate=10)
        stream.width, stream.height = WIDTH, WIDTH
        film.mux([*stream.encode(av.VideoFrame(WIDTH, WIDTH, "yuv420p")), *stream.encode(None)])
    with pytest.raises(AudioError, match=r"film\.mkv holds no sound"):
        stretch_file("film.mkv", "out.mkv", rate=1.25, **QUICK)
    assert not Path("out.mkv").exists()


def test_a_disk_that_fills_while_a_film_is_written_is_said_and_nothing_is_left(folder):
    resource = pytest.importorskip("resource", reason="limits on files are POSIX's")
    make_film("film.mkv", seconds=4, sound="pcm_s16le")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(AudioError, match=r"out\.mkv cannot be written: the file grew larger"):
            stretch_file("film.mkv", "out.mkv", rate=0.5, **QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(each.name for each in folder.iterdir()) == ["film.mkv"]


def test_the_gain_of_a_film_is_that_of_all_its_tracks(folder):
    make_film("film.mkv", seconds=3, tracks=2, sound="pcm_s16le")
    stretch_file("film.mkv", "out.mkv", rate=1.0, gain=-6.0, **QUICK)
    with av.open("film.mkv") as before, av.open("out.mkv") as after:
        for track in range(2):
            loud, soft = (max(float(np.abs(frame.to_ndarray()).max()) for frame in each.decode(audio=track)) for each in (before, after))
            assert soft / loud == pytest.approx(10**-0.3, rel=0.01)
            before.seek(0), after.seek(0)
    assert RATE == 48000


def test_a_broken_track_is_said_with_its_second_and_stays_out_of_the_way_of_the_others(folder):
    make_film("whole.mkv", seconds=4, video="mpeg4", tracks=2)
    chance = np.random.default_rng(0)
    with av.open("whole.mkv") as source, av.open("film.mkv", "w") as film:
        made = [film.add_stream_from_template(stream, opaque=True) for stream in source.streams]
        for packet in source.demux():
            if packet.dts is None:
                continue
            is_broken = packet.stream.index == 2 and packet.pts * packet.time_base >= 2
            kept = av.Packet(chance.integers(0, 256, packet.size, np.uint8).tobytes() if is_broken else bytes(packet))
            kept.pts, kept.dts, kept.duration, kept.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
            kept.is_keyframe, kept.stream = packet.is_keyframe, made[packet.stream.index]
            film.mux(kept)
    with pytest.raises(AudioError, match=r"Audio track 2 of film\.mkv is damaged or cut short at second 2\."):
        stretch_file("film.mkv", "out.mkv", rate=1.25, **QUICK)
    assert not Path("out.mkv").exists()
    stretch_file("film.mkv", "out.mkv", rate=1.25, track=1, **QUICK)
    require_in_time("out.mkv", 4, 0.02)
