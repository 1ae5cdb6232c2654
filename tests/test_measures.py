"""Each measure on signals whose answer is known."""

import importlib
import pkgutil
import re

import numpy as np
import pytest
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter
from scipy.stats import kurtosis

from tsmgan.evaluation import measures
from tsmgan.evaluation.measures import MEASURES, PAIR_MEASURES, RUN_MEASURES, SHIFT_MEASURES, SYNTHETIC_MEASURES, Measure, bursts
from tsmgan.evaluation.measures import noise as noises
from tsmgan.evaluation.measures.convergence import CONVERGENCE, spectral_convergence
from tsmgan.evaluation.measures.estoi import estoi
from tsmgan.evaluation.measures.length import length_error
from tsmgan.evaluation.measures.level import level_difference
from tsmgan.evaluation.measures.log_mel import log_mel_distance
from tsmgan.evaluation.measures.measure import Run
from tsmgan.evaluation.measures.onset import onset_correlation
from tsmgan.evaluation.measures.peakiness import pulse_peakiness, residual_kurtosis
from tsmgan.evaluation.measures.pesq import pesq_wb
from tsmgan.evaluation.measures.pitch import F0_ERROR, pitch_error, voicing_error
from tsmgan.evaluation.measures.speed import SPEED
from tsmgan.evaluation.measures.stereo import channel_correlation_error, channel_level_error
from tsmgan.evaluation.signals import fit_length

SAMPLERATE = 16000


