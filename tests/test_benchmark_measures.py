"""What the quality benchmark counts as right, and the figures that it makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.footage import Question, Window
from benchmarks.measures import calibration, moments, photos, refusal, sounds, videos
from benchmarks.measures.truth import Answer, Case, Found

TAPE = "tape.mp4"
QUESTION = Question("a dog", "visual", "keywords", "en", {}, {}, {}, {})

windows = st.tuples(st.floats(0, 90), st.floats(0.5, 30)).map(lambda w: (w[0], w[0] + w[1]))
probabilities = st.integers(1, 80).flatmap(
    lambda n: arrays(np.float64, n, elements=st.floats(0, 1))
)


def hit(start_s: float, end_s: float, probability: float | None = None, file: str = TAPE) -> Found:
    return Found(file, start_s, end_s, 0.5 if probability is None else probability, probability)


def case(
    hits: list[Found],
    truths: dict[str, tuple[Window, ...]] | None = None,
    maybes: dict[str, tuple[Window, ...]] | None = None,
    refused: bool = False,
) -> Case:
    return Case(QUESTION, truths or {}, Answer(tuple(hits), refused), maybes or {})


def value(figures: dict[str, object], name: str) -> float:
    return figures[name].value()  # type: ignore[attr-defined,no-any-return]


# Right or wrong


@pytest.mark.parametrize(
    ("window", "right"),
    [
        ((10, 20), True),  # the window itself
        ((14, 15), True),  # short, its middle inside
        ((0, 33), True),  # its middle inside, IoU 0.303
        ((0, 60), False),  # IoU 1/6, its middle at 30
        ((16, 26), True),  # IoU 0.25 with the first, its middle at 21 in the second
        ((21, 31), False),
    ],
)
def test_right_is_an_overlap_or_a_middle_inside(window: Window, right: bool) -> None:
    asked = case([], {TAPE: ((10.0, 20.0), (20.5, 21.5))})
    assert asked.is_right(hit(*window)) is right


def test_nothing_is_right_in_another_film() -> None:
    asked = case([], {TAPE: ((10.0, 20.0),)})
    assert not asked.is_right(hit(10, 20, file="tape2.mp4"))


def test_hits_in_arguable_windows_are_passed_over() -> None:
    arguable, true = hit(50, 60), hit(10, 20)
    asked = case([arguable, true], {TAPE: ((10.0, 20.0),)}, {TAPE: ((49.0, 61.0),)})
    assert asked.hits() == [true]


def test_a_question_that_is_arguably_true_is_not_absent() -> None:
    assert case([]).is_absent
    assert not case([], maybes={TAPE: ((0.0, 1.0),)}).is_absent


# Videos


def test_place_of_the_right_video_counts_each_film_once() -> None:
    hits = [hit(0, 2, file=file) for file in ("a", "a", "maybe", "b", "right")]
    asked = case(hits, {"right": ((0.0, 9.0),)}, {"maybe": ((0.0, 9.0),)})
    found = videos.figures([asked, case([], {"right": ((0.0, 9.0),)})])
    assert value(found, "R@1") == 0
    assert value(found, "R@5") == 0.5
    assert value(found, "MRR") == pytest.approx((1 / 3 + 0) / 2)


def test_an_arguable_hit_in_the_right_film_does_not_count_for_it() -> None:
    hits = [hit(0, 9, file="right"), hit(0, 9, file="a"), hit(20, 29, file="right")]
    asked = case(hits, {"right": ((20.0, 29.0),)}, {"right": ((0.0, 9.0),)})
    assert value(videos.figures([asked]), "MRR") == 0.5


# Moments


def test_first_hit_and_first_five_hits() -> None:
    asked = case([hit(0, 5), hit(10, 20)], {TAPE: ((10.0, 20.0),)})
    found = moments.figures([asked])
    assert value(found, "R1@0.3") == 0
    assert value(found, "R5@0.7") == 1
    assert value(found, "mIoU") == 0


def test_questions_belong_to_the_length_of_their_moments() -> None:
    short = case([hit(10, 15)], {TAPE: ((10.0, 15.0),)})
    long = case([hit(0, 5)], {TAPE: ((20.0, 60.0),)})
    found = moments.figures([short, long])
    assert value(found, "mAP short") == 1
    assert value(found, "mAP long") == 0
    assert value(found, "mAP") == 0.5
    assert np.isnan(value(found, "mAP middle"))


def test_films_are_not_mixed_up_in_average_precision() -> None:
    truths = {"b": ((10.0, 15.0),), "c": ((10.0, 15.0),)}
    elsewhere = moments.figures([case([hit(10, 15, file="a")], truths)])
    one_of_two = moments.figures([case([hit(10, 15, file="c")], truths)])
    assert value(elsewhere, "mAP") == 0
    assert value(one_of_two, "mAP") == 0.5


def test_a_tape_on_which_nothing_was_found_counts_zero() -> None:
    found = moments.figures([case([], {TAPE: ((10.0, 15.0),)})])
    assert value(found, "mAP") == value(found, "mIoU") == value(found, "R5@0.3") == 0


@given(st.lists(windows, min_size=1, max_size=8), windows)
@settings(deadline=None)
def test_more_hits_and_looser_overlaps_find_no_less(found: list[Window], true: Window) -> None:
    figures = moments.figures([case([hit(*window) for window in found], {TAPE: (true,)})])
    for k in (1, 5):
        at = [value(figures, f"R{k}@{t}") for t in (0.3, 0.5, 0.7)]
        assert at == sorted(at, reverse=True)
    assert value(figures, "R1@0.5") <= value(figures, "R5@0.5")


# Refusals


def test_refusals_by_hand() -> None:
    absent = np.array([True, True, True, False, False])
    refused = np.array([True, True, False, True, False])
    found = refusal.of_refusals(absent, refused)
    assert value(found, "refusal precision") == pytest.approx(2 / 3)
    assert value(found, "refusal recall") == pytest.approx(2 / 3)
    assert value(found, "refusal F1") == pytest.approx(2 / 3)


def test_who_never_refuses_has_no_precision_and_no_f1() -> None:
    found = refusal.of_refusals(np.array([True, False]), np.array([False, False]))
    assert np.isnan(value(found, "refusal precision"))
    assert value(found, "refusal F1") == 0


@given(
    st.lists(st.tuples(st.floats(0, 1, width=16), st.booleans()), min_size=1).filter(
        lambda pairs: any(absent for _, absent in pairs)
    )
)
@settings(deadline=None)
def test_no_threshold_does_better_than_the_best(pairs: list[tuple[float, bool]]) -> None:
    sure = np.array([score for score, _ in pairs])
    absent = np.array([is_absent for _, is_absent in pairs])
    best = refusal.best_threshold(sure, absent)
    for threshold in [*sure.tolist(), np.inf]:
        found = refusal.of_refusals(absent, sure < threshold)
        assert value(found, "refusal F1") <= best.f1 + 1e-12
    at_best = refusal.of_refusals(absent, sure < best.threshold)
    assert value(at_best, "refusal F1") == pytest.approx(best.f1)
    assert value(at_best, "refusal recall") == pytest.approx(best.recall)


def test_an_answer_is_as_sure_as_its_surest_hit_and_none_is_least_sure() -> None:
    cases = [case([hit(0, 1, 0.2), hit(5, 6, 0.7)]), case([])]
    sure = refusal.sureness(cases)
    assert sure[0] == 0.7
    assert sure[1] < 0


# Calibration


def test_probabilities_that_come_true_have_no_error() -> None:
    said = np.repeat([0.05, 0.25, 0.75], 20)
    right = np.concatenate([np.arange(20) < 20 * p for p in (0.05, 0.25, 0.75)]).astype(float)
    found = calibration.figures(*(np.split(part, len(part)) for part in (said, right)))
    assert value(found, "ECE") == pytest.approx(0, abs=1e-12)
    assert value(found, "Brier") == pytest.approx(np.mean(said * (1 - said)))


def test_large_samples_of_honest_probabilities_come_near_it() -> None:
    random = np.random.default_rng(0)
    said = random.random(20_000)
    right = (random.random(20_000) < said).astype(float)
    found = calibration.figures(np.split(said, 5_000), np.split(right, 5_000))
    assert value(found, "ECE") < 0.02
    assert value(found, "Brier") == pytest.approx(1 / 6, abs=0.01)


@given(probabilities)
@settings(deadline=None)
def test_calibration_laws(said: np.ndarray) -> None:
    right = (np.arange(len(said)) % 2).astype(float)
    found = calibration.figures([said], [right])
    assert 0 <= value(found, "ECE") <= 1 + 1e-9
    assert 0 <= value(found, "Brier") <= 1
    # the mean of what is said is off by no more than the bins are together
    assert abs(said.mean() - right.mean()) <= value(found, "ECE") + 1e-9
    curve = calibration.reliability(said, right)
    assert sum(row["hits"] for row in curve) == len(said)
    assert all(0 <= row["right"] <= 1 for row in curve)


def test_hits_without_probability_have_no_calibration() -> None:
    said, right = calibration.said_and_right([case([hit(0, 1)], {TAPE: ((0.0, 1.0),)})], 5)
    assert calibration.figures(said, right) == {}


def test_only_the_first_hits_that_count_are_judged() -> None:
    asked = case(
        [hit(50, 60, 0.9), hit(10, 20, 0.8), hit(30, 40, 0.1)],
        {TAPE: ((10.0, 20.0),)},
        {TAPE: ((50.0, 60.0),)},
    )
    ((said,), (right,)) = calibration.said_and_right([asked], 1)
    assert said.tolist() == [0.8]
    assert right.tolist() == [1.0]


# Photos and sounds


def unit(*rows: tuple[float, ...]) -> np.ndarray:
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_photos_are_found_by_their_sentences() -> None:
    shown = unit((1, 0, 0), (0, 1, 0), (0, 0, 1))
    said = unit((1, 0.1, 0), (0.2, 1, 0), (1, 0, 0.9), (0, 0, 1))
    found = photos.retrieval(shown, said, np.array([0, 1, 2, 2]))
    assert value(found, "R@1") == 0.75
    assert value(found, "R@5") == 1
    assert found["R@1"].units == 3


def test_names_of_photos() -> None:
    classes = photos.class_vectors(unit((1, 0.2), (1, -0.2), (0.1, 1), (-0.1, 1)), prompts=2)
    assert classes == pytest.approx(np.eye(2, dtype=np.float32), abs=1e-6)
    shown = unit((1, 0), (0.9, 1), (0, 1), (1, 0.9))
    top = photos.naming(shown, classes, np.array([0, 0, 1, 0]))
    assert top.value() == 0.75


def test_a_label_counts_once_however_many_sounds_it_has() -> None:
    heard = unit((1, 0), (1, 0.1), (0, 1), (0.4, 1))
    words = unit((0, 1), (1, 0))
    found = sounds.retrieval(heard, words, np.array([1, 1, 1, 0]))
    assert value(found, "R@1") == 0.5  # the first label's best sound belongs to the second
    assert value(found, "R@5") == 1
    assert found["R@1"].units == 2
    assert value(sounds.naming(heard, words, np.array([1, 1, 1, 0])), "label top-1") == 0.75
