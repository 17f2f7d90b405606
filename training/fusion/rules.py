"""The ways of ranking picture and sound together that were tried, each a function of a case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from search.footage import Background
from search.fusion import RULE, Calibrated, Rule, Scale, heard_within, raised, scale_of
from search.hearing import Heard
from search.hearing_moments import hear_alone
from search.hearing_runs import RUNS, RunSettings, runs
from search.moments.base import Span
from training.fusion.cases import Case

Ranking = Callable[[Case], list[Span]]
"""All moments of a case, in any order."""

GATES: dict[str, Callable[[Case], float]] = {
    "higher": lambda case: max(case.named, case.meant),
    "words": lambda case: case.named,
    "meaning": lambda case: case.meant,
    "mean": lambda case: (case.named + case.meant) / 2,
    "none": lambda case: 1.0,
}
"""Readings of how far a sentence asks for sound."""


def pictures(case: Case) -> list[Span]:
    """What there was without sound: the control of every rule."""
    return list(case.seen)


def sounds(case: Case) -> list[Span]:
    """The audible runs, by their evidence."""
    everything = Rule(trust=1.0, audible=0.0)
    return _alone(case, 1.0, Calibrated(), everything, RUNS) or [Span(0.0, 1.0, 0.0, {})]


def before(case: Case) -> list[Span]:
    """The rule of ADR 0014, which was reasoned: a score once more times the evidence; sound alone
    as good as the best picture times the evidence.
    """
    best = case.seen[0].score
    moments = []
    for span in case.seen:
        heard = float(case.heard.evidence[_clips(case, span)].max(initial=0.0))
        heard = heard if heard >= 0.2 else 0.0
        moments.append(replace(span, score=span.score + abs(span.score) * heard))
    plain = RunSettings(audible=0.2, near_peak=0.0, snap_s=-1.0, longest_s=1e9)
    for span in _alone(case, 1.0, Calibrated(), Rule(trust=1.0, audible=0.0), plain):
        moments.append(replace(span, score=best - abs(best) * (1 - span.score)))
    return moments


def maximum(case: Case) -> list[Span]:
    """Whichever is surer, picture or sound."""
    scale, asked = _scale(case), case.heard.asked
    moments = []
    for span in case.seen:
        heard = heard_within(case.heard.evidence[_clips(case, span)])
        score = max(_picture(span, scale), RULE.sound(heard, asked))
        moments.append(replace(span, score=score))
    return moments + _alone(case, asked, Calibrated(), RULE, RUNS)


def log_odds(case: Case) -> list[Span]:
    """Log-odds of the picture plus a weight times the evidence; sound alone as in the choice."""
    scale, asked = _scale(case), case.heard.asked
    moments = []
    for span in case.seen:
        heard = heard_within(case.heard.evidence[_clips(case, span)])
        picture = float(np.clip(_picture(span, scale), 1e-6, 1 - 1e-6))
        odds = np.log(picture / (1 - picture)) + 4.0 * asked * heard
        moments.append(replace(span, score=float(1 / (1 + np.exp(-odds)))))
    return moments + _alone(case, asked, Calibrated(), RULE, RUNS)


@dataclass(frozen=True)
class Product:
    """The product's own code, with any constants."""

    rule: Rule = RULE
    runs: RunSettings = RUNS
    gate: str = "meaning"
    parts: bool = True
    """Whether the part of a sentence that asks most for a sound is listened for by itself."""
    expected: float = 0.0
    """Log-odds more than the product adds to the evidence."""

    def __call__(self, case: Case) -> list[Span]:
        scale = _scale(case)
        heard = replace(_surer(case.heard, self.expected), asked=GATES[self.gate](case))
        part = case.heard.part if self.parts else None
        heard = replace(heard, part=part and _surer(part, self.expected))
        seen = [raised(span, heard, _clips(case, span), scale, self.rule) for span in case.seen]
        heard_case = replace(case, heard=heard)
        return seen + _alone(heard_case, heard.asked, scale, self.rule, self.runs)


def _surer(heard: Heard, log_odds: float) -> Heard:
    if log_odds == 0.0:
        return heard
    evidence = _more(heard.evidence, log_odds)
    return replace(heard, evidence=evidence, chance=float(evidence.mean()))


def _more(evidence: NDArray[np.float32], log_odds: float) -> NDArray[np.float32]:
    odds = evidence * np.float32(np.exp(log_odds))
    more: NDArray[np.float32] = odds / (odds + (1 - evidence))
    return more


def _alone(case: Case, asked: float, scale: Scale, rule: Rule, settings: RunSettings) -> list[Span]:
    evidence = case.heard.evidence
    moments = []
    for _, clips in runs(evidence, np.zeros(len(evidence), np.uint32), settings):
        cuts_s = np.unique(case.scenes_s)
        moments += hear_alone(
            evidence[clips], asked, case.times_s[clips], cuts_s, scale, rule, settings
        )
    return moments


def _scale(case: Case) -> Scale:
    return scale_of(case.seen, Background(case.background, case.deviation))


def _picture(span: Span, scale: Scale) -> float:
    return span.probability if span.probability is not None else scale.probability(span.score)


def _clips(case: Case, span: Span) -> slice:
    """Clips that a span shares time with."""
    begin = int(np.searchsorted(case.times_s[:, 1], span.start_s, side="right"))
    until = int(np.searchsorted(case.times_s[:, 0], span.end_s, side="left"))
    return slice(begin, until)