def noise(samples: int = 2 * SAMPLERATE, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def voice(hz: float = 120.0, seconds: float = 2.0, scattered: bool = False, breath: float = 0.1) -> np.ndarray:
    """Harmonics and breath through three formants, in syllables; with a common phase (pulses) or scattered phases."""
    t = np.arange(round(seconds * SAMPLERATE)) / SAMPLERATE
    harmonics = np.arange(1, int(7000 / hz))
    phases = np.random.default_rng(1).uniform(0, 2 * np.pi, len(harmonics)) if scattered else np.zeros(len(harmonics))
    y = sum(np.cos(2 * np.pi * hz * k * t + phase) for k, phase in zip(harmonics, phases))
    y = y + breath * np.std(y) * np.random.default_rng(2).standard_normal(len(y))
    for formant, width in ((500, 80), (1500, 120), (2500, 160)):
        radius = np.exp(-np.pi * width / SAMPLERATE)
        y = lfilter([1.0], [1, -2 * radius * np.cos(2 * np.pi * formant / SAMPLERATE), radius**2], y)
    y = y * np.clip(1.5 * np.sin(2 * np.pi * 2 * t) ** 2, 0.02, 1)
    return (0.3 * y / np.abs(y).max()).astype(np.float32)


def clicks(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y = 1e-3 * rng.standard_normal(4 * SAMPLERATE)
    for start in rng.integers(0, len(y) - 2000, 12):
        y[start : start + 2000] += rng.standard_normal(2000) * np.exp(-np.arange(2000) / 300)
    return (0.2 * y).astype(np.float32)


class TestPerceptual:
    def test_pesq_of_a_recording_against_itself_is_the_best_there_is(self):
        pytest.importorskip("pesq", reason="the package pesq is not installed")
        assert pesq_wb(voice(), voice(), SAMPLERATE) == pytest.approx(4.644, abs=0.001)

    def test_pesq_falls_with_every_rise_of_noise(self):
        pytest.importorskip("pesq", reason="the package pesq is not installed")
        y, n = voice(), noise()
        scores = [pesq_wb(y, y + gain * n, SAMPLERATE) for gain in (0.01, 0.1, 1.0)]
        assert scores == sorted(scores, reverse=True) and scores[0] > scores[-1] + 0.5

    def test_pesq_without_speech_says_so(self):
        pytest.importorskip("pesq", reason="the package pesq is not installed")
        with pytest.raises(ValueError, match="PESQ"):
            pesq_wb(np.zeros(SAMPLERATE, np.float32), voice()[:SAMPLERATE], SAMPLERATE)

    def test_estoi_is_one_for_itself_and_near_nothing_for_noise(self):
        pytest.importorskip("pystoi", reason="the package pystoi is not installed")
        assert estoi(voice(), voice(), SAMPLERATE) == pytest.approx(1, abs=1e-6)
        assert estoi(voice(), noise(), SAMPLERATE) < 0.2

    def test_estoi_of_too_little_speech_says_so(self):
        pytest.importorskip("pystoi", reason="the package pystoi is not installed")
        with pytest.raises(ValueError, match=r"0\.4 s"):
            estoi(voice(seconds=0.2), voice(seconds=0.2), SAMPLERATE)


class TestSpectral:
    def test_log_mel_distance_of_itself_is_zero_and_of_twice_the_level_log_four(self):
        assert log_mel_distance(noise(), noise(), SAMPLERATE) == 0
        assert log_mel_distance(noise(), 2 * noise(), SAMPLERATE) == pytest.approx(np.log(4), abs=1e-3)

    def test_log_mel_distance_does_not_see_what_is_under_its_floor(self):
        assert log_mel_distance(1e-6 * noise(), 1e-5 * noise(), SAMPLERATE) == 0

    def test_log_mel_distance_of_two_noises_comes_from_texture_alone(self):
        two_bands_of_one_bin = 2 * np.log(2)  # mean absolute difference of two log exponential variables; wider bands are nearer
        assert 0.4 < log_mel_distance(noise(), noise(seed=1), SAMPLERATE) < two_bands_of_one_bin

    def test_spectral_convergence_of_a_scaled_copy_is_the_share_that_is_missing(self):
        y = noise()
        assert spectral_convergence(y, y, SAMPLERATE) == 0
        assert spectral_convergence(y, 0.75 * y, SAMPLERATE) == pytest.approx(0.25, abs=1e-4)
        assert spectral_convergence(y, 0 * y, SAMPLERATE) == 1

    def test_spectral_convergence_to_silence_is_refused(self):
        with pytest.raises(ValueError, match="silent"):
            spectral_convergence(0 * noise(), noise(), SAMPLERATE)

    def test_onset_correlation_is_one_for_itself_and_falls_with_delay(self):
        y = clicks(0)
        late = [onset_correlation(y, np.roll(y, delay), SAMPLERATE) for delay in (0, 128, 2048)]
        assert late[0] == pytest.approx(1)
        assert late[0] > late[1] + 0.1 and abs(late[2]) < 0.2

    def test_onset_correlation_of_other_hits_is_near_zero(self):
        assert abs(onset_correlation(clicks(0), clicks(1), SAMPLERATE)) < 0.2

    def test_onset_correlation_with_silence_is_refused(self):
        with pytest.raises(ValueError, match="no onset"):
            onset_correlation(clicks(0), 0 * clicks(0), SAMPLERATE)


class TestVoice:
    def test_residual_of_gaussian_noise_has_kurtosis_three(self):
        assert residual_kurtosis(noise(), SAMPLERATE) == pytest.approx(3, abs=0.15)

    def test_peakiness_of_a_recording_against_itself_is_one_at_any_level(self):
        assert pulse_peakiness(voice(), 0.1 * voice(), SAMPLERATE) == pytest.approx(1, abs=0.02)

    def test_peakiness_of_scattered_phases_is_about_a_fifth(self):
        assert 0.1 < pulse_peakiness(voice(breath=0.8), voice(breath=0.8, scattered=True), SAMPLERATE) < 0.3

    def test_peakiness_ranks_pulses_above_scattered_phases_and_stably_so_over_ten_voices(self):
        voices = [90.0 + 15 * number for number in range(10)]
        figures = np.array([pulse_peakiness(voice(hz), voice(hz, scattered=True), SAMPLERATE) for hz in voices])
        assert figures.max() < 0.6
        assert figures.std(ddof=1) / np.sqrt(10) < 0.1 * (1 - figures.mean())

    def test_kurtosis_of_the_residual_is_what_scipy_finds_frame_by_frame(self):
        y = np.concatenate([voice(), noise(8000), 1e-3 * noise(8000)])
        frames = [y[start : start + 512].astype(np.float64) for start in range(0, len(y) - 511, 256)]
        loudest = max(np.sqrt(np.mean(frame**2)) for frame in frames)
        figures = []
        for frame in frames:
            if np.sqrt(np.mean(frame**2)) > 0.1 * loudest:
                correlation = np.correlate(frame * np.hanning(512), frame * np.hanning(512), "full")[511 : 511 + 17]
                correlation[0] = correlation[0] * (1 + 1e-6) + 1e-9
                predictor = solve_toeplitz(correlation[:-1], correlation[1:])
                figures.append(kurtosis(lfilter([1, *-predictor], 1, frame)[16:], fisher=False))
        assert len(figures) < len(frames)
        assert residual_kurtosis(y, SAMPLERATE) == pytest.approx(np.median(figures), rel=1e-8)

    def test_a_recording_of_many_parts_is_measured_as_one(self, monkeypatch):
        whole = residual_kurtosis(voice(), SAMPLERATE)
        monkeypatch.setattr("tsmgan.evaluation.measures.peakiness.FRAMES_AT_ONCE", 7)
        assert residual_kurtosis(voice(), SAMPLERATE) == pytest.approx(whole, rel=1e-12)

    def test_peakiness_needs_no_equal_lengths(self):
        assert pulse_peakiness(voice(seconds=2), voice(seconds=3), SAMPLERATE) == pytest.approx(1, abs=0.05)

    @pytest.mark.parametrize("bad", [np.zeros(SAMPLERATE, np.float32), np.ones(100, np.float32)])
    def test_peakiness_of_silence_or_too_little_is_refused(self, bad):
        with pytest.raises(ValueError, match="silent or shorter"):
            pulse_peakiness(voice(), bad, SAMPLERATE)

    def test_pitch_error_is_the_interval_in_cents(self):
        assert pitch_error(voice(120), voice(120), SAMPLERATE) == 0
        assert pitch_error(voice(120), voice(126), SAMPLERATE) == pytest.approx(1200 * np.log2(126 / 120), abs=6)

    def test_voicing_error_is_the_share_of_frames_whose_voicing_differs(self):
        half = voice()
        half[len(half) // 2 :] = noise(len(half) - len(half) // 2)
        assert voicing_error(voice(), voice(), SAMPLERATE) == 0
        assert voicing_error(voice(), half, SAMPLERATE) == pytest.approx(0.5, abs=0.15)

    def test_pitch_error_does_not_apply_without_a_voice(self):
        assert np.isnan(pitch_error(voice(), noise(), SAMPLERATE))
        both = np.stack([voice(), voice()])
        assert F0_ERROR.take(both, np.stack([voice(), noise()]), SAMPLERATE) == 0
        assert np.isnan(F0_ERROR.take(both, np.stack([noise(), noise()]), SAMPLERATE))


class TestStereo:
    @pytest.mark.parametrize(("image", "error"), [((1, 1), 0), ((1, 0.5), 0), ((1, -1), 2)])
    def test_channel_correlation_error_sees_polarity_and_not_level(self, image, error):
        y = noise()
        assert channel_correlation_error(np.stack([y, y]), np.stack([image[0] * y, image[1] * y]), SAMPLERATE) == pytest.approx(
            error, abs=1e-6
        )

    def test_channel_correlation_error_of_a_decorrelated_mono_source_is_one(self):
        mono = np.stack([noise(), noise()])
        assert channel_correlation_error(mono, np.stack([noise(), noise(seed=1)]), SAMPLERATE) == pytest.approx(1, abs=0.03)

    def test_channel_level_error_is_the_change_of_balance_in_decibels(self):
        y = np.stack([noise(), 0.5 * noise(seed=1)])
        assert channel_level_error(y, 0.3 * y, SAMPLERATE) == pytest.approx(0, abs=1e-4)
        assert channel_level_error(y, y * [[1], [2]], SAMPLERATE) == pytest.approx(6.02, abs=0.01)

    def test_every_pair_of_channels_counts(self):
        y = np.stack([noise(seed=seed) for seed in range(3)])
        assert channel_level_error(y, y * [[1], [1], [10]], SAMPLERATE) == pytest.approx(20 * 2 / 3, abs=0.01)


class TestLevelAndLength:
    def test_level_difference_is_in_decibels(self):
        assert level_difference(noise(), 0.1 * noise(), SAMPLERATE) == pytest.approx(-20, abs=1e-3)

    def test_level_of_silence_is_refused(self):
        with pytest.raises(ValueError, match="silent"):
            level_difference(noise(), 0 * noise(), SAMPLERATE)

    def test_length_error_is_zero_for_round_n_over_rate_and_in_milliseconds_otherwise(self):
        assert length_error(Run(48001, round(48001 / 1.3), 48000, 1.3, seconds=1.0)) == 0
        assert length_error(Run(48000, 24000 - 480, 48000, 2.0, seconds=1.0)) == -10

    @pytest.mark.parametrize("length", [3, 5, 8])
    def test_fitting_cuts_or_pads_at_the_end(self, length):
        y = np.arange(1, 11, dtype=np.float32).reshape(2, 5)
        out = fit_length(y, length)
        assert out.shape == (2, length)
        np.testing.assert_array_equal(out[:, : min(5, length)], y[:, : min(5, length)])
        assert not out[:, 5:].any()


def _over_seeds(name: str, spoil, rate: float = 1.0) -> np.ndarray:
    """A figure of the meter for ten seeds, the output being the source spoiled."""
    measure = next(measure for measure in SYNTHETIC_MEASURES if measure.name == name)
    sources = [measure.signal(24000, seed) for seed in range(10)]
    return np.array([measure.function(source, spoil(source), 24000, rate) for source in sources])


def _smear(y: np.ndarray) -> np.ndarray:
    """Each sample spread over 20 ms on either side."""
    window = np.hanning(960)
    return np.convolve(y, window / window.sum() * np.random.default_rng(0).choice([-1, 1], 960), mode="same").astype(np.float32)


def _tonal(y: np.ndarray) -> np.ndarray:
    """Noise that repeats itself every 30 ms."""
    return np.resize(y[:720], len(y))


def _sparse(y: np.ndarray) -> np.ndarray:
    """Noise in grains, silent three quarters of the time."""
    return np.where(np.arange(len(y)) // 1500 % 4 == 0, 2 * y, 0).astype(np.float32)


class TestArtefacts:
    @pytest.mark.parametrize("name", [measure.name for measure in SYNTHETIC_MEASURES])
    def test_an_untouched_signal_gets_the_ideal(self, name):
        figures = _over_seeds(name, lambda y: y)
        assert np.allclose(figures, MEASURES[name].ideal, atol=1e-6)

    @pytest.mark.parametrize(
        ("name", "spoil", "margin"),
        [
            ("attack", _smear, 0.4),
            ("pre_echo", _smear, 0.05),
            ("noise_correlation", _tonal, 0.3),
            ("noise_kurtosis", _sparse, 0.15),
            ("noise_level", lambda y: 0.5 * y, 6),
        ],
    )
    def test_a_spoiled_signal_is_far_from_the_ideal_and_stably_so_over_ten_seeds(self, name, spoil, margin):
        figures = _over_seeds(name, spoil)
        distance = np.abs(figures - MEASURES[name].ideal)
        assert distance.min() > margin
        assert figures.std(ddof=1) / np.sqrt(10) < 0.1 * distance.mean()

    @pytest.mark.parametrize("delay", [-240, 240])
    def test_moving_a_burst_as_a_whole_is_no_fault_of_its_attack(self, delay):
        assert np.allclose(_over_seeds("attack", lambda y: np.roll(y, delay)), 1, atol=1e-6)
        assert np.allclose(_over_seeds("pre_echo", lambda y: np.roll(y, delay)), 0, atol=1e-6)

    def test_a_copy_before_an_attack_is_a_pre_echo_of_its_share_of_the_energy(self):
        echo = _over_seeds("pre_echo", lambda y: y + 0.3 * np.roll(y, -720))
        assert np.allclose(echo, 0.09 / 1.09, atol=0.005)

    def test_a_copy_before_an_attack_is_where_the_burst_begins(self):
        """The first 5 ms are those of the copy, when it is loud enough to be the beginning, and not when it is below 3 % of the power."""
        assert (_over_seeds("attack", lambda y: y + 0.5 * np.roll(y, -240)) < 0.4).all()
        assert (_over_seeds("attack", lambda y: y + 0.05 * np.roll(y, -240)) > 0.95).all()

    @pytest.mark.parametrize(("rate", "figure"), [(0.5, 0.68), (2.0, 1.23)])
    def test_a_burst_whose_decay_is_stretched_as_well_gets_what_the_docstring_says(self, rate, figure):
        """The right attack, the decay of another length: the mean over bursts, since each is a noise of its own."""
        figures = []
        for seed in range(20):
            source = bursts.bursts(24000, seed)
            output = np.zeros(round(len(source) / rate))
            rng = np.random.default_rng(1000 + seed)
            for start in np.flatnonzero((source != 0) & (np.roll(source, 1) == 0)):
                t = np.arange(1, round(0.1 * 24000)) / 24000
                begin = round(start / rate)
                output[begin : begin + len(t)] = rng.standard_normal(len(t)) * np.minimum(1, t / 0.0005) * np.exp(-t * rate / 0.006)
            figures.append(bursts.attack(source, output, 24000, rate))
        assert np.mean(figures) == pytest.approx(figure, abs=0.03)

    def test_a_missing_burst_counts_as_nothing_and_an_output_of_silence_is_refused(self):
        source = bursts.bursts(24000, 0)
        half = source.copy()
        half[len(half) // 2 :] = 0
        assert bursts.attack(source, half, 24000, 1.0) == pytest.approx(0.5, abs=0.05)
        assert bursts.pre_echo(source, half, 24000, 1.0) == 0
        for measure in (bursts.attack, bursts.pre_echo):
            with pytest.raises(ValueError, match="silent"):
                measure(source, 0 * source, 24000, 1.0)

    @pytest.mark.parametrize("samplerate", [16000, 24000, 48000])
    def test_bursts_are_the_same_at_any_sample_rate_in_their_share_of_attack(self, samplerate):
        shares = []
        for seed in range(20):
            y = bursts.bursts(samplerate, seed)
            starts = np.flatnonzero((y != 0) & (np.roll(y, 1) == 0))
            assert len(starts) == bursts.BURSTS
            energies = [y[start : start + samplerate // 10] ** 2 for start in starts]
            shares += [energy[: round(0.005 * samplerate)].sum() / energy.sum() for energy in energies]
        assert np.mean(shares) == pytest.approx(1 - np.exp(-10 / 6), abs=0.03)

    def test_gaussian_noise_has_the_texture_of_a_rayleigh_distribution(self):
        y = noises.noise(24000, 0, seconds=8)
        assert noises.magnitude_kurtosis(y, 24000) == pytest.approx(3.245, abs=0.06)
        assert noises.time_correlation(y, 24000) == pytest.approx(0, abs=0.01)


class TestTake:
    def test_every_measure_gives_its_ideal_for_an_output_equal_to_the_reference(self):
        y = np.stack([voice(), 0.5 * voice()]) + 1e-3 * np.stack([noise(), noise(seed=1)])
        for measure in PAIR_MEASURES:
            if not measure.missing() and measure.ideal is not None:
                assert measure.take(y, y, SAMPLERATE) == pytest.approx(measure.ideal, abs=0.001), measure.name

    def test_a_channel_that_is_silent_in_the_reference_does_not_count(self):
        y = np.stack([noise(), 0 * noise()])
        assert CONVERGENCE.take(y, y * [[0.5], [1]], SAMPLERATE) == pytest.approx(0.5, abs=1e-4)
        with pytest.raises(ValueError, match="silent"):
            CONVERGENCE.take(0 * y, y, SAMPLERATE)


class TestRegistry:
    def test_every_measure_says_its_title_and_what_it_means_and_no_two_share_a_name(self):
        everywhere = (*PAIR_MEASURES, *RUN_MEASURES, *SYNTHETIC_MEASURES, *SHIFT_MEASURES)
        assert len(MEASURES) == len(everywhere) == len({measure.title for measure in everywhere})
        for name, measure in MEASURES.items():
            assert measure.name == name and re.fullmatch("[a-z0-9_]+", name)
            assert measure.explanation.endswith(".") and len(measure.explanation) > 40

    def test_every_measure_of_a_file_in_the_folder_is_listed(self):
        for module in pkgutil.iter_modules(measures.__path__):
            for value in vars(importlib.import_module(f"{measures.__name__}.{module.name}")).values():
                if isinstance(value, Measure):
                    assert MEASURES[value.name] is value

    def test_distance_is_smaller_for_better_figures_whichever_way_is_better(self):
        assert F0_ERROR.distance(3) < F0_ERROR.distance(-5)
        assert CONVERGENCE.distance(0.2) < CONVERGENCE.distance(0.4)
        assert SPEED.distance(20) < SPEED.distance(10)
