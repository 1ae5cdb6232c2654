"""Compositions: what another tempo changes in a piece of music, and what it does not."""

import numpy as np
import pytest

from tsmgan import cli
from tsmgan.evaluation.compositions import HIT_SECONDS, Hit, Note, compose, composition_renderings, play
from tsmgan.evaluation.pair_files import write_pairs
from tsmgan.evaluation.pairs import read_pair, read_pairs

SAMPLERATE = 16000


def note(start: float = 0.5, attack: float = 0.02, decay: float = 0.3) -> Note:
    return Note(start, 1.5, 440.0, 0.5, attack, decay, 1.0, (0.0,))


def envelope(y: np.ndarray) -> np.ndarray:
    """Amplitude of a tone of 440 Hz, averaged over one period of its square."""
    return np.sqrt(2 * np.convolve(y**2, np.ones(36) / 36, mode="same"))


def start_of(y: np.ndarray) -> float:
    return np.flatnonzero(np.abs(y) > 1e-9)[0] / SAMPLERATE


@pytest.mark.parametrize("rate", [0.5, 0.7, 1.0, 1.6, 2.0])
class TestTempo:
    def test_a_rendering_has_exactly_round_n_over_rate_samples(self, rate):
        assert play([note()], rate, samplerate=SAMPLERATE, seconds=2.0).shape == (2, round(2 * SAMPLERATE / rate))

    def test_a_note_starts_at_its_time_over_the_rate(self, rate):
        assert start_of(play([note()], rate, samplerate=SAMPLERATE)[0]) == pytest.approx(0.5 / rate, abs=2 / SAMPLERATE)

    def test_a_note_keeps_its_pitch(self, rate):
        y = play([note(decay=5.0)], rate, samplerate=SAMPLERATE)[0]
        spectrum = np.abs(np.fft.rfft(y * np.hanning(len(y)), 8 * len(y)))
        assert np.argmax(spectrum) * SAMPLERATE / (8 * len(y)) == pytest.approx(440, abs=1)

    def test_a_note_keeps_its_attack(self, rate):
        y = play([note(attack=0.05, decay=20.0)], rate, samplerate=SAMPLERATE, channels=1)[0]
        level = envelope(y)[round(0.5 / rate * SAMPLERATE) :]
        half_way = np.flatnonzero(level > 0.5 * level.max())[0] / SAMPLERATE
        assert half_way == pytest.approx(0.025, abs=0.002)

    def test_the_decay_of_a_note_stretches(self, rate):
        level = envelope(play([note()], rate, samplerate=SAMPLERATE, channels=1)[0])
        early, late = (level[round(moment / rate * SAMPLERATE)] for moment in (0.7, 1.0))
        assert np.log(early / late) == pytest.approx(1.0, abs=0.03)

    @pytest.mark.parametrize("drum", HIT_SECONDS)
    def test_a_hit_is_the_same_sound_at_another_time(self, rate, drum):
        hit = Hit(0.5, drum, 0.7, seed=3)
        own, other = (play([hit], tempo, samplerate=SAMPLERATE)[0] for tempo in (1.0, rate))
        length, first, second = round(HIT_SECONDS[drum] * SAMPLERATE), round(0.5 * SAMPLERATE), round(0.5 / rate * SAMPLERATE)
        np.testing.assert_array_equal(other[second : second + length], own[first : first + length])
        assert np.count_nonzero(other) == np.count_nonzero(own) > 0.9 * length


