"""Which frames stand for clips and scenes."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from indexer import timeline
from indexer.sampling import ClipSampler, SceneSampler


@dataclass(frozen=True)
class Tick:
    """A frame of which only the time matters."""

    time_s: float


def sampled(times_s: list[float], end_s: float) -> list[float]:
    """Times of the frames that stand for clips 0, 1, 2 …"""
    sampler: ClipSampler[Tick] = ClipSampler()
    samples = [sample for time_s in times_s for sample in sampler.push(Tick(time_s))]
    samples += sampler.finish(timeline.clip_count(times_s[0], end_s))
    assert [sample.clip for sample in samples] == list(range(len(samples)))
    return [sample.frame.time_s for sample in samples]


def test_a_clip_is_the_last_frame_before_its_centre() -> None:
    """At 25 fps the frames at 0.96 s and 2.96 s, as ffmpeg's fps filter has it."""
    assert sampled([n / 25 for n in range(100)], 4.0) == [0.96, 2.96]


def test_clips_count_from_the_first_frame_of_a_film_that_starts_late() -> None:
    assert sampled([10.0, 10.9, 11.1, 12.9, 13.1], 14.0) == [10.9, 12.9]


def test_a_frame_held_for_long_stands_for_all_clips_it_is_shown_in() -> None:
    assert sampled([0.0, 7.2, 7.5], 8.0) == [0.0, 0.0, 0.0, 0.0]


def test_a_tail_that_ends_before_its_centre_is_its_last_frame() -> None:
    assert sampled([0.0, 0.9, 2.0, 2.2], 2.4) == [0.9, 2.2]


@given(st.lists(st.floats(0.001, 5.0), min_size=1, max_size=200), st.floats(0.001, 5.0))
def test_every_clip_of_any_film_has_a_frame_shown_in_or_before_it(
    gaps_s: list[float], last_s: float
) -> None:
    times_s = [0.0]
    for gap_s in gaps_s:
        times_s.append(times_s[-1] + gap_s)
    end_s = times_s[-1] + last_s
    chosen_s = sampled(times_s, end_s)
    clips = timeline.clip_times(0.0, end_s)
    assert len(chosen_s) == len(clips)
    for time_s, (_, clip_end_s) in zip(chosen_s, clips, strict=True):
        assert time_s <= clip_end_s


def scene_samples(
    cuts_s: list[float], end_s: float, lag_s: float, clip_s: list[float]
) -> list[float]:
    """Extra frames chosen in a 25 fps film whose cuts are reported `lag_s` late."""
    sampler: SceneSampler[Tick] = SceneSampler()
    due = list(cuts_s)
    extra: list[float] = []
    for number in range(round(end_s * 25)):
        time_s = number / 25
        sampler.push(Tick(time_s))
        if time_s in clip_s:
            sampler.sampled(time_s)
        while due and time_s >= due[0] + lag_s:
            extra += [sample.frame.time_s for sample in sampler.close(due.pop(0))]
    for cut_s in [*due, end_s]:
        extra += [sample.frame.time_s for sample in sampler.close(cut_s)]
    return extra


def test_a_scene_between_two_clip_centres_gets_a_frame_of_its_own() -> None:
    (time_s,) = scene_samples([1.2, 2.6], 4.0, 0.12, clip_s=[1.0, 3.0])
    assert 1.2 <= time_s < 2.6


def test_a_scene_with_a_clip_centre_needs_no_other_frame() -> None:
    assert scene_samples([2.0], 4.0, 0.12, clip_s=[1.0, 3.0]) == []


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([0.0, 0.12, 0.6]))
def test_a_short_scene_has_a_frame_within_it_however_late_its_cuts_are_told(
    first: int, length: int, lag_s: float
) -> None:
    start_s, end_s = first / 25, (first + length) / 25
    extra = scene_samples([start_s, end_s], end_s + 2.0, lag_s, clip_s=[])
    assert len(extra) == 3
    near_s = 0.0 if length >= 3 else 0.1  # shorter than the spacing of what is remembered
    assert start_s - near_s <= extra[1] < end_s + near_s
