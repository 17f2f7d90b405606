"""Clips and segments cover a film exactly, whatever its length."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer import timeline
from storage.records import CLIP_S, SEGMENT_CLIPS

starts = st.floats(0, 1e5)
lengths = st.floats(0.01, 4e4)


def test_ten_minutes_are_300_clips() -> None:
    times_s = timeline.clip_times(0.0, 600.0)
    assert times_s.shape == (300, 2)
    assert times_s[0].tolist() == [0.0, 2.0]
    assert times_s[-1].tolist() == [598.0, 600.0]


def test_a_tail_shorter_than_a_clip_is_a_clip() -> None:
    assert timeline.clip_times(1.0, 5.5).tolist() == [[1.0, 3.0], [3.0, 5.0], [5.0, 5.5]]


def test_a_single_frame_is_a_clip() -> None:
    assert timeline.clip_times(0.0, 0.04).tolist() == [[0.0, 0.04]]


def test_rounding_of_the_clock_makes_no_clip() -> None:
    assert timeline.clip_count(0.0, 10.0000004) == 5


@given(starts, lengths)
def test_clips_are_consecutive_and_cover_the_film(start_s: float, length_s: float) -> None:
    end_s = start_s + length_s
    times_s = timeline.clip_times(start_s, end_s)
    assert times_s[0, 0] == start_s
    assert times_s[-1, 1] == end_s
    assert np.array_equal(times_s[1:, 0], times_s[:-1, 1])
    assert (np.diff(times_s, axis=1) <= CLIP_S + 2e-3).all()


@given(st.integers(1, 5000), st.integers(0, SEGMENT_CLIPS - 1))
def test_segments_cover_all_clips_and_share_the_overlap(clips: int, overlap: int) -> None:
    segments = timeline.segments(clips, overlap)
    assert segments[0].first_clip == 0
    assert segments[-1].first_clip + segments[-1].clip_count == clips
    assert all(segment.clip_count == min(clips, SEGMENT_CLIPS) for segment in segments)
    for one, following in pairwise(segments):
        assert following.number == one.number + 1
        assert following.first_clip > one.first_clip
        assert one.first_clip + one.clip_count - following.first_clip >= overlap


@given(st.integers(1, 2000), st.data())
def test_a_moment_of_thirty_seconds_lies_whole_in_a_segment(
    clips: int, data: st.DataObject
) -> None:
    overlap = timeline.overlap_clips(timeline.DEFAULT_OVERLAP_S)
    length = data.draw(st.integers(1, min(overlap, clips)))
    first = data.draw(st.integers(0, clips - length))
    assert any(
        segment.first_clip <= first and first + length <= segment.first_clip + segment.clip_count
        for segment in timeline.segments(clips, overlap)
    )


def test_an_overlap_as_long_as_a_segment_is_refused() -> None:
    with pytest.raises(ValueError, match="0 to 148 seconds"):
        timeline.overlap_clips(150.0)
