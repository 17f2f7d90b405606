"""What one way to search reaches on the measuring set: right video, right moment, refusals,
calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.archives import CLIPS, Library
from benchmarks.contenders import Contender
from benchmarks.footage import Question
from benchmarks.measures import calibration, moments, refusal, videos
from benchmarks.measures.bootstrap import Figure
from benchmarks.measures.truth import Case

VIDEOS, TAPES, REFUSAL, CALIBRATION = "videos", "tapes", "refusal", "calibration"

FIRST_HITS = (1, 5)
"""Probabilities are judged of so many first hits of each question."""

BY_GROUP = {VIDEOS: ("R@1", "R@5", "R@10", "MRR"), TAPES: ("R1@0.3", "R1@0.5", "R1@0.7", "mIoU")}
"""Figures that are given for every kind, style and language."""


@dataclass(eq=False)
class Measured:
    """Figures by section, each with its units, so that contenders can be compared on them."""

    figures: dict[str, dict[str, Figure]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    """As JSON: what is given without an interval."""


def measure(library: Library, contender: Contender, parts: Iterable[str]) -> Measured:
    """The sections that are asked for. Raises Skipped where the contender cannot be had."""
    made = Measured()
    sections: dict[str, Callable[[Library, Contender, Measured], None]] = {
        VIDEOS: _videos,
        TAPES: _tapes,
        REFUSAL: _refusal,
        CALIBRATION: _calibration,
    }
    for part in parts:
        sections[part](library, contender, made)
    return made


def _videos(library: Library, contender: Contender, made: Measured) -> None:
    questions = [question for question in library.footage.questions if question.videos]
    cases = library.cases(contender, CLIPS, questions)
    made.figures[VIDEOS] = videos.figures([case for case in cases if case.question.is_core])
    groups = _grouped(cases)
    in_films = [case for case in groups.get("kind audio", []) if _is_in_a_clip(case.question)]
    groups["kind audio, true in a clip with pictures"] = in_films
    made.details[f"{VIDEOS} by group"] = _by_group(groups, videos.figures, BY_GROUP[VIDEOS])


def _tapes(library: Library, contender: Contender, made: Measured) -> None:
    cases: list[Case] = []
    for tape in library.footage.tapes:
        asked = [q for q in library.footage.questions if q.windows[tape]]
        of_tape = library.cases(contender, tape, asked)
        core = [case for case in of_tape if case.question.is_core]
        made.figures[f"{TAPES}: {tape}"] = moments.figures(core) if core else {}
        cases += of_tape
    core = [case for case in cases if case.question.is_core]
    made.figures[TAPES] = moments.figures(core) if core else {}
    made.details[f"{TAPES} by group"] = _by_group(_grouped(cases), moments.figures, BY_GROUP[TAPES])


def _refusal(library: Library, contender: Contender, made: Measured) -> None:
    everywhere: list[Case] = []
    for archive in library.archives:
        cases = askable(library, contender, archive)
        made.figures[f"{REFUSAL}: {archive}"] = refusal.figures(cases)
        everywhere += cases
    made.figures[REFUSAL] = refusal.figures(everywhere)
    absent = np.array([case.is_absent for case in everywhere], bool)
    if absent.any() and not absent.all():
        best = refusal.best_threshold(refusal.sureness(everywhere), absent)
        made.details["best refusal F1, threshold chosen on these very questions (reference)"] = {
            "threshold": round(best.threshold, 4),
            "precision": round(100 * best.precision, 1),
            "recall": round(100 * best.recall, 1),
            "F1": round(100 * best.f1, 1),
        }
    made.details["refusal questions"] = {
        "true somewhere": int((~absent).sum()),
        "true nowhere": int(absent.sum()),
    }


def _calibration(library: Library, contender: Contender, made: Measured) -> None:
    cases = [case for name in library.archives for case in askable(library, contender, name)]
    for first in FIRST_HITS:
        said, right = calibration.said_and_right(cases, first)
        of_hits = "first hit" if first == 1 else f"first {first} hits"
        figures = calibration.figures(said, right)
        made.figures.setdefault(CALIBRATION, {}).update(
            {f"{name}, {of_hits}": figure for name, figure in figures.items()}
        )
        if figures:
            made.details[f"reliability of the {of_hits}"] = calibration.reliability(
                np.concatenate(said), np.concatenate(right)
            )


def askable(library: Library, contender: Contender, archive: str) -> list[Case]:
    """English questions about what is seen that are plainly true or plainly absent there: a
    question that is only arguably true is left out."""
    questions = [
        question
        for question in library.footage.questions
        if question.is_core or (question.lang == "en" and question.kind == "absent")
    ]
    cases = library.cases(contender, archive, questions)
    return [case for case in cases if case.truths or case.is_absent]


def _is_in_a_clip(question: Question) -> bool:
    return any(file.startswith("clips/") for file in question.videos)


def _grouped(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """All core questions, then those of each kind, style and language."""
    groups: dict[str, list[Case]] = {"core": [case for case in cases if case.question.is_core]}
    for case in cases:
        asked = case.question
        for group in (f"kind {asked.kind}", f"style {asked.style}", f"lang {asked.lang}"):
            groups.setdefault(group, []).append(case)
    return groups


def _by_group(
    groups: Mapping[str, Sequence[Case]],
    measured: Callable[[Sequence[Case]], dict[str, Figure]],
    names: Sequence[str],
) -> dict[str, dict[str, float]]:
    return {
        group: {"n": len(cases)} | {name: round(100 * figures[name].value(), 1) for name in names}
        for group, cases in groups.items()
        if cases and (figures := measured(cases))
    }
