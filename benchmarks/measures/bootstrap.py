"""How far a measured figure could be off: the questions are drawn again, many times.

A figure is a function of sums over its units (questions, photos, labels). A resample draws as many
units as there are, with replacement, which weighs each unit by how often it was drawn; the figure
of the resample is the same function of the weighted sums. So 2,000 resamples are one product of
matrices. Two figures over the same units are compared on the same draws: what makes one question
harder than another falls out of their difference (paired bootstrap, Efron and Tibshirani, "An
Introduction to the Bootstrap", 1993, chapters 13 and 16; for search engines Sakai, SIGIR 2006).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
SEED = 11
LEVEL = 0.95
"""Share of the resamples that an interval holds: from the 2.5th to the 97.5th percentile."""

Numbers = NDArray[np.float64]
Statistic = Callable[[Numbers], Numbers]
"""From sums (..., parts) to figures (...); nan where the figure is not defined."""


class Figure(Protocol):
    """Something measured over units that can be drawn again."""

    @property
    def units(self) -> int:
        """How many questions (photos, labels) it was measured on."""

    @property
    def scale(self) -> float:
        """What it is multiplied by when it is shown: 100 for per cent."""

    def value(self) -> float:
        """The figure itself; nan without a unit."""

    def resampled(self, resamples: int) -> Numbers:
        """(resamples,): the figure of each draw, the same draws for the same number of units."""


@dataclass(frozen=True, eq=False)
class Sums:
    """A figure that depends on sums over the units alone."""

    parts: Numbers
    """(units, parts): what each unit adds."""
    statistic: Statistic
    scale: float = 100.0

    @property
    def units(self) -> int:
        """Units that add anything at all: a question that has no short moment has no say there."""
        return int(np.count_nonzero(self.parts.any(axis=1)))

    def value(self) -> float:
        return float(self.statistic(self.parts.sum(axis=0)))

    def resampled(self, resamples: int) -> Numbers:
        return self.statistic(draws(len(self.parts), resamples) @ self.parts)


@dataclass(frozen=True, eq=False)
class Separation:
    """Chance that a unit of one group scores higher than one of another: the area under the ROC
    curve, ties counting half."""

    higher: Numbers
    """(n,) scores of the group that should score higher."""
    lower: Numbers
    """(m,)"""
    scale: float = 100.0

    @property
    def units(self) -> int:
        return len(self.higher) + len(self.lower)

    def value(self) -> float:
        return float(self._wins().mean()) if self._wins().size else float("nan")

    def resampled(self, resamples: int) -> Numbers:
        """Each group is drawn by itself, so that both keep their size."""
        wins = self._wins()
        if not wins.size:
            return np.full(resamples, np.nan)
        mean = wins / wins.size
        weighed = draws(len(self.higher), resamples) @ mean
        areas: Numbers = (weighed * draws(len(self.lower), resamples, SEED + 1)).sum(axis=1)
        return areas

    def _wins(self) -> Numbers:
        above = self.higher[:, np.newaxis] > self.lower
        level = self.higher[:, np.newaxis] == self.lower
        wins: Numbers = above + 0.5 * level
        return wins


def mean(values: NDArray[Any], weights: NDArray[Any] | None = None, scale: float = 100.0) -> Sums:
    """Mean of values (units,); a unit whose value is nan takes no part.

    Arguments:
        weights: (units,) how many questions each unit stands for, where `values` are their means.
    """
    known = ~np.isnan(np.asarray(values, np.float64))
    counts = known * (np.ones(len(known)) if weights is None else np.asarray(weights, np.float64))
    sums = np.where(known, values, 0.0) * counts
    return Sums(np.stack([sums, counts], axis=1), ratio, scale)


def ratio(sums: Numbers) -> Numbers:
    """The first sum divided by the second."""
    return divided(sums[..., 0], sums[..., 1])


def divided(above: Numbers, below: Numbers) -> Numbers:
    """`above / below`; nan where there is nothing to divide by."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(below == 0, np.nan, above / below))


@lru_cache(maxsize=8)
def draws(units: int, resamples: int, seed: int = SEED) -> Numbers:
    """(resamples, units): how often each unit is drawn; every row sums to `units`."""
    if not units:
        return np.zeros((resamples, 0))
    random = np.random.default_rng([seed, units])
    return random.multinomial(units, np.full(units, 1 / units), size=resamples).astype(np.float64)


@dataclass(frozen=True)
class Estimate:
    """A figure and the interval that it lies in, scaled for showing."""

    value: float
    low: float
    high: float
    units: int
    digits: int = 1

    def as_json(self) -> dict[str, Any]:
        """E.g. {"value": 41.2, "ci95": [33.4, 49.0], "n": 154}."""
        value, low, high = (
            None if np.isnan(number) else round(number, self.digits) + 0.0  # no -0.0
            for number in (self.value, self.low, self.high)
        )
        return {"value": value, "ci95": [low, high], "n": self.units}


def estimate(figure: Figure, resamples: int = RESAMPLES) -> Estimate:
    """A figure with its percentile interval.

    The interval always holds the figure. That needs widening only for the calibration error, which
    can but grow by chance, so that nearly all resamples may lie above what was measured.
    """
    value = figure.value()
    low, high = _percentiles(figure.resampled(resamples))
    return _scaled(figure, value, min(low, value), max(high, value))


def difference(one: Figure, other: Figure, resamples: int = RESAMPLES) -> Estimate:
    """`one - other` over the same units in the same order, on the same draws.

    Raises:
        ValueError: they were not measured on the same units.
    """
    if one.units != other.units:
        raise ValueError(f"{one.units} and {other.units} units cannot be paired")
    apart = one.resampled(resamples) - other.resampled(resamples)
    low, high = _percentiles(apart)
    value = one.value() - other.value()
    return _scaled(one, value, low, high)


def estimates(figures: Mapping[str, Figure], resamples: int = RESAMPLES) -> dict[str, Any]:
    """Each figure as JSON, by name; those that no unit speaks for are left out."""
    return {
        name: estimate(figure, resamples).as_json()
        for name, figure in figures.items()
        if figure.units
    }


def differences(
    ours: Mapping[str, Figure], theirs: Mapping[str, Figure], resamples: int = RESAMPLES
) -> dict[str, Any]:
    """`ours - theirs` as JSON for each figure that both have."""
    return {
        name: difference(figure, theirs[name], resamples).as_json()
        for name, figure in ours.items()
        if name in theirs and figure.units and figure.units == theirs[name].units
    }


def _percentiles(values: Numbers) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _scaled(figure: Figure, value: float, low: float, high: float) -> Estimate:
    """One decimal of per cent, three of a share."""
    scale = figure.scale
    return Estimate(scale * value, scale * low, scale * high, figure.units, 1 if scale > 1 else 3)
