"""What is asked of a film: sentences about its pictures, about its sounds, about both, and absent.

Answers are stretches of time. A sentence about a sound is also answered by a picture whose words
hold all of it ("a guitar" by a guitar that nobody plays); one about both only where both are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from search.inflection import forms
from training.captions import shortened
from training.fusion.films import Film, words_of
from training.fusion.material import Sound
from training.photos import Photo

PICTURE, SOUND, BOTH, ABSENT = "picture", "sound", "both", "absent sound"
KINDS = (PICTURE, SOUND, BOTH, ABSENT)

_JOINTS = ("{}, {}", "{} and {}", "{} with {}", "{} while one hears {}")

_COVERED = 0.6
"""Share of an event that its own sound must fill for a sentence about both to be true of it."""

_ABSENT_PER_FILM = 6

Stretch = tuple[float, float]


@dataclass(frozen=True)
class Question:
    """A sentence and where it is true; nowhere where it is absent."""

    kind: str
    text: str
    answers: tuple[Stretch, ...]
    label: str | None = None
    """First label of the sound that it is about, if it is about one."""


def ask(
    film: Film, photos: Sequence[Photo], sounds: dict[str, list[Sound]], rng: np.random.Generator
) -> Iterator[Question]:
    """The questions about a film; `sounds` are listed by first label."""
    yield from _about_pictures(film, photos, rng)
    yield from _about_sounds(film, photos, rng)
    yield from _about_both(film, photos, rng)
    yield from _absent(film, photos, sounds, rng)


def _about_pictures(
    film: Film, photos: Sequence[Photo], rng: np.random.Generator
) -> Iterator[Question]:
    events = film.tape.events
    for number in dict.fromkeys(event.photo for event in events):
        text = _said(photos[number], rng)
        same = [
            (event.start_s, event.end_s)
            for event in events
            if event.photo == number or text in photos[event.photo].labels
        ]
        yield Question(PICTURE, text, tuple(same))


def _about_sounds(
    film: Film, photos: Sequence[Photo], rng: np.random.Generator
) -> Iterator[Question]:
    for label in dict.fromkeys(item.sound.labels[0] for item in film.heard):
        item = next(item for item in film.heard if item.sound.labels[0] == label)
        text = _named(item.sound, rng)
        if film.bed is not None and _true_of(text, film.bed):
            continue
        heard = [(i.start_s, i.end_s) for i in film.heard if _true_of(text, i.sound)]
        yield Question(SOUND, text, (*heard, *_shown(text, film, photos)), label)


def _about_both(
    film: Film, photos: Sequence[Photo], rng: np.random.Generator
) -> Iterator[Question]:
    events = film.tape.events
    for item in film.heard:
        if item.event is None:
            continue
        event = events[item.event]
        times = [other for other in events if other.photo == event.photo]
        covered = (item.end_s - item.start_s) / (event.end_s - event.start_s)
        if covered < _COVERED or len(times) < 2:
            continue
        named = _named(item.sound, rng)
        joint = _JOINTS[int(rng.integers(len(_JOINTS)))]
        own = [
            (events[i.event].start_s, events[i.event].end_s)
            for i in film.heard
            if i.event is not None
            and events[i.event].photo == event.photo
            and _true_of(named, i.sound)
        ]
        text = joint.format(_said(photos[event.photo], rng), named)
        yield Question(BOTH, text, tuple(own), item.sound.labels[0])


def _absent(
    film: Film, photos: Sequence[Photo], sounds: dict[str, list[Sound]], rng: np.random.Generator
) -> Iterator[Question]:
    """Sounds that are neither heard nor shown."""
    present = [item.sound for item in film.heard] + ([film.bed] if film.bed else [])
    gone = []
    for label in sorted(sounds):
        text = _named(sounds[label][0], rng)
        if not any(_true_of(text, s) for s in present) and not _shown(text, film, photos):
            gone.append((text, label))
    for place in rng.permutation(len(gone))[:_ABSENT_PER_FILM].tolist():
        text, label = gone[place]
        yield Question(ABSENT, text, (), label)


def _said(photo: Photo, rng: np.random.Generator) -> str:
    """A caption, half of the time in a short form; a label where there is no caption."""
    if not photo.captions:
        return photo.labels[int(rng.integers(len(photo.labels)))]
    caption = photo.captions[int(rng.integers(len(photo.captions)))]
    forms_ = shortened(caption)
    if forms_ and rng.random() < 0.5:
        return forms_[int(rng.integers(len(forms_)))]
    return caption


def _named(sound: Sound, rng: np.random.Generator) -> str:
    """The label's own words, or a sentence of it."""
    ways = (sound.labels[0], *sound.sentences)
    return ways[int(rng.integers(len(ways)))]


def _true_of(text: str, sound: Sound) -> bool:
    return text in sound.labels or text in sound.sentences


def _shown(text: str, film: Film, photos: Sequence[Photo]) -> list[Stretch]:
    """Events whose photo is described by all the words that carry the text."""
    words = [word for word in text.lower().split() if word not in ("a", "an", "the", "of", "on")]
    return [
        (event.start_s, event.end_s)
        for event in film.tape.events
        if all(forms(word) & words_of(photos[event.photo]) for word in words)
    ]