class TestPieces:
    def test_one_seed_gives_one_piece_and_another_seed_another(self):
        assert compose(4) == compose(4) != compose(5)

    @pytest.mark.parametrize("seed", range(5))
    def test_a_piece_has_bass_chords_melody_and_all_drums_within_its_length(self, seed):
        composition = compose(seed, seconds=5.0)
        notes, hits = ([event for event in composition if isinstance(event, sort)] for sort in (Note, Hit))
        assert {hit.drum for hit in hits} == set(HIT_SECONDS)
        assert min(note.hz for note in notes) < 110 and max(note.hz for note in notes) > 400
        together = {note.start for note in notes if sum(abs(note.start - other.start) < 0.03 for other in notes) >= 3}
        assert together  # chords
        assert all(0 <= event.start < 5 for event in composition) and all(note.start + note.duration <= 5 + 1e-9 for note in notes)

    def test_stereo_has_an_image_and_mono_one_channel(self):
        (stereo,) = composition_renderings(0, [1.0], samplerate=SAMPLERATE)
        (mono,) = composition_renderings(0, [1.0], samplerate=SAMPLERATE, channels=1)
        assert stereo.shape == (2, 5 * SAMPLERATE) and mono.shape == (1, 5 * SAMPLERATE)
        assert 0.3 < np.corrcoef(stereo)[0, 1] < 0.99

    def test_all_renderings_share_one_gain_and_none_clips(self):
        renderings = composition_renderings(1, [1.0, 0.5, 2.0], samplerate=SAMPLERATE)
        assert max(np.abs(y).max() for y in renderings) == pytest.approx(0.9)
        plain = [play(compose(1), rate, samplerate=SAMPLERATE) for rate in (1.0, 0.5, 2.0)]
        gains = [np.abs(y).max() / np.abs(z).max() for y, z in zip(renderings, plain)]
        assert gains == pytest.approx([gains[0]] * 3)


class TestMaking:
    def test_scores_alone_need_no_recordings_and_make_a_list_that_can_be_read(self, tmp_path):
        assert cli.run(["evaluate", "--scores", "2", "-o", str(tmp_path / "out"), "--rates", "0.8,2"]) == 0
        pairs = read_pairs(tmp_path / "out" / "pairs.csv")
        assert [(pair.rate, pair.kind) for pair in pairs] == [(0.8, "music"), (2.0, "music")] * 2
        assert len({pair.item for pair in pairs}) == 2
        for pair in pairs:
            audio = read_pair(pair)
            assert audio.samplerate == 48000 and audio.input.shape[0] == 2
            assert audio.reference.shape[1] == round(audio.input.shape[1] / pair.rate)

    def test_a_seed_makes_the_same_files_again(self, tmp_path):
        for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
            arguments = ["--scores", "1", "--mono", "--seed", seed, "-o", str(tmp_path / name), "--rates", "2"]
            assert cli.run(["evaluate", *arguments]) == 0
        first, again, other = (read_pair(read_pairs(tmp_path / name / "pairs.csv")[0]).reference for name in "abc")
        assert first.shape[0] == 1
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_a_folder_of_voices_gets_four_scores_beside_them(self, tmp_path, monkeypatch):
        """Four is the command's default; without the voices' analysis, which is tested elsewhere."""
        import soundfile

        monkeypatch.setattr(
            "tsmgan.evaluation.pair_files.world_renderings", lambda y, samplerate, rates, *_: [y[: round(len(y) / r)] for r in rates]
        )
        monkeypatch.setattr(
            "tsmgan.evaluation.pair_files.composition_renderings",
            lambda seed, rates, pitches, channels: [0.1 * np.ones((channels, round(4800 / rate)), np.float32) for rate in rates],
        )
        (tmp_path / "voices").mkdir()
        soundfile.write(tmp_path / "voices" / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(8000), SAMPLERATE)
        for arguments, scores in (([], 4), (["--scores", "1"], 1), (["--scores", "0"], 0)):
            out = tmp_path / f"out{scores}"
            command = ["evaluate", "--make-pairs", str(tmp_path / "voices"), "-o", str(out), "--rates", "2", *arguments]
            assert cli.run(command) == 0
            assert [pair.kind for pair in read_pairs(out / "pairs.csv")] == ["speech"] + ["music"] * scores

    def test_existing_files_are_never_touched(self, tmp_path, capsys):
        (tmp_path / "mine.txt").write_text("mine")
        assert cli.run(["evaluate", "--scores", "1", "-o", str(tmp_path)]) == 2
        assert "is not empty" in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]

    def test_a_folder_that_cannot_be_made_is_told(self, tmp_path, capsys):
        (tmp_path / "file").write_text("")
        assert cli.run(["evaluate", "--scores", "1", "-o", str(tmp_path / "file" / "out")]) == 1
        assert "cannot be written" in capsys.readouterr().err

    def test_pairs_come_one_by_one_so_that_a_bar_can_tell(self, tmp_path):
        work = write_pairs(tmp_path / "out", compositions=2, rates=[2.0])
        assert next(work) is None
        assert not (tmp_path / "out" / "pairs.csv").exists()
        assert list(work) == [None]
        assert len(read_pairs(tmp_path / "out" / "pairs.csv")) == 2
