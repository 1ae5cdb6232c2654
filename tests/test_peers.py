"""Other stretchers as installed programs, and the names of methods."""

import sys
from functools import partial

import numpy as np
import pytest

from tsmgan.benchmark.programs import peer_programs, write_source
from tsmgan.errors import ModelError, UsageError
from tsmgan.evaluation.methods import find_method
from tsmgan.evaluation.peers import PEERS, Atempo, Peer, PeerError

SAMPLERATE = 24000


def tone_then_silence(hz: float = 400.0) -> np.ndarray:
    """A second of a tone, half a second of silence, a second of the tone: (samples,)."""
    tone = 0.3 * np.sin(2 * np.pi * hz * np.arange(SAMPLERATE) / SAMPLERATE)
    return np.concatenate([tone, np.zeros(SAMPLERATE // 2), tone]).astype(np.float32)


def level(y: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(y, dtype=np.float64))))


PROGRAMS = [name for name, peer in PEERS.items() if peer.program]


@pytest.mark.parametrize(("name", "rate"), [*((name, 0.6) for name in PEERS), *((name, 1.7) for name in PROGRAMS)])
def test_a_peer_changes_the_speed_and_not_the_pitch_and_keeps_channels_and_timing(name, rate):
    peer = PEERS[name]
    if reason := peer.missing():
        pytest.skip(reason)
    y = tone_then_silence()
    out = peer.stretch(np.stack([y, 0.25 * y]), SAMPLERATE, rate)
    assert out.dtype == np.float32 and out.shape[0] == 2
    assert abs(out.shape[1] - len(y) / rate) < 0.1 * SAMPLERATE
    tone = out[0, : round(0.8 * SAMPLERATE / rate)]
    spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone))))
    assert abs(np.argmax(spectrum) * SAMPLERATE / len(tone) - 400) < 8
    gap = slice(round(1.15 * SAMPLERATE / rate), round(1.35 * SAMPLERATE / rate))
    assert level(out[0, gap]) < 0.1 * level(tone)
    assert level(out[1]) == pytest.approx(0.25 * level(out[0]), rel=0.05)


class Script(Peer):
    """A peer that runs a line of Python."""

    name = "script"

    def __init__(self, script: str) -> None:
        self.script = script

    def command(self, source, target, rate):
        return [sys.executable, "-c", self.script, str(source), str(target)]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import sys; print('no memory', file=sys.stderr); sys.exit(3)", "ended with code 3: no memory"),
        ("import os; os.abort()", "ended with code -6"),
        ("pass", "left no readable output"),
        ("import sys; open(sys.argv[2], 'w').write('text')", "left no readable output"),
        ("import sys, soundfile as s, numpy as n; s.write(sys.argv[2], n.zeros((9, 2)), 8000)", "changed the format"),
    ],
)
def test_a_peer_that_fails_is_told_by_name_and_reason(script, message):
    with pytest.raises(PeerError, match=f"script.*{message}"):
        Script(script).stretch(np.zeros((1, 100), np.float32), SAMPLERATE, 1.5)


def test_a_peer_that_hangs_is_stopped_at_its_time_limit():
    with pytest.raises(PeerError, match=r"longer than 0\.5 s"):
        Script("import time; time.sleep(600)").stretch(np.zeros((1, 100), np.float32), SAMPLERATE, 1.5, time_limit=0.5)


def test_a_missing_program_or_package_is_named():
    class Nowhere(Script):
        program = "no-such-stretcher"

    class NoPackage(Script):
        package = "no_such_stretcher"

    assert "no-such-stretcher" in Nowhere("").missing()
    assert "no_such_stretcher" in NoPackage("").missing()
    with pytest.raises(PeerError, match="not on the PATH"):
        Nowhere("").stretch(np.zeros((1, 100), np.float32), SAMPLERATE, 1.5)


@pytest.mark.parametrize("rate", [0.1, 0.5, 1.3, 2.0, 7.0, 20.0])
def test_atempo_is_chained_so_that_no_part_is_beyond_half_or_twice(rate, tmp_path):
    filters = next(word for word in Atempo().command(tmp_path, tmp_path, rate) if word.startswith("atempo="))
    factors = [float(part.removeprefix("atempo=")) for part in filters.split(",")]
    assert all(0.5 <= factor <= 2 for factor in factors)
    assert np.prod(factors) == pytest.approx(rate)


def test_every_peer_is_found_by_its_name():
    for name in PEERS:
        method = find_method(name)
        assert method.name == name and isinstance(method.stretch, partial)


def test_a_peer_in_the_list_is_a_method_of_evaluate_and_compare_and_a_program_of_benchmark(tmp_path, monkeypatch):
    monkeypatch.setitem(PEERS, "script", Script("import sys, shutil; shutil.copy(sys.argv[1], sys.argv[2])"))
    y = np.zeros((2, 100), np.float32)
    np.testing.assert_array_equal(find_method("script").stretch(y, SAMPLERATE, 1.0), y)
    (program,) = peer_programs(["script"], write_source(y, SAMPLERATE, tmp_path), tmp_path, 1.0)
    assert program.run().wall > 0 and program.outputs[0].is_file()


def test_options_of_tsmgan_change_what_it_does():
    y = np.random.default_rng(0).standard_normal((1, 8000)).astype(np.float32)
    vocoder, waveform = (find_method(f"tsmgan:coherence={value}").stretch(y, 8000, 1.5) for value in (0, 1))
    assert vocoder.shape == waveform.shape == (1, 5333)
    assert not np.allclose(vocoder, waveform, atol=1e-3)
    again = find_method("tsmgan:coherence=0:seed=0").stretch(y, 8000, 1.5)
    np.testing.assert_array_equal(again, vocoder)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("nobody", UsageError, "no method nobody"),
        ("sonic:speed=2", UsageError, "takes no options"),
        ("tsmgan:colour=red", UsageError, "no option colour"),
        ("tsmgan:coherence=high", UsageError, "not a number"),
        ("tsmgan:coherence=2", UsageError, "from 0 to 1"),
        ("tsmgan:coherence=nan", UsageError, "from 0 to 1"),
        ("tsmgan:model=/no/such/folder", ModelError, "/no/such/folder"),
    ],
)
def test_a_name_that_is_no_method_is_refused_with_the_reason(name, error, message):
    with pytest.raises(error, match=message):
        find_method(name)
