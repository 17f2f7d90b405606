"""Tapes with a sound track: photos as shots, sounds under them, both from held-out splits.

Some events have a sound of their own, as long as the shot or a part of it; some sounds run across
cuts. A photo that names what makes a sound (a dog, waves, a guitar) often has that sound. A bed
lies under all of it: silence, noise, or an ambience. Part of the photos come twice, with another
sound or none, so that a sentence about both has wrong answers that are half right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.inflection import forms
from training import tapes
from training.fusion.material import RATE, Sound
from training.photos import Photo

EVENTS = 40
"""Events of a tape, repeats among them: about five minutes."""
REPEATS = 10

OWN_SOUND = 0.55
"""Share of the events that have a sound of their own."""
MATCHING = 0.6
"""Share of these in which it is a sound that the photo's words name, where they name one."""
ACROSS = 5
"""Sounds of a tape that heed no cut."""

LOUD_DB = (-26.0, -14.0)
"""Level of a sound over full scale, root mean square."""
OVER_BED_DB = (0.0, 25.0)
"""How far a sound is over the bed."""

AMBIENCES = (
    "air conditioner",
    "birds chirping",
    "children playing",
    "crickets",
    "engine",
    "man speaking",
    "rain",
    "sea waves",
    "street music",
    "wind",
    "woman speaking",
)

SOURCES = {
    "applause": ("audience", "crowd"),
    "baby crying": ("baby", "infant"),
    "birds chirping": ("bird",),
    "car horn": ("car", "traffic", "street"),
    "cat meowing": ("cat",),
    "children playing": ("child", "kid", "playground"),
    "crowd cheering": ("crowd", "stadium"),
    "dog barking": ("dog", "puppy"),
    "drums": ("drum",),
    "engine": ("motorcycle", "truck", "race"),
    "flute": ("flute",),
    "guitar": ("guitar",),
    "helicopter": ("helicopter",),
    "man speaking": ("man",),
    "piano": ("piano",),
    "rooster crowing": ("rooster",),
    "saxophone": ("saxophone",),
    "sea waves": ("beach", "ocean", "sea", "surf", "surfing", "wave"),
    "splash": ("pool", "swimming"),
    "street music": ("band", "musician"),
    "train": ("train",),
    "woman speaking": ("woman",),
}
"""What a photo's words must hold for a sound to be likely under it."""


@dataclass(frozen=True)
class Heard:
    """A sound on a tape."""

    sound: Sound
    start_s: float
    end_s: float
    event: int | None
    """The event whose own sound it is; None for one that runs across, or lies under all."""


@dataclass(frozen=True, repr=False)
class Film:
    """A tape and its sound track."""

    tape: tapes.Tape
    samples: NDArray[np.float32]
    """(n,) mono at RATE, as long as the tape."""
    heard: tuple[Heard, ...]
    bed: Sound | None
    """The ambience under all of it, if there is one."""


def compose(
    photos: Sequence[Photo],
    vectors: NDArray[np.float32],
    order: NDArray[np.int64],
    sounds: dict[str, list[Sound]],
    samples: dict[str, NDArray[np.float32]],
    rng: np.random.Generator,
) -> Film:
    """A film of the photos in `order`, which may repeat; `sounds` are listed by first label."""
    tape = tapes.compose(vectors, order, rng)
    bed, ground = _bed(float(tape.times_s[-1, 1]), sounds, samples, rng)
    heard = []
    for number, event in enumerate(tape.events):
        if rng.random() < OWN_SOUND:
            label = _label(words_of(photos[event.photo]), sounds, rng)
            start_s, end_s = _within(event, rng)
            heard.append(Heard(_one(sounds[label], rng), start_s, end_s, number))
    for _ in range(ACROSS):
        start_s = float(rng.uniform(0, tape.times_s[-1, 1] - 8))
        end_s = start_s + float(np.clip(rng.lognormal(np.log(5.0), 0.6), 1.0, 30.0))
        end_s = min(end_s, float(tape.times_s[-1, 1]))
        heard.append(
            Heard(_one(sounds[_label(frozenset(), sounds, rng)], rng), start_s, end_s, None)
        )
    for item in heard:
        _lay(ground, item, samples[item.sound.key], rng)
    return Film(tape, np.clip(ground, -1, 1), tuple(heard), bed)


