"""Intervals of the quality benchmark: they hold the figure, and pairs are drawn together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.measures import bootstrap
from benchmarks.measures.bootstrap import Separation, Sums, difference, estimate, mean

RESAMPLES = 500

shares = st.integers(1, 60).flatmap(lambda n: arrays(np.float64, n, elements=st.floats(0, 1)))
scores = st.integers(1, 20).flatmap(
    lambda n: arrays(np.float64, n, elements=st.floats(-1, 1, width=16))
)


@given(shares)
@settings(deadline=None)
def test_interval_holds_the_figure_and_lies_within_the_values(values: np.ndarray) -> None:
    found = estimate(mean(values), RESAMPLES)
    assert found.low <= found.value <= found.high
    assert 100 * values.min() - 1e-9 <= found.low
    assert found.high <= 100 * values.max() + 1e-9
    assert found.value == pytest.approx(100 * values.mean())
    assert found.units == len(values)


@given(shares)
@settings(deadline=None)
def test_the_same_questions_give_the_same_interval(values: np.ndarray) -> None:
    assert estimate(mean(values), RESAMPLES) == estimate(mean(values.copy()), RESAMPLES)


def test_interval_is_the_one_that_theory_gives() -> None:
    values = np.arange(400) % 2 == 0  # standard error of a share of 0.5: sqrt(0.25 / 400)
    found = estimate(mean(values))
    assert found.low == pytest.approx(50 - 1.96 * 2.5, abs=0.6)
    assert found.high == pytest.approx(50 + 1.96 * 2.5, abs=0.6)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        found = estimate(mean(random.random(80) < 0.4), RESAMPLES)
        covered += found.low <= 40 <= found.high
    assert 0.88 <= covered / 200 <= 0.99


@given(shares, st.floats(-0.5, 0.5))
@settings(deadline=None)
def test_a_constant_lead_is_certain_however_the_questions_differ(
    values: np.ndarray, lead: float
) -> None:
    found = difference(mean(values + lead), mean(values), RESAMPLES)
    assert found.value == pytest.approx(100 * lead, abs=1e-6)
    assert found.low == pytest.approx(100 * lead, abs=1e-6)
    assert found.high == pytest.approx(100 * lead, abs=1e-6)


def test_paired_difference_is_narrower_than_the_intervals_of_its_sides() -> None:
    random = np.random.default_rng(0)
    hard = random.random(150)
    ours, theirs = mean(hard + 0.02 * random.random(150)), mean(hard)
    apart, alone = difference(ours, theirs, RESAMPLES), estimate(theirs, RESAMPLES)
    assert apart.high - apart.low < (alone.high - alone.low) / 10


def test_other_questions_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="cannot be paired"):
        difference(mean(np.ones(3)), mean(np.ones(4)))


def test_a_question_without_a_value_takes_no_part() -> None:
    found = estimate(mean(np.array([1.0, np.nan, 0.0, np.nan])), RESAMPLES)
    assert (found.value, found.units) == (50.0, 2)


def test_without_any_question_there_is_no_figure() -> None:
    found = estimate(mean(np.array([])), RESAMPLES)
    assert np.isnan(found.value)
    assert found.as_json() == {"value": None, "ci95": [None, None], "n": 0}
    assert bootstrap.estimates({"R@1": mean(np.array([]))}) == {}


def test_units_that_stand_for_several_questions_weigh_more() -> None:
    figure = mean(np.array([1.0, 0.0]), weights=np.array([3, 1]))
    assert estimate(figure, RESAMPLES).value == 75.0


@given(scores, scores)
@settings(deadline=None)
def test_separation_is_the_share_of_pairs_that_are_in_order(
    higher: np.ndarray, lower: np.ndarray
) -> None:
    found = estimate(Separation(higher, lower, scale=1), RESAMPLES)
    pairs = [(h > low) + 0.5 * (h == low) for h in higher for low in lower]
    assert found.value == pytest.approx(np.mean(pairs))
    assert 0 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1 + 1e-9
    turned = Separation(lower, higher, scale=1).value()
    assert found.value + turned == pytest.approx(1)


@given(st.integers(1, 50))
@settings(deadline=None)
def test_every_draw_has_as_many_units_as_there_are(units: int) -> None:
    drawn = bootstrap.draws(units, RESAMPLES)
    assert (drawn.sum(axis=1) == units).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(units), abs=0.3)


def test_a_figure_of_sums_is_drawn_as_its_units_are() -> None:
    parts = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    figure = Sums(parts, bootstrap.ratio)
    drawn = bootstrap.draws(3, RESAMPLES)
    by_hand = [(row @ parts[:, 0]) / (row @ parts[:, 1]) for row in drawn]
    assert figure.resampled(RESAMPLES) == pytest.approx(by_hand)
    assert figure.value() == pytest.approx(9 / 12)
