"""Promises of TimeMap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tsmgan
from tsmgan.core.timemap import TimeMap
from tsmgan.errors import UsageError

RATES = st.floats(0.05, 20)


@given(st.integers(0, 10**9), RATES)
def test_one_rate_makes_exactly_round_n_over_rate_samples(n, rate):
    assert TimeMap.from_rate(rate).output_length(n) == round(n / rate)


@given(st.integers(1, 10**9), RATES)
def test_a_target_length_is_met_exactly(n, rate):
    target = max(1, round(n / rate))
    if 0.05 <= n / target <= 20:
        assert TimeMap.from_lengths(n, target).output_length(n) == target


@given(RATES, st.integers(0, 10**6))
def test_positions_come_from_the_map_and_do_not_drift(rate, frame):
    position = frame * 512
    assert TimeMap.from_rate(rate).input_at(np.array([position]))[0] == pytest.approx(position * rate, rel=1e-12)


@st.composite
def maps(draw):
    pieces = draw(st.lists(st.tuples(st.floats(0.1, 10), RATES), min_size=1, max_size=6))
    x = np.cumsum([0.0] + [seconds for seconds, _ in pieces])
    y = np.cumsum([0.0] + [seconds / rate for seconds, rate in pieces])
    return x, y


@given(maps())
def test_a_map_passes_through_its_points_and_is_as_long_as_its_last(points):
    x, y = points
    time_map = TimeMap(x, y).in_samples(48000)
    np.testing.assert_allclose(time_map.input_at(y * 48000), x * 48000, rtol=1e-9, atol=1e-6)
    assert abs(time_map.output_length(round(x[-1] * 48000)) - y[-1] * 48000) <= 11  # half an input sample at the slowest rate, and rounding


def test_a_map_goes_on_at_its_last_rate():
    time_map = TimeMap.through([1, 2], [1, 3]).in_samples(1000)
    assert time_map.output_length(4000) == 7000
    assert time_map.rate_at(np.array([500, 2500, 9000])).tolist() == [1.0, 0.5, 0.5]


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), 0.049, 20.1, "fast", None])
def test_rates_outside_the_range_are_refused(rate):
    with pytest.raises(UsageError, match=r"0\.05 to 20"):
        TimeMap.from_rate(rate)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,0\n2,1\n1,2\n", "Line 3 .*back in time"),
        ("0,0\n1,1\n2,1\n", "Line 3 .*stands still"),
        ("0,0\n1,1\n2,100\n", "asks for rate"),
        ("0,0\none,two\n", "Line 2"),
        ("1,2,3\n", "Line 1"),
        ("1,5,2,5\n", "Line 1"),
        ("0;0\n1,5;zwei\n", "Line 2"),
        ("0,0\n1,nan\n", "Line 2 .*not finite"),
        ("5,0\n6,1\n", "must begin at input second 0"),
        ("", "holds no points"),
        ("input,output\n", "holds no points"),
    ],
)
def test_a_bad_map_says_which_line_is_wrong(tmp_path, text, message):
    file = tmp_path / "map.csv"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        TimeMap.from_csv(file)


def test_a_csv_may_have_a_heading_comments_and_empty_lines(tmp_path):
    file = tmp_path / "map.csv"
    file.write_text("input second, output second\n# the slow part\n\n0, 0\n1.5, 3\n2.5, 3.5\n")
    time_map = TimeMap.from_csv(file).in_samples(1000)
    assert time_map.output_length(2500) == 3500
    assert time_map.rate_at(np.array([0, 3200])).tolist() == [0.5, 2.0]


def test_a_map_is_in_seconds_and_a_stretch_follows_it_at_any_sample_rate():
    time_map = TimeMap([0, 0.5, 1], [0, 0.25, 1.25])
    assert float(time_map.input_at(0.25)) == 0.5
    for samplerate in (8000, 48000):
        assert tsmgan.stretch(np.zeros(samplerate, np.float32), samplerate, time_map=time_map).shape == (1.25 * samplerate,)
        assert time_map.output_length(samplerate, samplerate) == 1.25 * samplerate


def test_a_length_in_samples_of_a_map_in_seconds_needs_the_sample_rate():
    with pytest.raises(UsageError, match="sample rate"):
        TimeMap([0, 1], [0, 2]).output_length(48000)
    assert TimeMap.from_samples([0, 48000], [0, 96000]).output_length(48000) == 96000


@st.composite
def gentle_maps(draw):
    """Maps whose rates can be multiplied with each other."""
    pieces = draw(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.3, 4)), min_size=1, max_size=6))
    return TimeMap(np.cumsum([0.0, *(t for t, _ in pieces)]), np.cumsum([0.0, *(t / rate for t, rate in pieces)]))


@settings(deadline=None)
@given(gentle_maps(), st.lists(st.floats(0, 60), min_size=1))
def test_the_inverse_undoes_a_map(time_map, seconds):
    np.testing.assert_allclose(time_map.inverse().output_at(time_map.output_at(seconds)), seconds, atol=1e-9)
    assert time_map.in_samples(8000).inverse().output_length(800) == time_map.inverse().output_length(800, 8000)


@settings(deadline=None)
@given(gentle_maps(), gentle_maps(), st.lists(st.floats(0, 60), min_size=1))
def test_two_maps_joined_are_one_after_the_other(first, second, seconds):
    joined = first.then(second)
    np.testing.assert_allclose(joined.output_at(seconds), second.output_at(first.output_at(seconds)), atol=1e-6)
    in_samples = first.in_samples(8000).then(second.in_samples(8000)).in_seconds(8000)
    np.testing.assert_allclose(in_samples.output_at(seconds), joined.output_at(seconds), atol=1e-6)


def test_a_rate_joins_maps_of_either_unit_and_different_units_do_not_mix():
    seconds, rate = TimeMap([0, 1, 2], [0, 1, 3]), TimeMap.from_rate(2)
    samples = seconds.in_samples(1000)
    for joined in (seconds.then(rate), rate.inverse().then(rate).then(seconds).then(rate), samples.then(rate).in_seconds(1000)):
        np.testing.assert_allclose(joined.output_at([1, 2]), [0.5, 1.5])
    assert rate.then(samples).output_length(2000) == 1000
    with pytest.raises(UsageError, match="in_samples"):
        seconds.then(samples)
    with pytest.raises(UsageError, match="rates from"):
        rate.then(TimeMap.from_rate(15))


@given(gentle_maps())
@settings(deadline=None)
def test_a_map_that_is_written_reads_back_to_the_last_bit(tmp_path_factory, time_map):
    file = tmp_path_factory.mktemp("maps") / "map.csv"
    time_map.to_csv(file)
    for before, after in zip(time_map.knots, TimeMap.from_csv(file).knots):
        assert np.array_equal(before, after)


def test_a_map_in_samples_is_written_in_seconds_and_one_that_begins_nowhere_is_not_written(tmp_path):
    file = tmp_path / "map.csv"
    TimeMap.from_samples([0, 1000], [0, 500]).to_csv(file, 1000)
    assert file.read_text().splitlines()[1:] == ["0.0,0.0", "1.0,0.5"]
    TimeMap.from_rate(2).to_csv(file)
    assert TimeMap.from_csv(file).output_length(1000, 1000) == 500
    with pytest.raises(UsageError, match="sample rate"):
        TimeMap.from_samples([0, 1000, 2000], [0, 500, 2000]).to_csv(file)
    with pytest.raises(UsageError, match="begins"):
        TimeMap([1, 2], [0, 1]).to_csv(file)
    TimeMap([0, 1], [1, 2]).to_csv(file)
    assert TimeMap.from_csv(file).output_at(0.5) == 1.5, "a second of silence before the recording"


@pytest.mark.parametrize(
    "text",
    [
        "0;0\n1,5;3\n2,500;3,5\n",
        "input\toutput\tname\n1.5\t3\tverse\n2.5\t3.5\tchorus\n",
        "00:00:01,500,00:00:03,000\n00:00:02,500,00:00:03,500\n",
        "0:01.5, 0:03, verse\n0:02.5, 3.5s, chorus\n",
        "1,5; 0:03,0; Strophe\n2,5; 0:03,5; Kehrreim\n",
    ],
    ids=["decimal commas", "tabs and names", "subtitle times", "clocks", "German"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_tables_of_times_are_understood_as_people_and_programs_write_them(tmp_path, text, encoding):
    file = tmp_path / "map.csv"
    file.write_text("# Maße\n" + text, encoding=encoding)
    x, y = TimeMap.from_csv(file).knots
    assert (x.tolist(), y.tolist()) == ([0.0, 1.5, 2.5], [0.0, 3.0, 3.5])


def test_a_map_is_shown_as_what_makes_it_again():
    for made in (TimeMap([0, 4, 8.6], [0, 4, 13.2]), TimeMap.from_rate(1.5)):
        again = eval(repr(made), {"TimeMap": TimeMap})
        assert repr(again) == repr(made) and again.input_at(7.0) == made.input_at(7.0)
