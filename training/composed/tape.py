"""Tapes put together from the looks of photos, as an indexer would have left them.

An event is a photo shown in one or several shots; events follow one another with hard cuts, some
with cross-fades. What makes a real shot hard is imitated: people come and go (another picture
mixes in for a while), the detector misses cuts and invents some, an event returns later, a
neighbour is nearly the same, leader and titles stand between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from search.moments.base import SegmentView
from storage.records import CLIP_S, SEGMENT_CLIPS
from training.composed.looks import PLAIN, SHOTS, STEPS

_PASSING_S = 6.0
"""Longest half of such a while."""


@dataclass(frozen=True)
class Style:
    """How a film is cut, and how well its cuts were found."""

    shot_s: float = 4.5
    """Median length of a shot."""
    spread: float = 0.7
    """Deviation of the logarithm of a shot's length."""
    more_shots: float = 0.35
    """Chance that another shot of the same event follows."""
    fades: float = 0.1
    """Share of the cuts that are cross-fades of 0.4 to 1.2 s."""
    missed: float = 0.1
    """Share of the cuts that the detector misses; of the cross-fades four times as many."""
    invented_per_s: float = 1 / 60
    passers_by: float = 0.4
    """Chance that another picture mixes in for a while, for every few seconds of a shot: the longer
    a camera looks, the more it sees besides."""
    still: float = 0.1
    """Share of the shots in which nothing moves."""
    stray: float = 0.15
    """Length of the random vector that is added to each clip's unit vector."""
    takes: float = 0.0
    """Share of the events that begin without a cut: the camera only moves on, or somebody comes."""
    places: float = 0.0
    """Share of the events, of those that begin with a cut, that share place and light with the one
    before."""
    longest_s: float = 60.0


@dataclass(frozen=True)
class Shot:
    """A stretch between two true cuts."""

    event: int
    """Number of the event on the tape."""
    photo: int
    """Row of the vectors."""
    angle: int
    """Which of the photo's two shots; -1 for the whole picture, unmoved."""
    start_s: float
    end_s: float
    fade_s: float
    """Length of the cross-fade into this shot; 0 for a hard cut."""
    scenery: float = 0.0
    """How much of the event before is still in sight: the same place, the same light."""
    seamless: bool = False
    """Whether it begins without a cut, within a take."""


@dataclass(frozen=True, repr=False)
class Tape:
    """A composed film as the archive would hold it, and what is truly on it."""

    vectors: NDArray[np.float32]
    """(clips, dim), unit length."""
    times_s: NDArray[np.float64]
    """(clips, 2)"""
    scenes_s: NDArray[np.float64]
    """(scenes, 2), between the cuts that the imagined detector found."""
    scene_vectors: NDArray[np.float32]
    """(scenes, dim), unit length."""
    shots: tuple[Shot, ...]

    def windows(self, photos: frozenset[int]) -> list[tuple[float, float]]:
        """Start and end of the stretches that show one of the photos, consecutive ones joined."""
        joined: list[tuple[float, float]] = []
        for shot in self.shots:
            if shot.photo not in photos:
                continue
            if joined and abs(joined[-1][1] - shot.start_s) < 1e-6:
                joined[-1] = (joined[-1][0], shot.end_s)
            else:
                joined.append((shot.start_s, shot.end_s))
        return joined


def compose(
    vectors: NDArray[np.floating],
    events: Sequence[int],
    style: Style,
    rng: np.random.Generator,
    longest_s: float = 1e9,
) -> Tape:
    """A tape of the events in this order.

    Args:
        vectors: (photos, looks, dim), unit length.
        events: row of the photo of each event; the same row may come back.
        longest_s: the tape ends there, within an event if need be.
    """
    shots = _shots(events, style, rng, longest_s)
    end_s = shots[-1].end_s
    starts_s = np.arange(0.0, max(end_s - 1e-6, CLIP_S / 4), CLIP_S)
    times_s = np.stack([starts_s, np.minimum(starts_s + CLIP_S, end_s)], axis=1)
    clips = _frames(vectors, shots, times_s.mean(axis=1), style, rng)
    scenes_s = _scenes(shots, style, rng)
    return Tape(clips, times_s, scenes_s, _scene_vectors(clips, times_s, scenes_s), tuple(shots))


def views(tape: Tape, background: float, deviation: float, overlap: int = 0) -> list[SegmentView]:
    """The segments of a tape, each of which shares `overlap` clips with the one before."""
    clips = len(tape.vectors)
    starts = list(range(0, max(1, clips - overlap), SEGMENT_CLIPS - overlap))
    return [
        view(tape, slice(first, min(clips, first + SEGMENT_CLIPS)), background, deviation)
        for first in starts
    ]


def view(tape: Tape, clips: slice, background: float, deviation: float) -> SegmentView:
    """One stretch of a tape, as a head is shown it."""
    times_s = tape.times_s[clips]
    inside = (tape.scenes_s[:, 1] > times_s[0, 0]) & (tape.scenes_s[:, 0] < times_s[-1, 1])
    return SegmentView(
        tape.vectors[clips],
        times_s,
        tape.scenes_s[inside],
        tape.scene_vectors[inside],
        background,
        deviation,
    )


