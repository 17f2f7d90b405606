"""What counts as a match, what is left out, and what is said where nothing matches."""

from __future__ import annotations

from pathlib import Path

import pytest
from coloured_films import SureHead, ask, film

from search.answer import (
    DEFAULT_MIN_CONFIDENCE,
    NEAREST_MISSES,
    Answer,
    least_confidence,
)
from search.moments.watershed import Watershed

RED_AND_OTHERS = film(
    "tape", ("red", 6), ("yellow", 6), ("green", 8), ("blue", 6), ("white", 4), ("blue", 10)
)


def shown(answer: Answer) -> list[tuple[int, bool | None]]:
    """Scene and verdict of each row."""
    return [(row.group.hit.scene, row.match) for row in answer.rows]


def test_what_is_less_sure_than_asked_is_left_out_and_counted(tmp_path: Path) -> None:
    answer = ask(tmp_path, [RED_AND_OTHERS], "red", min_confidence=0.6)
    assert answer.matched and answer.min_confidence == 0.6
    assert shown(answer) == [(1, True), (2, True)]
    assert answer.weaker == 4
    assert [row.rank for row in answer.rows] == [1, 2]


def test_all_shows_the_rest_and_says_what_it_is(tmp_path: Path) -> None:
    answer = ask(tmp_path, [RED_AND_OTHERS], "red", min_confidence=0.6, everything=True)
    assert answer.matched and answer.weaker == 0
    assert [match for _, match in shown(answer)] == [True, True, False, False, False, False]


def test_where_nothing_is_sure_the_nearest_misses_are_shown_as_such(tmp_path: Path) -> None:
    answer = ask(tmp_path, [film("tape", *[("blue", 6 + n) for n in range(5)])], "red")
    assert answer.matched is False and answer.weaker == 5 - NEAREST_MISSES
    assert [match for _, match in shown(answer)] == [False] * NEAREST_MISSES


def test_all_shows_every_miss(tmp_path: Path) -> None:
    films = [film("tape", *[("blue", 6 + n) for n in range(5)])]
    answer = ask(tmp_path, films, "red", everything=True)
    assert answer.matched is False and answer.weaker == 0
    assert [match for _, match in shown(answer)] == [False] * 5


def test_no_fewer_misses_than_asked_for_and_no_more(tmp_path: Path) -> None:
    films = [film("tape", *[("blue", 6 + n) for n in range(5)])]
    assert len(ask(tmp_path, films, "red", top=1).rows) == 1


def test_a_head_without_probabilities_leaves_nothing_out(tmp_path: Path) -> None:
    answer = ask(tmp_path, [RED_AND_OTHERS], "red", head=Watershed(), min_confidence=0.99)
    assert answer.matched is None and answer.min_confidence is None and answer.weaker == 0
    assert len(answer.rows) == answer.moments
    assert {match for _, match in shown(answer)} == {None}


def test_an_empty_archive_matches_nothing(tmp_path: Path) -> None:
    answer = ask(tmp_path, [], "red")
    assert answer.rows == () and answer.matched is False


def test_top_counts_rows_and_not_what_they_stand_for(tmp_path: Path) -> None:
    films = [film(f"print{n}", ("red", 6), ("blue", 4)) for n in range(4)]
    films.append(film("other", ("red", 9)))
    answer = ask(tmp_path, films, "red", top=2)
    assert [(len(row.group.copies), row.group.hit.end_s) for row in answer.rows] == [
        (3, 6.0),
        (0, 9.0),
    ]


@pytest.mark.parametrize(
    ("asked", "recommended", "least"),
    [
        (0.2, 0.5, 0.2),
        (None, 0.5, 0.5),
        (None, None, DEFAULT_MIN_CONFIDENCE),
        (0.0, 0.5, 0.0),
        (None, 0.0, 0.0),
    ],
)
def test_the_user_decides_then_the_head_then_the_default(
    asked: float | None, recommended: float | None, least: float
) -> None:
    assert least_confidence(asked, SureHead(recommended)) == least


def test_a_head_need_not_recommend_anything() -> None:
    assert least_confidence(None, Watershed()) == DEFAULT_MIN_CONFIDENCE