def words_of(photo: Photo) -> frozenset[str]:
    """Bases of all words that are said about a photo."""
    text = " ".join((*photo.captions, *photo.labels)).lower()
    words = (word.strip(".,;:!?\"'()") for word in text.replace("-", " ").split())
    return frozenset().union(*(forms(word) for word in words if word))


def _bed(
    length_s: float,
    sounds: dict[str, list[Sound]],
    samples: dict[str, NDArray[np.float32]],
    rng: np.random.Generator,
) -> tuple[Sound | None, NDArray[np.float32]]:
    """What lies under all of it, and its samples."""
    count = round(length_s * RATE)
    ground = np.zeros(count, np.float32)
    kind = rng.random()
    if kind < 0.25:
        return None, ground
    level_db = float(rng.uniform(*LOUD_DB) - rng.uniform(*OVER_BED_DB) - 6)
    if kind < 0.6:
        noise = rng.standard_normal(count).astype(np.float32)
        if rng.random() < 0.5:  # brown: rumble of rooms and machines
            noise = np.convolve(noise, np.ones(64, np.float32) / 8, "same").astype(np.float32)
        return None, noise * _gain(noise, level_db)
    known = [label for label in AMBIENCES if label in sounds]
    sound = _one(sounds[known[int(rng.integers(len(known)))]], rng)
    _fill(ground, samples[sound.key], level_db, 0.0, rng)
    return sound, ground


def _label(words: frozenset[str], sounds: dict[str, list[Sound]], rng: np.random.Generator) -> str:
    """A label that the words make likely, or any: rare labels are drawn as often as others."""
    fitting = [
        label
        for label, sources in SOURCES.items()
        if label in sounds and any(source in words for source in sources)
    ]
    names = fitting if fitting and rng.random() < MATCHING else sorted(sounds)
    return names[int(rng.integers(len(names)))]


def _one(sounds: Sequence[Sound], rng: np.random.Generator) -> Sound:
    return sounds[int(rng.integers(len(sounds)))]


def _within(event: tapes.Event, rng: np.random.Generator) -> tuple[float, float]:
    """As long as the event, or a part of it of a second and more."""
    length_s = event.end_s - event.start_s
    if length_s < 2.5 or rng.random() < 0.65:
        return event.start_s, event.end_s
    part_s = float(rng.uniform(0.4, 0.9) * length_s)
    start_s = event.start_s + float(rng.uniform(0, length_s - part_s))
    return start_s, start_s + part_s


def _lay(
    ground: NDArray[np.float32], item: Heard, sound: NDArray[np.float32], rng: np.random.Generator
) -> None:
    """Mix a sound into the track, repeated until it ends."""
    part = ground[round(item.start_s * RATE) : round(item.end_s * RATE)]
    gap_s = float(rng.uniform(0.0, 0.8)) if len(sound) < 3 * RATE else 0.0
    _fill(part, sound, float(rng.uniform(*LOUD_DB)), gap_s, rng)


def _fill(
    ground: NDArray[np.float32],
    sound: NDArray[np.float32],
    level_db: float,
    gap_s: float,
    rng: np.random.Generator,
) -> None:
    """Add a sound to all of `ground`, over and over, from a random place in it."""
    loud = sound * _gain(sound, level_db)
    period = np.concatenate([loud, np.zeros(round(gap_s * RATE), np.float32)])
    if len(sound) > 3 * RATE:
        period = np.roll(period, int(rng.integers(len(period))))
    ground += np.resize(period, len(ground))


def _gain(sound: NDArray[np.float32], level_db: float) -> np.float32:
    power = float(np.sqrt(np.mean(sound.astype(np.float64) ** 2)))
    return np.float32(10 ** (level_db / 20) / max(power, 1e-6))
