"""From ranked hits to the rows of a listing: grouped, and judged against a least probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.footage import Background
from search.grouping import Group, collapsed, grouped
from search.moments.base import MomentHead
from search.searcher import Searcher

DEFAULT_MIN_CONFIDENCE = 0.35
"""For a head that gives probabilities but names no threshold of its own. Where probabilities are
calibrated, F1 is highest at half of that highest F1 (Lipton, Elkan and Naryanaswamy, "Optimal
Thresholding of Classifiers to Maximize F1 Measure", 2014), and about 0.7 is what heads reach."""

NEAREST_MISSES = 3
"""How many hits are shown where none of them is sure enough."""

MOST_HITS = 512
"""Hits that are grouped; four times `top`, if that is more."""


@dataclass(frozen=True)
class Row:
    """One row of a listing."""

    rank: int
    group: Group
    match: bool | None
    """Whether it is sure enough; None where the head gives no probability."""


@dataclass(frozen=True)
class Answer:
    """What a search says."""

    rows: tuple[Row, ...]
    """Best first; where `matched` is False, the nearest misses."""
    matched: bool | None
    """Whether anything in the archive matches; None where the head gives no probabilities."""
    min_confidence: float | None
    """What decided it; None where the head gives no probabilities."""
    weaker: int
    """Rows, of `top` at most, left out because they are not sure enough."""
    background: Background
    segments: int
    """How many segments the head looked at."""
    moments: int
    """How many moments were found, before any were grouped or left out."""


def answer(
    searcher: Searcher,
    sentence: str,
    top: int,
    video_glob: str | None,
    min_confidence: float,
    everything: bool = False,
) -> Answer:
    """Search for moments, and make rows of them: `top` at most.

    Arguments:
        min_confidence: least probability of a match, see `least_confidence`.
        everything: also show what is less sure.

    Raises as `Searcher.moments`.
    """
    found = searcher.found(sentence, top, video_glob, max(MOST_HITS, 4 * top))
    groups = grouped(collapsed(found.hits), searcher.footage, searcher.chance)
    tells = any(hit.probability is not None for hit in found.hits)
    least = min_confidence if tells else None
    matches = [_match(group, least) for group in groups]
    matched = None if groups and least is None else any(match is not False for match in matches)
    rows = _shown(groups, matches, top, matched, everything)
    weaker = min(top, len(groups)) - len(rows)
    return Answer(rows, matched, least, weaker, found.background, found.segments, len(found.hits))


def least_confidence(asked: float | None, head: MomentHead) -> float:
    """The probability that was asked for, else what the head's bundle recommends, else ours."""
    if asked is not None:
        return asked
    recommended: float | None = getattr(head, "min_confidence", None)
    return DEFAULT_MIN_CONFIDENCE if recommended is None else recommended


def _match(group: Group, least: float | None) -> bool | None:
    probability = group.hit.probability
    return None if least is None or probability is None else probability >= least


def _shown(
    groups: Sequence[Group],
    matches: Sequence[bool | None],
    top: int,
    matched: bool | None,
    everything: bool,
) -> tuple[Row, ...]:
    judged = list(zip(groups, matches, strict=True))
    if not everything and matched is False:
        top = min(top, NEAREST_MISSES)
    elif not everything:
        judged = [(group, match) for group, match in judged if match is not False]
    return tuple(
        Row(rank, group, match) for rank, (group, match) in enumerate(judged[:top], start=1)
    )
