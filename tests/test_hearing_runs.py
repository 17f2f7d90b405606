"""Where a sound begins and ends, from the evidence of clips and the cuts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from search.hearing_runs import RunSettings, refined, runs

NO_CUTS = np.empty(0)


def times(clips: int) -> NDArray[np.float64]:
    starts = 2.0 * np.arange(clips)
    return np.stack([starts, starts + 2.0], axis=1)


def evidence(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def parts(
    heard: NDArray[np.float32],
    cuts_s: NDArray[np.float64] = NO_CUTS,
    settings: RunSettings | None = None,
) -> list[tuple[float, float]]:
    found = refined(heard, times(len(heard)), cuts_s, settings or RunSettings())
    return [(part.start_s, part.end_s) for part in found]


def test_runs_end_with_the_video_and_with_the_sound() -> None:
    heard = evidence(0, 0.5, 0.3, 0.9, 0.6, 0.05, 0.4)
    owner = np.array([0, 0, 0, 0, 1, 1, 1], np.uint32)
    assert runs(heard, owner) == [(0, slice(1, 4)), (1, slice(4, 5)), (1, slice(6, 7))]
    assert runs(np.zeros(7, np.float32), owner) == []


def test_only_the_surest_runs_are_kept() -> None:
    heard = evidence(*[0.0, 0.3] * 50, 0.0, 0.9)
    owner = np.zeros(len(heard), np.uint32)
    kept = runs(heard, owner, RunSettings(most=3))
    assert kept == [(0, slice(101, 102)), (0, slice(1, 2)), (0, slice(3, 4))]


def test_the_doubtful_clip_before_the_sound_is_not_part_of_it() -> None:
    assert parts(evidence(0.21, 0.95, 0.9, 0.22)) == [(2.0, 6.0)]


def test_a_border_falls_on_a_cut_within_a_clip() -> None:
    assert parts(evidence(0.9, 0.9), np.array([0.0, 3.2, 9.0])) == [(0.0, 3.2)]
    assert parts(evidence(0.9, 0.9), np.array([0.0, 6.5, 9.0])) == [(0.0, 4.0)]


def test_a_sound_within_one_shot_of_a_second_keeps_a_length() -> None:
    cut_at_one = np.array([1.0])
    ((start_s, end_s),) = parts(evidence(0.9), cut_at_one)
    assert (start_s, end_s) == (0.0, 2.0)


def test_endless_speech_is_parted_at_cuts() -> None:
    settings = RunSettings(longest_s=20.0)
    heard = np.full(25, 0.9, np.float32)
    found = parts(heard, np.array([0.0, 16.0, 34.0, 50.0]), settings)
    assert found == [(0.0, 16.0), (16.0, 34.0), (34.0, 50.0)]


def test_endless_speech_without_cuts_is_parted_at_its_pauses() -> None:
    heard = np.full(20, 0.9, np.float32)
    heard[8] = 0.5
    assert parts(heard, NO_CUTS, RunSettings(longest_s=30.0)) == [(0.0, 16.0), (16.0, 40.0)]


@given(
    st.lists(st.floats(0.25, 1, width=32), min_size=1, max_size=200),
    st.lists(st.floats(0, 400), max_size=12),
)
def test_no_part_is_empty_or_too_long_and_none_overlaps_another(
    values: list[float], cuts: list[float]
) -> None:
    settings = RunSettings(near_peak=0.0)
    heard = evidence(*values)
    found = list(refined(heard, times(len(heard)), np.array(sorted(cuts)), settings))
    assert [place for part in found for place in range(len(heard))[part.clips]] == list(
        range(len(heard))
    )
    for part in found:
        assert part.start_s < part.end_s
        clips = part.clips.stop - part.clips.start
        assert 2 * clips <= settings.longest_s
