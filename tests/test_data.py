"""From a folder of anything to clips: what is used, what is skipped, and that it is the same every time."""

from __future__ import annotations

import errno
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf

pytest.importorskip("torch")

from training_helpers import make_tree, tiny_recipe, voice

from tsmgan.audio import open_reader
from tsmgan.audio.sections import read_section
from tsmgan.core.frames import GRAIN_BLOCK
from tsmgan.core.geometry import geometry
from tsmgan.core.timemap import TimeMap
from tsmgan.errors import AudioError, TsmganError
from tsmgan.training import augment, items, shards
from tsmgan.training.clips import Clips
from tsmgan.training.inverse import INVERSE_STRETCHERS
from tsmgan.training.items import make_item
from tsmgan.training.recordings import SAMPLERATE, bandwidth, folder_weights, hold_out, read_piece, scan
from tsmgan.training.shards import cache_key, make_shards

HOP = geometry(SAMPLERATE).hop
HALF = geometry(SAMPLERATE).window_length // 2


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="module")
def made(tree, tmp_path_factory):
    recipe = tiny_recipe("data.pairs=10")
    recordings, _ = scan(tree, 1.0)
    folder, *_ = make_shards(tmp_path_factory.mktemp("cache"), recordings, 10, recipe)
    return recipe, recordings, folder


# -- recordings ----------------------------------------------------------------------------------------------------------------------


def test_all_sample_rates_of_a_tree_are_found_and_come_out_at_24_khz(tree):
    recordings, skipped = scan(tree, 1.0)
    assert {r.samplerate for r in recordings} == {16000, 24000, 48000} and len(recordings) == 9 and not skipped
    for r in recordings[::3]:
        y, _ = read_piece(r, 1.0, 1.0, np.random.default_rng(0))
        assert abs(len(y) - SAMPLERATE) <= 2 and y.dtype == np.float32


def test_corrupt_short_and_other_files_are_skipped_and_listed_by_name(tree, tmp_path):
    make_tree(tmp_path / "t")
    (tmp_path / "t" / "broken.wav").write_bytes(b"RIFF0000WAVEnonsense")
    (tmp_path / "t" / "protected.m4a").write_bytes(bytes(2000))
    (tmp_path / "t" / "notes.txt").write_text("no audio")
    sf.write(tmp_path / "t" / "short.flac", voice(0.3, 24000), 24000)
    recordings, skipped = scan(tmp_path / "t", 1.0)
    assert len(recordings) == 9
    assert {s.path.rsplit("/", 1)[-1] for s in skipped} == {"broken.wav", "protected.m4a", "short.flac"}
    assert all(s.reason for s in skipped)


def test_an_m4a_in_a_folder_is_learned_from_like_any_other_recording(tmp_path):
    encoder = shutil.which("ffmpeg")
    pytest.importorskip("av")
    if encoder is None:
        pytest.skip("ffmpeg is not installed")
    sf.write(tmp_path / "talk.wav", voice(3.0, 44100), 44100)
    subprocess.run([encoder, "-loglevel", "error", "-i", tmp_path / "talk.wav", tmp_path / "talk.m4a"], check=True)
    (tmp_path / "talk.wav").unlink()
    (recording,), skipped = scan(tmp_path, 1.0)
    assert recording.seconds == pytest.approx(3.0, abs=0.1) and not skipped
    y, _ = read_piece(recording, 1.0, 1.0, np.random.default_rng(0))
    assert abs(len(y) - SAMPLERATE) <= 2 and np.abs(y).max() > 0.1


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_section_is_what_reading_the_whole_recording_gives_there(tmp_path, suffix):
    file = tmp_path / f"talk.{suffix}"
    sf.write(file, np.stack([voice(2.0, 44100), voice(2.0, 44100, 1)], 1), 44100)
    with open_reader(file) as reader:
        whole = np.concatenate(list(reader.blocks()), axis=1)
    for start, frames in ((0, 1000), (40000, 30000), (80000, 9000)):
        assert np.array_equal(read_section(file, start, frames), whole[:, start : start + frames])


