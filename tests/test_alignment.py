"""Sound lies where the film's own time puts it, whatever the file's blocks look like."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer.alignment import SoundAligner
from indexer.audio import Sound

RATE = 1000
COUNT = np.arange(1, 4001, dtype=np.float32)
"""Four seconds in which each sample says which one it is, from 1."""


def aligned(
    blocks: list[tuple[float | None, NDArray[np.float32]]],
    start_s: float = 0.0,
    may_jump: bool = False,
) -> NDArray[np.float32]:
    aligner = SoundAligner(RATE, start_s, may_jump)
    pieces = [p for time_s, samples in blocks for p in aligner.push(Sound(time_s, RATE, samples))]
    return np.concatenate([np.empty(0, np.float32), *pieces])


@given(st.lists(st.integers(1, 3999), max_size=8), st.floats(-3.0, 3.0), st.booleans())
def test_how_a_track_is_cut_into_blocks_makes_no_difference(
    cuts: list[int], begins_s: float, may_jump: bool
) -> None:
    borders = [0, *sorted(set(cuts)), len(COUNT)]
    blocks: list[tuple[float | None, NDArray[np.float32]]] = [
        (begins_s + first / RATE, COUNT[first:end]) for first, end in pairwise(borders)
    ]
    whole = aligned([(begins_s, COUNT)], may_jump=may_jump)
    np.testing.assert_array_equal(aligned(blocks, may_jump=may_jump), whole)


def test_what_comes_before_the_first_picture_is_dropped() -> None:
    run = aligned([(0.0, COUNT)], start_s=1.5)
    assert run[0] == 1501 and len(run) == 2500


def test_a_track_that_begins_after_the_picture_is_preceded_by_silence() -> None:
    run = aligned([(2.5, COUNT)], start_s=1.5)
    assert not run[:1000].any() and run[1000] == 1


def test_a_gap_is_silence_and_an_overlap_is_heard_once() -> None:
    run = aligned([(0.0, COUNT[:1000]), (3.0, COUNT[3000:])])
    assert not run[1000:3000].any()
    np.testing.assert_array_equal(run[3000:], COUNT[3000:])
    run = aligned([(0.0, COUNT[:2000]), (1.5, COUNT[1500:])])
    np.testing.assert_array_equal(run, COUNT)


def test_jitter_of_a_containers_clock_does_not_tear_the_sound() -> None:
    run = aligned(
        [(k + 0.03 * (-1) ** k * (k > 0), COUNT[k * 1000 : (k + 1) * 1000]) for k in range(4)]
    )
    np.testing.assert_array_equal(run, COUNT)


def test_blocks_without_a_time_follow_on() -> None:
    run = aligned([(0.0, COUNT[:100]), (None, COUNT[100:])])
    np.testing.assert_array_equal(run, COUNT)


@pytest.mark.parametrize("jump_s", [-100.0, 26.5 * 3600])
def test_a_clock_that_breaks_is_taken_out(jump_s: float) -> None:
    blocks: list[tuple[float | None, NDArray[np.float32]]] = [
        (0.0, COUNT[:1000]),
        (1.0 + jump_s, COUNT[1000:2000]),
        (2.0 + jump_s, COUNT[2000:]),
    ]
    np.testing.assert_array_equal(aligned(blocks, may_jump=True), COUNT)
    np.testing.assert_array_equal(aligned(blocks, may_jump=False), COUNT)


def test_a_minute_without_sound_is_silence_but_a_broadcast_clock_may_jump_as_far() -> None:
    blocks: list[tuple[float | None, NDArray[np.float32]]] = [
        (0.0, COUNT[:1000]),
        (61.0, COUNT[1000:]),
    ]
    assert len(aligned(blocks, may_jump=False)) == 64_000
    assert len(aligned(blocks, may_jump=True)) == 4_000