def _shots(
    events: Sequence[int], style: Style, rng: np.random.Generator, longest_s: float
) -> list[Shot]:
    shots: list[Shot] = []
    now_s = 0.0
    for number, photo in enumerate(events):
        count = 1
        while rng.random() < style.more_shots and count < 5:
            count += 1
        angle = int(rng.integers(SHOTS))
        on = bool(shots) and rng.random() < style.takes
        beside = bool(shots) and rng.random() < (1.0 if on else style.places)
        scenery = rng.uniform(0.1, 0.6) if beside else 0.0
        for _ in range(count):
            length_s = float(
                np.clip(rng.lognormal(np.log(style.shot_s), style.spread), 0.8, style.longest_s)
            )
            until_s = min(now_s + length_s, longest_s)
            if until_s - now_s < 0.4:
                return shots
            fade_s = rng.uniform(0.4, 1.2) if shots and rng.random() < style.fades else 0.0
            still = -1 if rng.random() < style.still else angle
            if on:
                fade_s = rng.uniform(1.0, 3.0)
            shots.append(Shot(number, photo, still, now_s, until_s, fade_s, scenery, on))
            on = False  # only the first shot of an event follows without a cut
            now_s = until_s
            angle = (angle + 1) % SHOTS
    return shots


def _frames(
    vectors: NDArray[np.floating],
    shots: Sequence[Shot],
    middles_s: NDArray[np.float64],
    style: Style,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """(clips, dim): what is seen in the middle of each clip."""
    photos, _, dim = vectors.shape
    starts_s = np.array([shot.start_s for shot in shots])
    of_clip = np.searchsorted(starts_s, middles_s, side="right") - 1
    frames = np.zeros((len(middles_s), dim), np.float32)
    for number in np.unique(of_clip).tolist():
        shot, rows = shots[number], np.flatnonzero(of_clip == number)
        times_s = middles_s[rows]
        frames[rows] = _along(vectors, shot, times_s)
        if shot.scenery:
            before = next(other for other in shots[number::-1] if other.event < shot.event)
            frames[rows] += shot.scenery * vectors[before.photo, PLAIN].astype(np.float32)
        for _ in range(
            rng.binomial(1 + int((shot.end_s - shot.start_s) / _PASSING_S), style.passers_by)
        ):
            who = vectors[int(rng.integers(photos)), int(rng.integers(SHOTS * STEPS))]
            middle_s = rng.uniform(shot.start_s, shot.end_s)
            reach_s = rng.uniform(1.0, _PASSING_S)
            share = rng.uniform(0.1, 0.9) * np.exp(-(((times_s - middle_s) / reach_s) ** 2))
            frames[rows] += share[:, np.newaxis] * who.astype(np.float32)
        # A cross-fade lies half before and half after the cut.
        for other, cut_s, fade_s in (
            (number - 1, shot.start_s, shot.fade_s),
            (
                number + 1,
                shot.end_s,
                shots[number + 1].fade_s if number + 1 < len(shots) else 0.0,
            ),
        ):
            if fade_s and 0 <= other < len(shots):
                near = np.abs(times_s - cut_s) < fade_s / 2
                share = (0.5 - np.abs(times_s - cut_s) / fade_s)[near]
                mixed = _along(vectors, shots[other], times_s[near])
                frames[rows[near]] += (share / (1 - share))[:, np.newaxis] * mixed
    frames += style.stray / dim**0.5 * rng.standard_normal(frames.shape, np.float32)
    unit: NDArray[np.float32] = frames / np.linalg.norm(frames, axis=1, keepdims=True)
    return unit


def _along(
    vectors: NDArray[np.floating], shot: Shot, times_s: NDArray[np.float64]
) -> NDArray[np.float32]:
    """What the camera sees at these times, between its positions in proportion."""
    if shot.angle < 0:
        plain: NDArray[np.float32] = vectors[shot.photo, PLAIN].astype(np.float32)
        return np.repeat(plain[np.newaxis], len(times_s), axis=0)
    steps = vectors[shot.photo, shot.angle * STEPS : (shot.angle + 1) * STEPS].astype(np.float32)
    along = (times_s - shot.start_s) / (shot.end_s - shot.start_s) * (STEPS - 1)
    along = along.clip(0, STEPS - 1 - 1e-9)
    low = along.astype(np.int64)
    share = (along - low)[:, np.newaxis].astype(np.float32)
    mixed: NDArray[np.float32] = (1 - share) * steps[low] + share * steps[low + 1]
    return mixed


def _scenes(shots: Sequence[Shot], style: Style, rng: np.random.Generator) -> NDArray[np.float64]:
    end_s = shots[-1].end_s
    found = []
    for shot in shots[1:]:
        if not shot.seamless and rng.random() >= style.missed * (4.0 if shot.fade_s else 1.0):
            found.append(shot.start_s + rng.uniform(-0.5, 0.5) * shot.fade_s)
    invented = rng.uniform(0.0, end_s, rng.poisson(end_s * style.invented_per_s)).tolist()
    borders = np.array(sorted({0.0, end_s, *found, *invented}))
    return np.array(list(pairwise(borders.tolist())))


def _scene_vectors(
    clips: NDArray[np.float32], times_s: NDArray[np.float64], scenes_s: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(scenes, dim): mean of each scene's clips, the nearest clip's where it has none."""
    middles_s = times_s.mean(axis=1)
    sums = np.concatenate([np.zeros((1, clips.shape[1])), np.cumsum(clips, axis=0)])
    first, end = np.searchsorted(middles_s, scenes_s.T)
    nearest = np.abs(middles_s[:, np.newaxis] - scenes_s.mean(axis=1)).argmin(axis=0)
    lonely = first == end
    first, end = np.where(lonely, nearest, first), np.where(lonely, nearest + 1, end)
    means = sums[end] - sums[first]
    unit: NDArray[np.float32] = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(
        np.float32
    )
    return unit
