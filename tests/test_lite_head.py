"""The shipped moment head on films made of pictures of no archive."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from made_up_films import DOG, among_others, bank, film, query, shot_of, unlike

from search.moments.base import MomentHead, SegmentView, Span
from search.moments.choice import choose_head
from search.ranking import temporal_iou
from storage.bundles import load_encoder

TRUE = Span(30.0, 37.0, 0.0, {})
"""The seventh shot of `among_others`."""


@pytest.fixture(scope="module")
def head() -> MomentHead:
    return choose_head("lite-moments", load_encoder(), None)


def best(head: MomentHead, *segments: SegmentView, sentence: str = DOG) -> Span:
    found = head.find_all(segments, query(sentence))
    return max((span for spans in found for span in spans), key=lambda span: span.score)


def test_an_archive_of_lite_is_searched_with_it_unless_told_otherwise() -> None:
    assert choose_head("auto", load_encoder(), None).head_id.startswith("lite-moments-")
    assert choose_head("watershed", load_encoder(), None).head_id == "watershed"


@pytest.mark.parametrize("seed", range(5))
def test_a_shot_is_found_with_its_cuts_as_borders(head: MomentHead, seed: int) -> None:
    span = best(head, among_others(DOG, 0.5, seed=seed))
    assert (span.start_s, span.end_s) == pytest.approx((30.0, 37.0), abs=0.01)


def test_what_is_not_there_is_less_likely_than_what_is(head: MomentHead) -> None:
    there = [best(head, among_others(DOG, 0.5, seed=seed)).score for seed in range(6)]
    absent = [best(head, among_others(DOG, None, seed=seed)).score for seed in range(6)]
    assert min(there) > 1.5 * max(absent)


def test_probability_is_said_and_orders(head: MomentHead) -> None:
    (spans,) = head.find_all([among_others(DOG, 0.5)], query(DOG))
    said = [span.probability for span in spans]
    scores = [span.score for span in spans]
    assert said == scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


def test_the_curve_has_a_number_for_every_clip_that_is_touched(head: MomentHead) -> None:
    span = best(head, among_others(DOG, 0.5))
    assert len(span.curve) == 4  # 30 to 37 s, in clips of 2 s
    elsewhere = best(head, among_others(DOG, None))
    assert np.mean(span.curve) > np.mean(elsewhere.curve)


def test_the_segment_that_shows_it_wins_over_others(head: MomentHead) -> None:
    others = [among_others(DOG, None, seed=seed) for seed in range(1, 8)]
    found = head.find_all([*others, among_others(DOG, 0.45)], query(DOG))
    scores = [max(span.score for span in spans) for spans in found]
    assert int(np.argmax(scores)) == len(others)


def test_times_are_those_of_the_film_not_of_the_segment(head: MomentHead) -> None:
    early = among_others(DOG, 0.5)
    late = replace(early, times_s=early.times_s + 120.0, scenes_s=early.scenes_s + 120.0)
    one, other = best(head, early), best(head, late)
    assert (other.start_s, other.end_s) == pytest.approx((one.start_s + 120, one.end_s + 120))
    assert other.score == pytest.approx(one.score, abs=1e-3)


def test_a_short_film_of_one_shot_is_one_moment(head: MomentHead) -> None:
    span = best(head, film([(shot_of(DOG, 0.5, 1), 6.0)], DOG))
    assert temporal_iou(span, Span(0.0, 6.0, 0.0, {})) > 0.6


def test_a_film_of_a_single_clip_has_an_answer(head: MomentHead) -> None:
    (spans,) = head.find_all([film([(unlike(DOG, 3), 0.7)], DOG)], query(DOG))
    assert spans and all(0.0 <= span.start_s < span.end_s <= 0.7 + 1e-6 for span in spans)


def test_where_no_cut_was_found_the_moment_is_still_found(head: MomentHead) -> None:
    shots = [(unlike(DOG, number), 6.0) for number in range(9)]
    shots[4] = (shot_of(DOG, 0.5, 2), 8.0)
    span = best(head, film(shots, DOG, found_cuts=False))
    assert temporal_iou(span, Span(24.0, 32.0, 0.0, {})) > 0.5


def test_the_answer_is_the_same_however_many_segments_are_read_at_once(head: MomentHead) -> None:
    lead = among_others(DOG, 0.5)
    segments = [lead] + [among_others(DOG, 0.3, at=seed % 13, seed=seed) for seed in range(1, 20)]
    together = head.find_all(segments, query(DOG))
    turned = head.find_all(segments[::-1], query(DOG))[::-1]
    for one, other in zip(together, turned, strict=True):
        assert [(s.start_s, s.end_s) for s in one] == [(s.start_s, s.end_s) for s in other]
        assert [s.score for s in one] == pytest.approx([s.score for s in other], abs=1e-4)


def test_a_shot_between_two_clips_is_judged_by_its_own_frame(head: MomentHead) -> None:
    """1.6 s, between the middles of two clips that show its neighbours."""
    shots = [(unlike(DOG, number), 6.0) for number in range(9)]
    plain = film(
        [*shots, (unlike(DOG, 20), 5.2), (unlike(DOG, 21), 1.6), (unlike(DOG, 22), 8.0)], DOG
    )
    own = plain.scene_vectors.copy()
    own[10] = shot_of(DOG, 0.6, 1)
    span = best(head, replace(plain, scene_vectors=own))
    assert (span.start_s, span.end_s) == pytest.approx((59.2, 60.8), abs=0.01)


def test_nothing_to_search_is_no_moment(head: MomentHead) -> None:
    assert head.find_all([], query(DOG)) == []


def test_the_bank_is_of_the_encoders_space() -> None:
    assert bank().dim == load_encoder().dim
    assert np.linalg.norm(bank().photos, axis=1) == pytest.approx(1, abs=5e-3)
    assert np.linalg.norm(bank().sentences, axis=1) == pytest.approx(1, abs=5e-3)


def test_sixteen_segments_take_no_longer_than_a_search_may(head: MomentHead) -> None:
    """The goal is 150 ms on two cores; the limit here leaves room for a busy machine."""
    shots = [(unlike(DOG, number), 6.0) for number in range(25)]
    segments = [film(shots, DOG, seed=seed) for seed in range(16)]
    times_s = []
    for _ in range(4):
        began_s = time.perf_counter()
        head.find_all(segments, query(DOG))
        times_s.append(time.perf_counter() - began_s)
    assert min(times_s) < 1.5