def test_a_folder_without_audio_or_with_nothing_usable_or_that_is_missing_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(AudioError, match="is not a folder"):
        scan(tmp_path / "missing", 1.0)
    with pytest.raises(AudioError, match="holds no audio files"):
        scan(tmp_path, 1.0)
    (tmp_path / "broken.wav").write_bytes(b"nothing")
    with pytest.raises(AudioError, match=r"None of the 1 audio files .* broken.wav"):
        scan(tmp_path, 1.0)


def test_silent_and_truncated_recordings_are_skipped_when_they_are_drawn(tmp_path):
    make_tree(tmp_path)
    for k in range(3):
        sf.write(tmp_path / "music" / f"silence{k}.wav", np.zeros(48000), 24000)
    recordings, _ = scan(tmp_path, 1.0)
    skipped = []
    for number in range(12):
        assert np.abs(make_item(recordings, number, tiny_recipe(), skipped).signal).max() > 0
    assert skipped and {s.reason for s in skipped} == {"is silent"}


def test_a_folder_of_silence_only_is_given_up_on_with_a_message(tmp_path):
    sf.write(tmp_path / "a.wav", np.zeros(48000), 24000)
    recordings, _ = scan(tmp_path, 1.0)
    with pytest.raises(AudioError, match="is silent"):
        make_item(recordings, 0, tiny_recipe(), [])


def test_a_16_khz_recording_is_known_to_end_at_8_khz(tree):
    recordings, _ = scan(tree, 1.0)
    ends = {}
    for r in recordings:
        ends.setdefault(r.folder, []).append(read_piece(r, 1.5, 1.0, np.random.default_rng(0))[1])
    assert max(ends["speech/two"]) < 8300
    assert min(ends["speech/one"]) == 12000


def test_bandwidth_follows_a_low_pass():
    noise = np.random.default_rng(0).standard_normal(48000).astype(np.float32)
    limited, said = augment.band_limit(noise, 12000.0, np.random.default_rng(3))
    assert said - 200 <= bandwidth(limited) < 1.5 * said


def test_held_out_recordings_are_disjoint_from_training_and_taken_from_every_folder(tree):
    recordings, _ = scan(tree, 1.0)
    train, held = hold_out(recordings, 0.3, 0)
    assert not set(train) & set(held) and set(train) | set(held) == set(recordings)
    assert {r.folder for r in held} == {r.folder for r in recordings}
    assert hold_out(recordings, 0.3, 0) == (train, held)


def test_folders_are_drawn_evenly_unless_weights_say_otherwise(tree):
    recordings, _ = scan(tree, 1.0)
    assert folder_weights(recordings[:7], {})[1] == pytest.approx([1 / 3] * 3)
    folders, weights = folder_weights(recordings, {"*music*": 2.0, "*/two/*": 0.0})
    assert dict(zip(folders, weights)) == pytest.approx({"music": 2 / 3, "speech/one": 1 / 3, "speech/two": 0})


# -- inverse stretchers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.45, 0.8, 2.2])
@pytest.mark.parametrize("name", INVERSE_STRETCHERS)
def test_an_inverse_stretcher_keeps_pitch_and_gives_the_maps_exact_length(name, rate):
    t = np.arange(30000) / SAMPLERATE
    y = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    time_map = TimeMap.from_rate(rate)
    x = INVERSE_STRETCHERS[name](y, SAMPLERATE, time_map)
    assert len(x) == time_map.output_length(len(y)) and x.dtype == np.float32
    middle = x[len(x) // 4 : -len(x) // 4]
    peak = np.argmax(np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 1 << 18))) * SAMPLERATE / (1 << 18)
    assert peak == pytest.approx(440, abs=4)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.2)


@pytest.mark.parametrize("name", ["coherent", "incoherent", "wsola"])
def test_an_inverse_stretcher_follows_a_rate_that_changes(name):
    y = np.zeros(48000, np.float32)
    y[::4800] = 1.0
    y += 1e-4 * np.random.default_rng(0).standard_normal(48000).astype(np.float32)
    time_map = TimeMap.from_samples([0, 24000, 48000], [0, 48000, 64000])
    x = INVERSE_STRETCHERS[name](y, SAMPLERATE, time_map)
    for place in (9600, 19200, 28800, 38400):
        expected = np.interp(place, [0, 24000, 48000], [0, 48000, 64000])
        around = np.abs(x[int(expected) - 1500 : int(expected) + 1500])
        assert abs(np.argmax(around) - 1500) < 600  # a coherent stretch may shift by up to 10 ms, and slow pulses repeat


