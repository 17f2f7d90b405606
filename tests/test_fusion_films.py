"""Films with a sound track are what their questions say of them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch (training/requirements.txt)")

from training import tapes
from training.fusion.cases import FRESH, screen, windows
from training.fusion.films import Film
from training.fusion.material import RATE, Material, Sound
from training.fusion.questions import ABSENT, BOTH, KINDS, PICTURE, SOUND, Question
from training.photos import Photo

LABELS = ("siren", "rain", "piano", "dog barking", "thunder")


def photo(number: int) -> Photo:
    caption = f"Person number {number} waits at station {number} near a blue gate"
    return Photo(f"p{number}", "", "made", "val", (caption,), (), "")


def sound(label: str) -> Sound:
    return Sound(label, "", "", "val", (label,), (f"the sound of {label}",))


@pytest.fixture(scope="module")
def screened() -> list[tuple[Film, list[Question]]]:
    rng = np.random.default_rng(0)
    photos = [photo(number) for number in range(2 * FRESH)]
    vectors = rng.standard_normal((len(photos), tapes.LOOKS, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    samples = {label: rng.normal(0, 0.1, RATE).astype(np.float32) for label in LABELS}
    sounds = {label: [sound(label)] for label in LABELS}
    return list(screen(Material(photos, vectors, sounds, samples), seed=0))


def test_every_kind_of_question_is_asked_and_answered_within_the_film(
    screened: list[tuple[Film, list[Question]]],
) -> None:
    assert len(screened) == 2
    kinds = {question.kind for _, questions in screened for question in questions}
    assert kinds >= set(KINDS) - {ABSENT}, "with few sounds, none may be absent"
    for film, questions in screened:
        end_s = film.tape.times_s[-1, 1]
        for question in questions:
            assert bool(question.answers) == (question.kind != ABSENT)
            assert all(0 <= start_s < stop_s <= end_s for start_s, stop_s in question.answers)


def test_a_question_about_both_is_true_where_the_photo_and_its_sound_are(
    screened: list[tuple[Film, list[Question]]],
) -> None:
    for film, questions in screened:
        for question in questions:
            if question.kind != BOTH:
                continue
            for start_s, stop_s in question.answers:
                event = next(
                    e for e in film.tape.events if (e.start_s, e.end_s) == (start_s, stop_s)
                )
                own = [h for h in film.heard if h.event == film.tape.events.index(event)]
                assert own and own[0].sound.labels[0] == question.label
                assert sum(e.photo == event.photo for e in film.tape.events) > 1


def test_sounds_are_where_the_answers_say_and_a_silent_bed_is_silent_elsewhere(
    screened: list[tuple[Film, list[Question]]],
) -> None:
    for film, questions in screened:
        for question in questions:
            if question.kind == SOUND:
                for start_s, stop_s in question.answers:
                    part = film.samples[round(start_s * RATE) : round(stop_s * RATE)]
                    assert np.abs(part).max() > 0.01
        assert np.abs(film.samples).max() <= 1.0
        assert windows(film).shape == (len(film.tape.times_s), 2 * RATE)


def test_a_question_about_a_picture_is_true_at_every_repeat_of_it(
    screened: list[tuple[Film, list[Question]]],
) -> None:
    film, questions = screened[0]
    about = [question for question in questions if question.kind == PICTURE]
    assert len(about) == FRESH
    assert sum(len(question.answers) for question in about) == len(film.tape.events)
