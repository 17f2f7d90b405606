"""Curves as a line of blocks, comparable within one listing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.-~=+*#"
"""For where blocks cannot be shown."""

COLUMNS = 12
"""Longer curves are drawn in so many columns, each the highest value of its part."""


def sparklines(curves: Sequence[Sequence[float]], levels: str = BLOCKS) -> list[str]:
    """One line for each curve, all on one scale: the lowest value of them all is the lowest level,
    the highest the highest. An empty curve gives an empty line."""
    values = [value for curve in curves for value in curve]
    low, high = min(values, default=0.0), max(values, default=0.0)
    return ["".join(_levels(shortened(curve), low, high, levels)) for curve in curves]


def shortened(curve: Sequence[float], columns: int = COLUMNS) -> list[float]:
    """The highest value of each of `columns` equal parts, in order; the curve itself if shorter."""
    if len(curve) <= columns:
        return list(curve)
    borders = [len(curve) * part // columns for part in range(columns + 1)]
    return [max(curve[first:end]) for first, end in pairwise(borders)]


def _levels(curve: Iterable[float], low: float, high: float, levels: str) -> Iterable[str]:
    for value in curve:
        share = (value - low) / (high - low) if high > low else 1.0
        yield levels[min(int(share * len(levels)), len(levels) - 1)]
