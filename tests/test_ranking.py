"""What two segments found twice is shown once, and the order is always the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from search.moments.base import Span
from search.ranking import NMS_IOU, Candidate, rank, temporal_iou


def candidate(video: int, start_s: float, end_s: float, score: float) -> Candidate:
    return Candidate(video, Span(start_s, end_s, score, {}), segment_row=0)


def test_a_moment_found_in_two_overlapping_segments_is_one_hit() -> None:
    ranked = rank([candidate(0, 130, 140, 0.4), candidate(0, 130, 141, 0.5)], top=10)
    assert [(hit.span.start_s, hit.span.end_s) for hit in ranked] == [(130, 141)]


def test_the_same_times_in_another_video_are_another_hit() -> None:
    assert len(rank([candidate(0, 0, 10, 0.4), candidate(1, 0, 10, 0.5)], top=10)) == 2


def test_neighbouring_moments_stay_apart() -> None:
    assert len(rank([candidate(0, 0, 10, 0.4), candidate(0, 10, 20, 0.5)], top=10)) == 2


def test_iou_by_hand() -> None:
    assert temporal_iou(Span(0, 10, 0, {}), Span(5, 15, 0, {})) == 5 / 15
    assert temporal_iou(Span(0, 10, 0, {}), Span(10, 15, 0, {})) == 0.0


candidates = st.lists(
    st.builds(
        lambda video, start, length, score: candidate(video, start, start + length, score / 10),
        st.integers(0, 2),
        st.integers(0, 50),
        st.integers(1, 20),
        st.integers(0, 10),
    ),
    max_size=40,
)


@given(candidates, st.randoms(use_true_random=False))
def test_the_answer_does_not_hang_on_the_order_of_discovery(found, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(found)
    random.shuffle(shuffled)
    assert rank(shuffled, 10) == rank(found, 10)


@given(candidates)
def test_kept_hits_descend_and_none_repeats_another(found: list[Candidate]) -> None:
    kept = rank(found, top=100)
    assert [hit.span.score for hit in kept] == sorted(
        (hit.span.score for hit in kept), reverse=True
    )
    for place, hit in enumerate(kept):
        for better in kept[:place]:
            assert (
                hit.video_row != better.video_row or temporal_iou(hit.span, better.span) < NMS_IOU
            )
    if found:
        assert kept[0].span.score == max(hit.span.score for hit in found)
