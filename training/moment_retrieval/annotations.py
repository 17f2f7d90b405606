"""Annotations in the layout of QVHighlights: one JSON object a line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.evaluation.jsonl import read_jsonl
from search.evaluation.records import Highlights, annotation, at
from training.moment_retrieval.errors import TrainingError


@dataclass(frozen=True, eq=False)
class Annotation:
    """A sentence, the video it speaks of, and the windows where it comes true."""

    qid: int | str
    query: str
    vid: str
    duration_s: float
    windows_s: tuple[tuple[float, float], ...]
    """Start and end, at least one, each inside 0…duration."""
    highlights: Highlights | None
    """The rated clips; None where nobody rated any."""
    line: dict[str, Any]
    """The object as it stands in the file: the evaluation's ground truth."""


def read_annotations(file: Path) -> list[Annotation]:
    """All lines of a file, plain or gzipped.

    Raises:
        TrainingError, EvaluationError: naming file, line and query that is not as it should be.
    """
    annotations = [_annotation(fields, place) for place, fields in read_jsonl(file)]
    if not annotations:
        raise TrainingError(f"{file} holds no annotations: give one JSON object per line.")
    _refuse_repeated(annotations, file)
    _refuse_partly_rated(annotations, file)
    return annotations


def _annotation(fields: dict[str, Any], place: str) -> Annotation:
    truth = annotation(fields, place)  # checks windows and ratings
    here = at(place, truth.qid)
    if truth.windows is None:
        raise TrainingError(f"{here}: no relevant_windows; training needs the truth.")
    query, vid, duration = fields.get("query"), fields.get("vid"), fields.get("duration")
    if not isinstance(query, str) or not isinstance(vid, str) or not vid:
        raise TrainingError(f'{here}: "query" and "vid" must be texts.')
    if not isinstance(duration, int | float) or not duration > 0:
        raise TrainingError(f'{here}: no "duration" in seconds above 0.')
    windows_s = tuple((float(start_s), float(end_s)) for start_s, end_s in truth.windows)
    for start_s, end_s in windows_s:
        if not 0 <= start_s < end_s <= duration:
            raise TrainingError(
                f"{here}: window {start_s:g} to {end_s:g} s does not lie inside the video, which "
                f"is {duration:g} s long; correct the one or the other."
            )
    rated = truth.highlights if truth.highlights and len(truth.highlights.clip_ids) else None
    return Annotation(truth.qid, query, vid, float(duration), windows_s, rated, fields)


def _refuse_repeated(annotations: list[Annotation], file: Path) -> None:
    seen: set[int | str] = set()
    for item in annotations:
        if item.qid in seen:
            raise TrainingError(f"{file}: qid {item.qid} stands there twice; give each once.")
        seen.add(item.qid)


def _refuse_partly_rated(annotations: list[Annotation], file: Path) -> None:
    """The saliency loss exists for a whole batch or not at all."""
    unrated = [item for item in annotations if item.highlights is None]
    if unrated and len(unrated) < len(annotations):
        raise TrainingError(
            f"{file}: qid {unrated[0].qid} has no rated clips while others have; rate clips of "
            "every query, or take relevant_clip_ids and saliency_scores out of every line."
        )
