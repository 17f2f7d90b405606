"""One row for one place, one group for the same footage; nothing is lost, and the order stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from coloured_films import ask, film
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import make_video

from search.copies import Footage, chance_similarity, least_similarity
from search.grouping import MOST_PLACES, NEAR_S, Group, Place, collapsed, grouped
from search.hits import Hit

VIDEOS = [make_video(f"film {number}").video for number in range(3)]


def hit(rank: int, video: int, start_s: float, end_s: float, scene: int) -> Hit:
    score = 1 / rank
    return Hit(rank, score, VIDEOS[video], start_s, end_s, scene, ("picture",), {}, video_row=video)


def footage(shot_s: float, *vectors: Sequence[float], first_s: float = 1.0) -> Footage:
    rows = np.array(vectors, np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Footage(shot_s, first_s + 2.0 * np.arange(len(rows)), rows)


def test_hits_of_one_scene_are_one_row_with_the_best_in_front() -> None:
    hits = [hit(1, 0, 10, 14, 3), hit(2, 1, 10, 14, 3), hit(3, 0, 18, 20, 3), hit(4, 0, 30, 32, 4)]
    assert collapsed(hits) == [
        Place(hits[0], (hits[2],)),
        Place(hits[1]),
        Place(hits[3]),
    ]


def test_a_long_take_has_more_than_one_row() -> None:
    """A lecture is one scene; what is an hour apart in it is not one place."""
    hits = [hit(1, 0, 100, 110, 1), hit(2, 0, 3700, 3710, 1), hit(3, 0, 110 + NEAR_S, 150, 1)]
    assert collapsed(hits) == [Place(hits[0], (hits[2],)), Place(hits[1])]


def test_half_of_a_moment_inside_another_is_the_same_place_whatever_its_scene() -> None:
    hits = [hit(1, 0, 0, 30, 2), hit(2, 0, 26, 34, 5), hit(3, 0, 29, 39, 6)]
    assert collapsed(hits) == [Place(hits[0], (hits[1],)), Place(hits[2])]


hits_of_films = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 80), st.integers(1, 40), st.integers(1, 6)),
    max_size=40,
).map(
    lambda drawn: [
        hit(rank, video, start, start + length, scene)
        for rank, (video, start, length, scene) in enumerate(drawn, start=1)
    ]
)

few_vectors = st.lists(st.integers(0, 3), min_size=1, max_size=4)
"""Each number is a picture; equal numbers are equal pictures."""


@given(hits_of_films)
def test_collapsing_loses_nothing_and_keeps_the_order(hits: list[Hit]) -> None:
    places = collapsed(hits)
    members = [member for place in places for member in (place.hit, *place.in_scene)]
    assert sorted(member.rank for member in members) == [one.rank for one in hits]
    for place in places:
        ranks = [place.hit.rank, *(other.rank for other in place.in_scene)]
        assert ranks == sorted(ranks)
    assert [place.hit.rank for place in places] == sorted(place.hit.rank for place in places)


@given(hits_of_films)
def test_rows_stand_for_different_places(hits: list[Hit]) -> None:
    rows = [place.hit for place in collapsed(hits)]
    assert collapsed(rows) == [Place(row) for row in rows]


@given(hits_of_films, st.data())
def test_grouping_loses_nothing_and_keeps_the_order(hits: list[Hit], data: st.DataObject) -> None:
    pictures = np.eye(4, dtype=np.float32)
    shown = {
        one.rank: Footage(4.0, 1 + 2.0 * np.arange(len(rows)), pictures[rows])
        for one in hits
        for rows in [data.draw(few_vectors)]
    }
    groups = grouped(collapsed(hits), lambda one: shown[one.rank], chance=0.0)
    members = [member.rank for group in groups for member in group.hits()]
    assert sorted(members) == [one.rank for one in hits]
    firsts = [group.hit.rank for group in groups]
    assert firsts == sorted(firsts)
    for group in groups:
        ranks = [group.hit.rank, *(copy.place.hit.rank for copy in group.copies)]
        assert ranks == sorted(ranks)


def two(one: Footage, other: Footage, videos: tuple[int, int] = (0, 1)) -> list[Group]:
    """Groups of two places with these pictures, in an archive where chance is at 0."""
    hits = [hit(1, videos[0], 0, 4, 1), hit(2, videos[1], 50, 54, 7)]
    shown = {1: one, 2: other}
    return grouped([Place(own) for own in hits], lambda own: shown[own.rank], chance=0.0)


A, B, C = (1, 0, 0), (0, 1, 0), (0, 0, 1)
LIKE_A = (1, 0.2, 0)
"""Cosine 0.98 to A: a weaker print."""
NEAR_A = (1, 0.6, 0)
"""Cosine 0.86 to A: a similar picture."""


def test_another_print_of_the_same_shot_is_a_copy() -> None:
    (group,) = two(footage(6.0, A, B, C), footage(6.04, LIKE_A, B, C))
    (copy,) = group.copies
    assert copy.place.hit.rank == 2
    assert copy.similarity == pytest.approx((0.98 + 1 + 1) / 3, abs=1e-3)


@pytest.mark.parametrize("videos", [(0, 1), (0, 0)], ids=["another film", "the same film"])
def test_the_same_framing_in_a_shot_of_another_length_is_no_copy(videos: tuple[int, int]) -> None:
    """Two answers of one interview look alike, but are not cut at the same instants."""
    assert len(two(footage(6.0, A, A, A), footage(6.5, A, A, A), videos)) == 2


@pytest.mark.parametrize(
    ("first", "second", "rows"),
    [
        (("sound",), ("picture",), 2),
        (("picture",), ("sound",), 2),
        (("sound",), ("sound",), 1),
        (("sound",), ("picture", "sound"), 1),
        (("picture", "sound"), ("picture",), 1),
    ],
)
def test_what_was_found_by_sound_alone_has_no_silent_copy(
    first: tuple[str, ...], second: tuple[str, ...], rows: int
) -> None:
    hits = [
        replace(hit(1, 0, 0, 4, 1), found_by=first),
        replace(hit(2, 1, 50, 54, 7), found_by=second),
    ]
    places = [Place(own) for own in hits]
    assert len(grouped(places, lambda _: footage(6.0, A, B, C), chance=0.0)) == rows


def test_a_shot_used_twice_in_one_film_is_a_copy() -> None:
    assert len(two(footage(6.0, A, A, A), footage(6.0, A, A, A), (0, 0))) == 1


def test_a_similar_shot_of_the_same_length_is_no_copy() -> None:
    assert len(two(footage(4.0, A, B), footage(4.0, NEAR_A, B))) == 1
    assert len(two(footage(4.0, A, A), footage(4.0, NEAR_A, NEAR_A))) == 2


def test_the_same_pictures_in_another_order_are_no_copy() -> None:
    assert len(two(footage(6.0, A, B, C), footage(6.0, B, C, A))) == 2


def test_moments_with_other_borders_are_laid_over_one_another() -> None:
    whole = footage(8.0, A, B, C, A)
    assert len(two(whole, footage(8.0, B, C, first_s=3.4))) == 1
    assert len(two(whole, footage(8.0, A, B, first_s=3.4))) == 2


def test_different_parts_of_one_shot_are_no_copies_of_each_other() -> None:
    assert len(two(footage(8.0, A, A), footage(8.0, A, A, first_s=5.0))) == 2


def test_only_the_nearest_places_are_compared_and_none_is_lost() -> None:
    same = footage(4.0, A, A)
    places = [Place(hit(rank, rank % 2, 10 * rank, 10 * rank + 2, rank)) for rank in range(1, 600)]
    groups = grouped(places, lambda _: same, chance=0.0)
    assert len(groups[0].copies) == MOST_PLACES - 1
    assert sum(len(list(group.hits())) for group in groups) == len(places)


def test_the_threshold_lies_by_how_alike_the_archive_is_anyway() -> None:
    thresholds = [least_similarity(chance) for chance in (0.0, 0.3, 0.6, 1.0)]
    assert all(low < high for low, high in pairwise(thresholds))
    assert thresholds[-1] == 1.0


def test_chance_by_hand() -> None:
    rows: NDArray[np.float32] = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert chance_similarity(rows) == pytest.approx(1 / 3)
    assert chance_similarity(rows[:1]) == 0.0
    assert chance_similarity(np.tile(rows[:1], (5, 1))) == 1.0


def test_two_prints_of_a_film_are_found_as_copies_in_an_archive(tmp_path: Path) -> None:
    shots = [("red", 6.0), ("green", 3.5), ("blue", 7.0), ("white", 5.0)]
    films = [
        film("tape", *shots),
        film("second print", *shots, grain=0.02),
        film("another film", ("blue", 4.0), ("red", 9.0)),
    ]
    answer = ask(tmp_path, films, "red", min_confidence=0.9)
    found = {
        (Path(row.group.hit.video.path).stem, row.group.hit.end_s - row.group.hit.start_s): [
            Path(copy.place.hit.video.path).stem for copy in row.group.copies
        ]
        for row in answer.rows
    }
    assert {tuple(sorted((first, *copies))) for (first, _), copies in found.items()} == {
        ("second print", "tape"),
        ("another film",),
    }


def test_a_moment_between_two_clip_centres_is_compared_by_its_scene(tmp_path: Path) -> None:
    shots = [("green", 5.3), ("red", 0.4), ("green", 6.0)]
    films = [film("one", *shots), film("two", ("blue", 4.0), *shots)]
    answer = ask(tmp_path, films, "red", min_confidence=0.9)
    (row,) = answer.rows
    assert len(row.group.copies) == 1
    assert row.group.copies[0].similarity == pytest.approx(1.0, abs=1e-3)
