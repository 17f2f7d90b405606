"""Hits of one place as one row, and rows that show the same footage as one group.

Both steps go through the hits in order of rank and let each join the best one that it belongs to,
so the order of what remains is that of the ranking, and every hit is in exactly one group. What is
one place and what is a copy is settled in docs/adr/0019.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from search.copies import Footage, KnownFootage, least_similarity
from search.hits import Hit

NEAR_S = 30.0
"""In an unbroken take that runs on for minutes, only what lies so near belongs together."""

MOST_PLACES = 256
"""Copies are looked for among so many of the best places."""


@dataclass(frozen=True)
class Place:
    """The best hit of one place in a film, and those that it stands for."""

    hit: Hit
    in_scene: tuple[Hit, ...] = ()
    """Best first."""


@dataclass(frozen=True)
class Copy:
    """Another place that shows the same footage."""

    place: Place
    similarity: float
    """Mean cosine of the clips that show the same instant."""


@dataclass(frozen=True)
class Group:
    """One row of a listing."""

    place: Place
    copies: tuple[Copy, ...] = ()
    """Best first."""

    @property
    def hit(self) -> Hit:
        """The best hit of them all."""
        return self.place.hit

    def hits(self) -> Iterator[Hit]:
        """Every hit that the row stands for."""
        for place in (self.place, *(copy.place for copy in self.copies)):
            yield place.hit
            yield from place.in_scene


def collapsed(hits: Sequence[Hit]) -> list[Place]:
    """Hits, best first, as places: one row for what lies together in a film.

    A hit joins the best one before it that lies in the same scene and within `NEAR_S` of it, or
    with which it shares half of the shorter of the two.
    """
    members: list[list[Hit]] = []
    best = np.zeros(len(hits), [("video", "i8"), ("scene", "i8"), ("start", "f8"), ("end", "f8")])
    for hit in hits:
        known = best[: len(members)]
        gap = np.maximum(known["start"], hit.start_s) - np.minimum(known["end"], hit.end_s)
        shorter = np.minimum(known["end"] - known["start"], hit.end_s - hit.start_s)
        together = (known["scene"] == hit.scene) & (gap <= NEAR_S)
        together |= (gap < 0) & (-gap >= shorter / 2)
        together &= known["video"] == hit.video_row
        if together.any():
            members[int(together.argmax())].append(hit)
        else:
            best[len(members)] = (hit.video_row, hit.scene, hit.start_s, hit.end_s)
            members.append([hit])
    return [Place(first, tuple(others)) for first, *others in members]


def grouped(
    places: Sequence[Place], footage: Callable[[Hit], Footage], chance: float
) -> list[Group]:
    """Places, best first, as groups: what shows the same footage as a better one joins it.

    Arguments:
        footage: what a moment shows.
        chance: mean cosine of two clips of the archive (`copies.chance_similarity`).
    """
    least = least_similarity(chance)
    firsts: list[Place] = []
    found: list[list[Copy]] = []
    known = KnownFootage()
    for place in places[:MOST_PLACES]:
        own = footage(place.hit)
        for number, similarity in known.alike(own, least):
            if _may_be_copies(firsts[number].hit, place.hit):
                found[number].append(Copy(place, similarity))
                break
        else:
            firsts.append(place)
            found.append([])
            known.add(own)
    groups = [Group(first, tuple(own)) for first, own in zip(firsts, found, strict=True)]
    return groups + [Group(place) for place in places[MOST_PLACES:]]


def _may_be_copies(one: Hit, other: Hit) -> bool:
    """Whether two hits that look alike may stand for each other.

    Not where they share time. Nor where one was found by its sound alone and the other is silent:
    the same pictures do not make up for what is not heard.
    """
    by_sound_alone = any("picture" not in hit.found_by for hit in (one, other))
    if by_sound_alone and not all("sound" in hit.found_by for hit in (one, other)):
        return False
    return one.video_row != other.video_row or (
        min(one.end_s, other.end_s) <= max(one.start_s, other.start_s)
    )
