"""The training-free head finds a known moment on a made-up curve."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from search.moments.base import SegmentView
from search.moments.watershed import Watershed
from search.text.base import EncodedQuery

QUERY = EncodedQuery("x", np.array([1.0, 0.0], np.float32), np.zeros((1, 2), np.float32))


def vectors(similarities: NDArray[np.float64]) -> NDArray[np.float32]:
    """Unit vectors with the given cosines to the query."""
    return np.stack([similarities, np.sqrt(1 - similarities**2)], axis=1).astype(np.float32)


def segment(curve: list[float], cuts_s: list[float], start_s: float = 0.0) -> SegmentView:
    """A segment of 2 s clips with the given similarities and cuts."""
    times_s = start_s + 2.0 * np.stack([np.arange(len(curve)), np.arange(1, len(curve) + 1)], 1)
    borders_s = np.array([start_s, *cuts_s, times_s[-1, 1]])
    centres_s = times_s.mean(axis=1)
    scene_means = [
        np.mean(np.array(curve)[(centres_s >= a) & (centres_s < b)]) for a, b in pairwise(borders_s)
    ]
    return SegmentView(
        vectors(np.array(curve)),
        times_s,
        np.stack([borders_s[:-1], borders_s[1:]], axis=1),
        vectors(np.array(scene_means)),
        background=0.1,
    )


def best(view: SegmentView) -> tuple[float, float]:
    span = Watershed().find(view, QUERY)[0]
    return span.start_s, span.end_s


def test_a_plateau_without_cuts_is_found_by_its_level() -> None:
    assert best(segment([0.1] * 10 + [0.4] * 5 + [0.1] * 10, cuts_s=[])) == (20.0, 30.0)


def test_borders_near_a_cut_fall_on_it() -> None:
    curve = [0.1] * 10 + [0.4] * 5 + [0.1] * 10
    assert best(segment(curve, cuts_s=[20.7, 29.2])) == (20.7, 29.2)


def test_a_matching_scene_is_found_whole() -> None:
    curve = [0.1] * 8 + [0.38, 0.42, 0.4] + [0.12] * 8
    assert best(segment(curve, cuts_s=[16.0, 22.0])) == (16.0, 22.0)


def test_times_are_those_of_the_video_not_of_the_segment() -> None:
    curve = [0.1] * 10 + [0.4] * 5 + [0.1] * 10
    assert best(segment(curve, cuts_s=[], start_s=120.0)) == (140.0, 150.0)


def test_a_lucky_clip_within_a_lasting_match_does_not_shorten_it() -> None:
    curve = [0.1] * 5 + [0.4, 0.39, 0.46, 0.4, 0.41] + [0.1] * 10
    assert best(segment(curve, cuts_s=[])) == (10.0, 20.0)


def test_a_short_film_that_matches_ranks_like_a_scene_of_a_long_one() -> None:
    (short, *_) = Watershed().find(segment([0.4, 0.4], cuts_s=[]), QUERY)
    (scene, *_) = Watershed().find(segment([0.1] * 20 + [0.4] * 2 + [0.1] * 20, []), QUERY)
    assert short.score == pytest.approx(scene.score)


def test_two_matches_of_one_segment_are_two_moments() -> None:
    curve = [0.1] * 5 + [0.4] * 3 + [0.1] * 10 + [0.45] * 4 + [0.1] * 5
    first, second, *_ = Watershed().find(segment(curve, cuts_s=[]), QUERY)
    assert (first.start_s, first.end_s) == (36.0, 44.0)
    assert (second.start_s, second.end_s) == (10.0, 16.0)


def test_a_scene_between_two_clip_centres_counts_by_its_own_vector() -> None:
    view = segment([0.1] * 10, cuts_s=[])
    scenes_s = np.array([[0.0, 9.2], [9.2, 10.8], [10.8, 20.0]])
    hidden = replace(view, scenes_s=scenes_s, scene_vectors=vectors(np.array([0.1, 0.5, 0.1])))
    assert best(hidden) == (9.2, 10.8)


def test_one_clip_is_a_segment_too() -> None:
    assert best(segment([0.3], cuts_s=[])) == (0.0, 2.0)


def test_spans_come_best_first_and_lie_in_time() -> None:
    spans = Watershed().find(segment([0.1, 0.2, 0.5, 0.3] * 6, cuts_s=[9.0, 17.5]), QUERY)
    assert [span.score for span in spans] == sorted((s.score for s in spans), reverse=True)
    assert all(span.start_s < span.end_s for span in spans)
    for one, other in combinations(spans, 2):
        shared_s = min(one.end_s, other.end_s) - max(one.start_s, other.start_s)
        shorter_s = min(one.end_s - one.start_s, other.end_s - other.start_s)
        assert shared_s < shorter_s / 2


def test_the_curve_of_a_span_is_the_similarity_of_each_clip_that_it_touches() -> None:
    curve = [0.1] * 10 + [0.4, 0.5, 0.45, 0.4, 0.4] + [0.1] * 10
    span = Watershed().find(segment(curve, cuts_s=[20.7, 29.2]), QUERY)[0]
    assert (span.start_s, span.end_s) == (20.7, 29.2)
    assert span.curve == pytest.approx((0.4, 0.5, 0.45, 0.4, 0.4), abs=1e-3)


def test_a_scene_between_two_clip_centres_has_the_curve_of_both_clips() -> None:
    view = segment([0.1, 0.2, 0.3, 0.1], cuts_s=[])
    scenes_s = np.array([[0.0, 3.2], [3.2, 4.8], [4.8, 8.0]])
    hidden = replace(view, scenes_s=scenes_s, scene_vectors=vectors(np.array([0.1, 0.6, 0.1])))
    (span,) = [one for one in Watershed().find(hidden, QUERY) if one.start_s == 3.2]
    assert span.curve == pytest.approx((0.2, 0.3), abs=1e-3)
