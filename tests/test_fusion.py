"""The laws of picture and sound in one ranking, whatever the head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from search.footage import Background
from search.fusion import (
    RULE,
    Calibrated,
    Rule,
    Scale,
    Share,
    Similarity,
    by_sound,
    found_by,
    heard_within,
    raised,
    scale_of,
)
from search.hearing import Heard
from search.moments.base import Span

probabilities = st.floats(0, 1)
cosines = st.floats(-1, 1)
backgrounds = st.builds(Background, st.floats(-0.3, 0.5), st.floats(0.01, 0.3) | st.just(0.0))


@st.composite
def judged(draw: st.DrawFn) -> tuple[Span, Scale]:
    """A moment of any kind of head, and how its scores are read."""
    kind = draw(st.sampled_from(["calibrated", "cosine", "share"]))
    if kind == "calibrated":
        probability = draw(probabilities)
        return Span(0.0, 4.0, probability, {"exists": 0.4}, probability), Calibrated()
    if kind == "cosine":
        return Span(0.0, 4.0, draw(cosines), {}), Similarity(draw(backgrounds))
    best = draw(st.floats(1e-3, 1.0))
    share = Share(best, draw(st.floats(1e-3, 1.0)))
    return Span(0.0, 4.0, best * draw(probabilities), {}), share


def heard(evidence: float, asked: float, chance: float = 0.01, part: Heard | None = None) -> Heard:
    """The same evidence in all clips of a moment."""
    return Heard(np.full(3, evidence, np.float32), asked, chance, part)


CLIPS = slice(0, 3)


@given(judged(), probabilities, probabilities, probabilities, probabilities)
def test_more_evidence_never_lowers_a_hit(
    moment: tuple[Span, Scale], one: float, other: float, asked: float, chance: float
) -> None:
    span, scale = moment
    less, more = sorted((one, other))
    fainter, louder = (
        raised(span, heard(evidence, asked, chance), CLIPS, scale) for evidence in (less, more)
    )
    assert span.score <= fainter.score <= louder.score
    assert by_sound(0, 4, less, asked, scale).score <= by_sound(0, 4, more, asked, scale).score
    if span.probability is not None:
        assert fainter.probability is not None and louder.probability is not None
        assert span.probability <= fainter.probability <= louder.probability <= 1.0


@given(judged(), probabilities, probabilities)
def test_no_evidence_or_no_question_about_sound_changes_nothing(
    moment: tuple[Span, Scale], figure: float, chance: float
) -> None:
    span, scale = moment
    assert raised(span, heard(0.0, figure, chance), CLIPS, scale) == span
    assert raised(span, heard(figure, 0.0, chance), CLIPS, scale) == span
    nothing = Heard(np.zeros(3, np.float32), 0.5, 0.0)
    assert raised(span, nothing, CLIPS, scale) == span


@given(judged(), probabilities, probabilities)
def test_a_hit_that_is_heard_says_so_and_keeps_its_place_in_time(
    moment: tuple[Span, Scale], evidence: float, asked: float
) -> None:
    span, scale = moment
    made = raised(span, heard(evidence, asked), CLIPS, scale)
    assert (made.start_s, made.end_s) == (span.start_s, span.end_s)
    assert made.stages.items() >= span.stages.items()
    if made == span:
        return
    assert made.stages["sound_asked"] == asked
    assert made.stages["heard"] == pytest.approx(evidence, abs=1e-6)
    assert ("sound" in found_by(made.stages)) == (RULE.sound(made.stages["heard"], asked) > 0)


def test_what_found_a_moment_is_what_could_have_found_it_alone() -> None:
    place = {"segment_rank": 1.0}
    assert found_by(place) == ("picture",)
    loud = {"heard": 0.9, "sound_asked": 1.0}
    assert found_by({**place, **loud, "picture": 0.001}) == ("sound",)
    assert found_by({**place, **loud, "picture": 0.4}) == ("picture", "sound")
    assert found_by({**place, "heard": 0.05, "sound_asked": 1.0, "picture": 0.6}) == ("picture",)
    assert found_by(loud) == ("sound",)


def test_of_two_like_pictures_the_one_with_the_sound_of_the_part_comes_first() -> None:
    """ "A man on a ladder and a window shattering": the whole sentence is heard nowhere."""
    man = Span(0.0, 6.0, 0.4, {}, probability=0.4)
    nothing, shatters = (
        raised(man, heard(0.01, 0.3, 0.01, part=heard(evidence, 0.9)), CLIPS, Calibrated())
        for evidence in (0.01, 0.2)
    )
    assert nothing.probability == pytest.approx(0.4)
    assert shatters.probability is not None and shatters.probability > 0.7
    assert shatters.stages["heard"] == pytest.approx(0.2) and "heard" not in nothing.stages


@given(probabilities, probabilities, probabilities, probabilities)
def test_a_fused_probability_is_one(
    picture: float, heard: float, asked: float, chance: float
) -> None:
    sound = RULE.sound(heard, asked)
    fused = RULE.fused(picture, sound)
    assert picture <= RULE.lifted(picture, heard, asked, chance) <= 1.0
    assert 0.0 <= sound <= heard
    assert max(picture, min(sound, 0.999) - 1e-9) <= fused <= 1.0


@given(judged(), judged(), probabilities, probabilities)
def test_of_two_pictures_with_the_same_sound_the_better_stays_ahead(
    moment: tuple[Span, Scale], other: tuple[Span, Scale], evidence: float, asked: float
) -> None:
    span, scale = moment
    second = replace(span, score=other[0].score, probability=other[0].probability)
    assume((second.probability is None) == (span.probability is None))
    better, worse = sorted((span, second), key=lambda moment: -moment.score)
    sound = heard(evidence, asked)
    assert raised(better, sound, CLIPS, scale).score >= raised(worse, sound, CLIPS, scale).score


@given(backgrounds, st.floats(0.001, 0.999))
def test_a_cosine_is_read_and_read_back(background: Background, probability: float) -> None:
    scale = Similarity(background)
    assert scale.probability(scale.score(probability)) == pytest.approx(probability, abs=1e-3)


def test_a_cosine_counts_by_how_far_it_lies_above_chance() -> None:
    narrow, wide = Similarity(Background(0.1, 0.02)), Similarity(Background(0.1, 0.1))
    assert narrow.probability(0.2) > 0.9 > 0.1 > wide.probability(0.2)


def test_the_scale_follows_the_head() -> None:
    background = Background(0.05, 0.05)
    calibrated = Span(0, 2, 0.7, {}, probability=0.7)
    assert isinstance(scale_of([calibrated], background), Calibrated)
    cosine = Span(0, 2, 0.3, {"peak_similarity": 0.3})
    assert isinstance(scale_of([cosine], background), Similarity)
    brought = Span(0, 2, 0.9, {"head_probability": 0.9, "clip_similarity": 0.3})
    weaker = replace(brought, score=0.2)
    scale = scale_of([weaker, brought], background)
    assert isinstance(scale, Share)
    assert scale.probability(0.9) == Similarity(background).probability(0.3)
    assert scale.probability(0.2) < scale.probability(0.9)


def test_a_sure_sound_beats_a_poor_picture_and_not_a_sure_one() -> None:
    scale = Similarity(Background(0.0, 0.1))
    alone = by_sound(0, 4, 0.9, 1.0, scale)
    assert 0.2 < alone.score < 0.9
    assert alone.probability is None and set(alone.stages) == {"heard", "sound_asked"}
    assert by_sound(0, 4, 0.9, 1.0, Calibrated()).probability == pytest.approx(0.9 * RULE.trust)


def test_what_is_too_faint_to_count_is_not_called_heard() -> None:
    rule = Rule(trust=1.0, audible=0.2)
    assert rule.sound(0.19, 1.0) == 0.0
    assert rule.sound(0.9, 0.1) == 0.0
    assert rule.sound(0.5, 0.5) == 0.25


def test_a_long_moment_is_not_raised_by_one_lucky_clip() -> None:
    evidence = np.zeros(20, np.float32)
    evidence[3] = 1.0
    assert heard_within(evidence) == pytest.approx(0.05)
    assert heard_within(evidence[3:4]) == 1.0
    assert heard_within(evidence[:0]) == 0.0
