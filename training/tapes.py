"""Tapes composed of held-out photos, on which the moment head's constants are chosen.

A photo becomes an event: one to three shots, each a crop that moves across it, mirrored or closer
in the next shot. Events follow one another with hard cuts; a sentence about the photo is the query
and its event the moment. What the cut detector does is imitated: some cuts are missed, some are
invented.
The tapes hold photos of the validation split only, and no frame of any film.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from search.moments.base import SegmentView
from storage.records import CLIP_S, SEGMENT_CLIPS
from training.photos import Photo
from training.views import crop_box, squash

LOOKS = 8
"""Crops of one photo: four positions of a slow move in each of two shots."""
MISSED_CUTS = 0.08
INVENTED_CUTS_PER_S = 1 / 60


@dataclass(frozen=True)
class Event:
    """A photo on a tape."""

    photo: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Tape:
    """A composed tape as an indexer would have left it."""

    vectors: NDArray[np.float32]
    """(clips, dim), unit length."""
    times_s: NDArray[np.float64]
    """(clips, 2)"""
    scenes_s: NDArray[np.float64]
    """(scenes, 2), between the cuts that the imagined detector found."""
    events: tuple[Event, ...]


def looks(picture: Image.Image, photo: Photo, seed: int) -> NDArray[np.uint8]:
    """(LOOKS, 260, 260, 3): the first half moves across the whole, the second closer in."""
    rng = np.random.default_rng([seed, *photo.key.encode()])
    pictures = []
    for shot in range(2):
        area = rng.uniform(0.55, 0.95) if shot == 0 else rng.uniform(0.25, 0.6)
        aspect = float(np.exp(rng.uniform(np.log(0.8), np.log(1.8))))
        path = rng.random((2, 2))
        mirrored = shot == 1 and rng.random() < 0.5
        source = ImageOps.mirror(picture) if mirrored else picture
        for step in np.linspace(0, 1, LOOKS // 2):
            x, y = path[0] + step * (path[1] - path[0])
            pictures.append(squash(source, crop_box(*source.size, area, aspect, x, y)))
    return np.stack(pictures)


def compose(
    vectors: NDArray[np.float32], order: NDArray[np.int64], rng: np.random.Generator
) -> Tape:
    """A tape of the photos in `order`; `vectors` is (photos, LOOKS, dim)."""
    shots: list[tuple[int, int, float, float]] = []
    events = []
    now_s = 0.0
    for photo in order.tolist():
        start_s = now_s
        for number in range(int(rng.choice([1, 2, 3], p=[0.65, 0.25, 0.1]))):
            length_s = float(np.clip(rng.lognormal(np.log(5.5), 0.7), 0.8, 30.0))
            shots.append((photo, number % 2, now_s, now_s + length_s))
            now_s += length_s
        events.append(Event(photo, start_s, now_s))
    starts = np.arange(0.0, now_s, CLIP_S)
    centres = np.minimum(starts + CLIP_S / 2, now_s)
    times_s = np.stack([starts, np.minimum(starts + CLIP_S, now_s)], axis=1)
    return Tape(
        np.stack([_frame(vectors, shots, centre_s) for centre_s in centres.tolist()]),
        times_s,
        _scenes([shot[3] for shot in shots], rng),
        tuple(events),
    )


def views(tape: Tape, of_scenes: NDArray[np.float32], background: float) -> Iterator[SegmentView]:
    """The segments of a tape without overlap; `of_scenes` is (scenes, dim)."""
    for first in range(0, len(tape.vectors), SEGMENT_CLIPS):
        clips = slice(first, first + SEGMENT_CLIPS)
        times_s = tape.times_s[clips]
        inside = (tape.scenes_s[:, 1] > times_s[0, 0]) & (tape.scenes_s[:, 0] < times_s[-1, 1])
        yield SegmentView(
            tape.vectors[clips], times_s, tape.scenes_s[inside], of_scenes[inside], background
        )


def scene_vectors(tape: Tape) -> NDArray[np.float32]:
    """(scenes, dim): mean of each scene's clip vectors, the nearest clip's where it has none."""
    centres = tape.times_s.mean(axis=1)
    means = []
    for start_s, end_s in tape.scenes_s:
        inside = (centres >= start_s) & (centres < end_s)
        if not inside.any():
            inside[np.abs(centres - (start_s + end_s) / 2).argmin()] = True
        mean = tape.vectors[inside].mean(axis=0)
        means.append(mean / np.linalg.norm(mean))
    return np.stack(means)


def _frame(
    vectors: NDArray[np.float32], shots: list[tuple[int, int, float, float]], time_s: float
) -> NDArray[np.float32]:
    photo, angle, start_s, end_s = next(shot for shot in shots if time_s <= shot[3])
    half = LOOKS // 2
    step = min(half - 1, int((time_s - start_s) / (end_s - start_s) * half))
    look: NDArray[np.float32] = vectors[photo, angle * half + step]
    return look


def _scenes(cuts_s: list[float], rng: np.random.Generator) -> NDArray[np.float64]:
    end_s = cuts_s[-1]
    kept = [cut_s for cut_s in cuts_s[:-1] if rng.random() >= MISSED_CUTS]
    invented = rng.uniform(0.0, end_s, rng.poisson(end_s * INVENTED_CUTS_PER_S))
    borders = np.array(sorted({0.0, end_s, *kept, *invented.tolist()}))
    return np.stack([borders[:-1], borders[1:]], axis=1)
