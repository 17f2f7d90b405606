"""The table of rules that docs/adr/0020 quotes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from search.fusion import RULE
from search.hearing_runs import RUNS
from search.moments.base import Span
from training.fusion import rules
from training.fusion.cases import Case
from training.fusion.measure import RIGHT_FROM, best_iou, figures, fitted_similarity
from training.fusion.questions import ABSENT, SOUND
from training.fusion.rules import GATES, Product, Ranking

CHOICE: Mapping[str, Ranking] = {"pictures alone": rules.pictures, "chosen": Product()}

RULES: Mapping[str, Ranking] = {
    "pictures alone": rules.pictures,
    "sounds alone": rules.sounds,
    "as before (ADR 0014)": rules.before,
    "the surer of the two": rules.maximum,
    "log-odds plus evidence": rules.log_odds,
    "noisy or": Product(replace(RULE, lift=0.0)),
    "noisy or, lift 0.3": Product(replace(RULE, lift=0.3)),
    "chosen: noisy or, lift 0.6": Product(),
    "lift 1": Product(replace(RULE, lift=1.0)),
    "sentences whole": Product(parts=False),
    **{f"asked for by: {gate}": Product(gate=gate) for gate in GATES if gate != "meaning"},
    **{f"trust {trust}": Product(replace(RULE, trust=trust)) for trust in (0.6, 1.0)},
    **{f"expected {more:+}": Product(expected=more) for more in (-1.5, -0.5, 0.5, 1.0)},
    "runs: evidence 0.2": Product(runs=replace(RUNS, audible=0.2)),
    "runs: near their peak 0": Product(runs=replace(RUNS, near_peak=0.0)),
    "runs: near their peak 0.5": Product(runs=replace(RUNS, near_peak=0.5)),
    "runs: no snapping": Product(runs=replace(RUNS, snap_s=-1.0)),
}
"""Where a row does not say otherwise, everything is as chosen."""


def show(cases: Sequence[Case], which: Mapping[str, Ranking]) -> None:
    """One line a rule, and how sure sounds are that are there and that are not."""
    print("R1@0.5 and mIoU of questions about: pictures | sounds | both | mean of the three")
    for name, ranking in which.items():
        print(f"{name:32s} {figures(cases, ranking).row()}", flush=True)
    reliability(cases)
    if all(span.probability is None for case in cases for span in case.seen):
        steepness, even_at = fitted_similarity(cases)
        print(f"similarity: {steepness:.2f} log-odds a deviation, even at {even_at:.2f}")


def reliability(cases: Sequence[Case]) -> None:
    """How often the first moments by sound alone are right, by how likely they say they are."""
    said, right = [], []
    for case in cases:
        if case.question.kind in (SOUND, ABSENT):
            for span, true in _first_by_sound(case):
                said.append(span.stages["heard"] * span.stages["sound_asked"] * RULE.trust)
                right.append(true)
    likely, truth = np.array(said), np.array(right)
    print("moments by sound alone, probability said: how often right (number)")
    for low in (0.0, 0.2, 0.4, 0.6):
        inside = (likely >= low) & (likely < low + 0.2 + 1e-6)
        if inside.any():
            print(f"  {likely[inside].mean():.2f}: {truth[inside].mean():.2f} ({inside.sum()})")


def _first_by_sound(case: Case, most: int = 3) -> Iterator[tuple[Span, bool]]:
    alone = [span for span in Product()(case) if set(span.stages) == {"heard", "sound_asked"}]
    for span in sorted(alone, key=lambda span: -span.score)[:most]:
        yield span, bool(case.question.answers) and best_iou(span, case) >= RIGHT_FROM
