"""One ranking of what is seen and what is heard.

A moment is right if its picture is what the sentence says, or if the sentence asks for a sound and
it is heard there: two reasons, either of which is enough (a noisy or). And a picture in which more
is heard of the sentence than by chance is likelier the one that was meant. All are probabilities;
the score of a head that gives none is first read as one (`scale_of`), and the result is read back
as the score that such a picture would have had. So evidence can only raise a hit, and none of it
changes nothing. How the rule and its constants were chosen: docs/adr/0020.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from search.footage import Background
from search.hearing import Heard
from search.moments.base import Span

_SUREST = 1.0 - 1e-6
"""Nothing is surer, so that every probability has a finite score."""


@dataclass(frozen=True)
class Rule:
    """How much what is heard counts beside what is seen."""

    trust: float = 0.8
    """P(right) where the sound is surely heard and the sentence asks for nothing else."""
    audible: float = 0.1
    """P(right) by sound from which on it counts as heard."""
    lift: float = 0.6
    """How many of the log-odds by which a moment's evidence exceeds chance are added to its
    picture's, where the sentence asks for nothing else: of two like pictures the one with the sound
    comes first."""

    def sound(self, heard: float, asked: float) -> float:
        """P(right) by what is heard alone, 0 to 1; 0 where it is too little to count."""
        sound = self.trust * asked * heard
        return float(sound) if sound >= self.audible else 0.0

    def lifted(self, picture: float, heard: float, asked: float, chance: float) -> float:
        """P(right) of a moment by its picture, given that its sound is heard more than by chance;
        never below `picture`.
        """
        above = _logit(heard) - _logit(chance)
        if above <= 0.0 or asked <= 0.0 or heard <= 0.0:
            return picture
        return max(picture, _sigmoid(_logit(picture) + self.lift * asked * above))

    def fused(self, picture: float, sound: float) -> float:
        """P(right) of a moment by its picture, its sound, or both; never below `picture`."""
        if sound <= 0.0:
            return picture
        return max(picture, min(1.0 - (1.0 - picture) * (1.0 - sound), _SUREST))


RULE = Rule()
"""What did best on tapes with sound."""


class Scale(Protocol):
    """What a head's scores are worth as probabilities. Both ways rise, and undo each other."""

    def probability(self, score: float) -> float:
        """P(right) of a moment with this score."""

    def score(self, probability: float) -> float:
        """The score of a moment that is right with this probability."""


@dataclass(frozen=True)
class Calibrated:
    """Of a head whose score is a probability."""

    def probability(self, score: float) -> float:
        return score

    def score(self, probability: float) -> float:
        return probability


@dataclass(frozen=True)
class Similarity:
    """Of a head whose score is the cosine of a picture and the sentence.

    What counts is how many deviations it lies above chance; `steepness` and `even_at` were fitted
    on moments that watershed found on tapes of held-out photos.
    """

    background: Background
    steepness: float = 2.1
    """Log-odds per deviation."""
    even_at: float = 3.3
    """Deviations above chance at which a moment is as likely right as wrong."""

    def probability(self, score: float) -> float:
        above = (score - self.background.mean) / max(self.background.deviation, 1e-6)
        return _sigmoid(self.steepness * (above - self.even_at))

    def score(self, probability: float) -> float:
        above = self.even_at + _logit(probability) / self.steepness
        return self.background.mean + above * max(self.background.deviation, 1e-6)


@dataclass(frozen=True)
class Share:
    """Of a head whose score says only how a moment compares with the best of this search.

    The best one is worth what its picture's similarity is worth, the others their share of that.
    """

    best: float
    """The highest score, above 0."""
    worth: float
    """Its probability."""

    def probability(self, score: float) -> float:
        return min(max(score / self.best * self.worth, 0.0), 1.0)

    def score(self, probability: float) -> float:
        return probability / self.worth * self.best


def scale_of(spans: Sequence[Span], background: Background) -> Scale:
    """How to read the scores of one search's moments, by what the head says of them."""
    if not spans or spans[0].probability is not None:
        return Calibrated()
    similarity = Similarity(background)
    best = max(spans, key=lambda span: span.score)
    if "peak_similarity" in best.stages or best.score <= 0.0:
        return similarity
    nearest = max(
        best.stages.get("clip_similarity", -1.0), best.stages.get("scene_similarity", -1.0)
    )
    return Share(best.score, max(similarity.probability(nearest), 1e-3))


def raised(span: Span, heard: Heard, clips: slice, scale: Scale, rule: Rule = RULE) -> Span:
    """A moment found by its picture, with what is heard in its clips (rows of the clip table)."""
    told = heard.told
    whole, part = heard_within(heard.evidence[clips]), heard_within(told.evidence[clips])
    picture = span.probability if span.probability is not None else scale.probability(span.score)
    sound = rule.sound(whole, heard.asked)
    fused = rule.fused(rule.lifted(picture, part, told.asked, told.chance), sound)
    if fused <= picture:
        return span
    stages = {
        **span.stages,
        "picture": picture,
        "heard": max(whole, part),
        "sound_asked": told.asked,
    }
    return replace(
        span,
        score=max(span.score, scale.score(fused)),
        stages=stages,
        probability=None if span.probability is None else fused,
    )


def found_by(stages: Mapping[str, float], rule: Rule = RULE) -> tuple[str, ...]:
    """What speaks for a moment: "picture", "sound", or both.

    Each counts from the same P(right) on, which it must reach by itself. Where no sound took part,
    the picture is all there is.
    """
    if "heard" not in stages:
        return ("picture",)
    seen = "segment_rank" in stages and stages["picture"] >= rule.audible
    heard = rule.sound(stages["heard"], stages["sound_asked"]) > 0.0
    names = (*(["picture"] if seen else []), *(["sound"] if heard else []))
    return names or ("picture",)


def by_sound(
    start_s: float, end_s: float, heard: float, asked: float, scale: Scale, rule: Rule = RULE
) -> Span:
    """A moment found by its sound alone."""
    sound = min(rule.sound(heard, asked), _SUREST)
    return Span(
        start_s,
        end_s,
        scale.score(sound),
        {"heard": heard, "sound_asked": asked},
        sound if isinstance(scale, Calibrated) else None,
    )


def heard_within(evidence: NDArray[np.float32]) -> float:
    """How surely a moment of these clips holds the sound: the mean over them, so that a long moment
    is not raised by one lucky clip; 0 without clips.
    """
    return float(evidence.mean()) if len(evidence) else 0.0


def _sigmoid(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-log_odds)) if log_odds > -700 else 0.0


def _logit(probability: float) -> float:
    inside = min(max(probability, 1.0 - _SUREST), _SUREST)
    return math.log(inside / (1.0 - inside))
