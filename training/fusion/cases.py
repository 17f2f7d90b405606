"""Questions with all that a rule may look at: the spans of a moment head, and what is heard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from search.hearing import Heard
from search.hearing_asks import Asks
from search.hearing_space import SoundSentences, SpaceEars
from search.moments.base import MomentHead, Span
from search.sound_words import named_share
from search.text.base import EncodedQuery, TextEncoder
from storage.audioset import labels
from storage.records import CLIP_S
from training import tapes
from training.fusion import films
from training.fusion.films import Film
from training.fusion.material import RATE, Material
from training.fusion.questions import Question, ask

FRESH = films.EVENTS - films.REPEATS
"""Photos of a film."""


@dataclass(frozen=True, repr=False)
class Case:
    """A question put to one film."""

    question: Question
    query: EncodedQuery
    seen: tuple[Span, ...]
    """What the head finds in all segments, best first."""
    heard: Heard
    """What the ears say of the film's clips, and how far the sentence asks for sound."""
    named: float
    """The first of the two readings of that: the share of its words that name sounds."""
    meant: float
    """The second: what the regression says of its sentence vector."""
    times_s: NDArray[np.float64]
    """(clips, 2)"""
    scenes_s: NDArray[np.float64]
    """(scenes, 2)"""
    background: float
    deviation: float
    """Of the query's similarity to the clips of all films."""


def screen(material: Material, seed: int) -> Iterator[tuple[Film, list[Question]]]:
    """Films of all the photos, in random order, and what is asked of each."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(material.photos))
    for first in range(0, len(order) - FRESH + 1, FRESH):
        own = order[first : first + FRESH]
        shown = rng.permutation(np.concatenate([own, rng.choice(own, films.REPEATS, False)]))
        film = films.compose(
            material.photos, material.vectors, shown, material.sounds, material.samples, rng
        )
        yield film, list(ask(film, material.photos, material.sounds, rng))


def cases(
    screened: Sequence[tuple[Film, list[Question]]],
    words: TextEncoder,
    head: MomentHead,
    tower: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    sentences: SoundSentences,
    asks: Callable[[Question], Asks],
) -> Iterator[Case]:
    """Every question to every film, answered by the head and by the ear; `tower` makes sound
    vectors (clips, dim) of windows (clips, 64000).
    """
    everything = np.concatenate([film.tape.vectors for film, _ in screened])
    for film, questions in screened:
        of_scenes = tapes.scene_vectors(film.tape)
        sound = tower(windows(film))
        for question in questions:
            query = words.encode(question.text)
            similar = everything @ query.pooled
            background, deviation = float(similar.mean()), float(similar.std())
            views = [
                replace(view, background_deviation=deviation)
                for view in tapes.views(film.tape, of_scenes, background)
            ]
            spans = [span for found in head.find_all(views, query) for span in found]
            own = asks(question)
            heard = SpaceEars(sentences, words, own).hear(sound, query)
            yield Case(
                question,
                query,
                tuple(sorted(spans, key=lambda span: -span.score)),
                heard,
                named_share(question.text, labels()),
                own.of(query),
                film.tape.times_s,
                film.tape.scenes_s,
                background,
                deviation,
            )


def windows(film: Film) -> NDArray[np.float32]:
    """(clips, 64000): the sound of each clip; the last is filled up with silence."""
    length = round(CLIP_S * RATE)
    count = len(film.tape.times_s)
    padded = np.zeros(count * length, np.float32)
    samples = film.samples[: len(padded)]
    padded[: len(samples)] = samples
    return padded.reshape(count, length)