# -- items ---------------------------------------------------------------------------------------------------------------------------


def test_an_item_is_a_function_of_the_seed_and_its_number(made):
    recipe, recordings, _ = made
    a, b, c = (make_item(recordings, n, r, []) for n, r in ((3, recipe), (3, recipe), (3, replace(recipe, seed=1))))
    assert all(np.array_equal(x, y) for x, y in zip(a[:-1], b[:-1])) and a.notes == b.notes
    assert a.signal.shape != c.signal.shape or not np.array_equal(a.signal, c.signal)


def test_the_answer_of_a_pair_stands_where_the_frames_say(made):
    """Log spectra of the input's frames resemble the answer's at the same instants, and less so 100 ms away."""
    _, recordings, _ = made
    drawn = [make_item(recordings, n, tiny_recipe("data.unpaired=0.0", "augment.noise=0.0"), []) for n in range(6)]
    window = geometry(SAMPLERATE).window()

    def distance(item, shift):
        frames = range(20, min(len(item.log_rate), len(item.signal) // HOP) - 26)
        answer = np.stack([item.signal[(m + shift) * HOP - HALF : (m + shift) * HOP + HALF] for m in frames]) * window
        a, b = (np.log(np.abs(v) + 1e-2)[:, :200] for v in (np.fft.rfft(answer), item.spectra[list(frames)]))
        return np.abs(a - b).mean()

    assert np.mean([distance(i, 0) for i in drawn]) < 0.8 * np.mean([min(distance(i, -15), distance(i, 15)) for i in drawn])


def test_an_unpaired_items_answer_is_the_recording_at_its_own_speed_around_the_same_instant(made):
    _, recordings, _ = made
    item = make_item(recordings, 0, tiny_recipe("data.unpaired=1.0", "data.varying=0.0"), [])
    assert not item.notes["paired"]
    rate = np.exp(item.log_rate[0])
    assert np.abs(np.diff(item.start) - rate * HOP).max() <= 1


def test_rates_stay_within_the_recipes_range_and_some_change_as_they_go(made):
    recipe, recordings, _ = made
    drawn = [make_item(recordings, n, recipe, []) for n in range(24)]
    rates = np.exp(np.concatenate([i.log_rate for i in drawn]))
    assert 0.33 * 0.999 <= rates.min() < 0.7 and 1.4 < rates.max() <= 2.5 * 1.001
    changing = [np.ptp(i.log_rate) > 1e-6 for i in drawn]
    assert any(changing) and not all(changing)


def test_a_world_pair_is_exact_and_without_pyworld_or_a_voice_another_stretcher_takes_its_place(made, monkeypatch):
    _, recordings, _ = made
    voices = [r for r in recordings if "speech" in r.folder]
    recipe = tiny_recipe('data.stretchers={"*"={world=1}}', "data.unpaired=0.0", "data.varying=0.0", "augment.mix=0.0", "augment.noise=0.0")

    def no_voice(*arguments):
        raise AudioError("no voice was found")

    def rendered(y, samplerate, rate):
        return y, INVERSE_STRETCHERS["wsola"](y, samplerate, TimeMap.from_rate(rate))

    for present, function, expected in ((True, rendered, "world"), (True, no_voice, "coherent"), (False, no_voice, None)):
        with monkeypatch.context() as patch:
            patch.setattr(items, "world_is_there", lambda present=present: present)
            patch.setattr(items, "world_pair", function)
            item = make_item(voices, 0, recipe, [])
        assert item.notes["stretcher"] == expected or (expected is None and item.notes["stretcher"] in ("coherent", "incoherent"))
        assert item.notes["exact"] == (expected == "world")


def test_world_gives_input_and_answer_of_one_voice_at_two_speeds():
    pytest.importorskip("pyworld")
    from tsmgan.training.inverse import world_pair

    y = voice(1.5, SAMPLERATE)
    x, answer = world_pair(y, SAMPLERATE, 1.5)
    assert len(x) == len(y) and len(answer) == round(len(y) / 1.5)
    level = [np.sqrt(np.mean(v[2000:-2000] ** 2)) for v in (x, answer)]
    assert level[0] == pytest.approx(level[1], rel=0.15)


# -- the cache -----------------------------------------------------------------------------------------------------------------------


def test_shards_that_are_there_are_not_made_again_and_half_made_ones_are(made, tmp_path):
    recipe, recordings, folder = made
    copy = shutil.copytree(folder, tmp_path / folder.name)
    before = {file.relative_to(copy): file.stat().st_mtime_ns for file in copy.rglob("*.npy")}
    assert make_shards(tmp_path, recordings, 10, recipe)[0] == copy
    assert {file.relative_to(copy): file.stat().st_mtime_ns for file in copy.rglob("*.npy")} == before
    half_made = copy / f".{next(copy.iterdir()).name}.1.tmp"
    next(copy.iterdir()).rename(half_made)
    make_shards(tmp_path, recordings, 10, recipe)
    for file in folder.rglob("*.npy"):
        assert (copy / file.relative_to(folder)).read_bytes() == file.read_bytes()


def test_another_recipe_seed_or_set_of_recordings_has_another_cache(made):
    recipe, recordings, _ = made
    keys = {
        cache_key(recordings, 10, recipe),
        cache_key(recordings[1:], 10, recipe),
        cache_key(recordings, 11, recipe),
        cache_key(recordings, 10, replace(recipe, seed=5)),
        cache_key(recordings, 10, tiny_recipe("augment.mix=0.9")),
    }
    assert len(keys) == 5
    assert cache_key(recordings, 10, replace(recipe, losses=replace(recipe.losses, mel=0.0))) in keys


def test_worker_processes_make_the_same_items_as_one(tree, tmp_path):
    recordings, _ = scan(tree, 1.0)
    one, two = (tiny_recipe(f"data.workers={n}") for n in (1, 2))
    count = shards.ITEMS_PER_SHARD + 2
    a, *_ = make_shards(tmp_path / "a", recordings, count, one)
    b, *_ = make_shards(tmp_path / "b", recordings, count, two)
    files = sorted(p.relative_to(a) for p in a.rglob("*") if p.is_file())
    assert len(files) == 2 * (len(shards.FRAME_COLUMNS) + 2)
    assert all((a / f).read_bytes() == (b / f).read_bytes() for f in files)


def test_a_full_disk_while_making_pairs_is_a_message_and_leaves_no_half_shard(made, tmp_path, monkeypatch):
    recipe, recordings, _ = made

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shards.np, "save", full)
    with pytest.raises(TsmganError, match="No space left on device"):
        make_shards(tmp_path, recordings, 2, recipe)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_rows_depend_on_step_and_number_alone_so_processes_can_share_a_batch(made):
    _, _, folder = made
    p = Clips(folder, 3, 5)
    whole, first, second = p.rows(0, 7, range(4), 20), p.rows(0, 7, range(2), 20), p.rows(0, 7, range(2, 4), 20)
    for a, b, c in zip(whole, first, second):
        assert np.array_equal(a, np.concatenate([b, c]))
    assert not np.array_equal(whole.item, p.rows(0, 8, range(4), 20).item) or not np.array_equal(
        whole.noise, p.rows(0, 8, range(4), 20).noise
    )


def test_a_clip_brings_the_context_around_it_and_silence_beyond_the_items_ends(made):
    _, _, folder = made
    p = Clips(folder, 3, 5)
    whole, part = p.clip(0, 0, p.items[0]["frames"]), p.clip(0, GRAIN_BLOCK + 3, 20)
    assert part.features.shape[1] == 30 and part.spectra.shape[1] == 20 and part.noise.shape == (1, 30, 3)
    assert np.array_equal(part.features[0], whole.features[0, GRAIN_BLOCK:][:30])  # from the grains' block on, and 5 frames before
    part = p.clip(0, 0, 20)
    assert np.array_equal(part.features[0, 5:], whole.features[0, 5:30])
    assert np.array_equal(part.features[0, 0], whole.features[0, 0])  # silence
    assert np.array_equal(part.log_rate_around[0, :2], [0, 0])
