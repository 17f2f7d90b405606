"""Predictions and annotations in QVHighlights' format, checked field by field.

The format is described with the data set (github.com/jayleicn/moment_detr, data/README.md and
standalone_eval/README.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from storage.errors import EvaluationError
from storage.records import CLIP_S

ANNOTATORS = 3
MAX_DURATION_S = 1e6
MAX_TIME_S = 1e9

Qid = int | str


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a head says about one query."""

    qid: Qid
    place: str
    """Where it was read, for messages, e.g. "preds.jsonl, line 3"."""
    windows: NDArray[np.float64] | None
    """(P, 3): start and end in seconds, score; P ≥ 1, in the given order. None: not predicted."""
    saliency: NDArray[np.float64] | None
    """(C,): a score per clip, C ≥ 1. None: not predicted."""


@dataclass(frozen=True, eq=False)
class Highlights:
    """How three annotators rated the clips of one video for one query."""

    clips: int
    clip_ids: NDArray[np.int64]
    """(R,): the rated clips; all others are rated 0."""
    ratings: NDArray[np.float64]
    """(R, 3): 0 Very Bad, 1 Bad, 2 Fair, 3 Good, 4 Very Good."""

    def of_all_clips(self) -> NDArray[np.float64]:
        """(3, clips)."""
        ratings = np.zeros((self.clips, ANNOTATORS))
        ratings[self.clip_ids] = self.ratings
        return ratings.T


@dataclass(frozen=True, eq=False)
class Annotation:
    """What is true of one query."""

    qid: Qid
    place: str
    windows: NDArray[np.float64] | None
    """(G, 2): start and end in seconds, end > start; G ≥ 1. None: not annotated."""
    highlights: Highlights | None
    """None: not annotated."""


def prediction(item: Mapping[str, Any], place: str) -> Prediction:
    """Check one line of a submission.

    Raises:
        EvaluationError: a field is missing or not as the format wants it.
    """
    qid = _qid(item, place)
    here = at(place, qid)
    windows = saliency = None
    if "pred_relevant_windows" in item:
        windows = _rows(item["pred_relevant_windows"], 3, "pred_relevant_windows", here)
        _refuse_odd_windows(windows, "pred_relevant_windows", here, may_be_points=True)
    if "pred_saliency_scores" in item:
        saliency = _numbers(item["pred_saliency_scores"], "pred_saliency_scores", here)
        if not len(saliency):
            raise EvaluationError(f"{here}: pred_saliency_scores is empty; give one per clip.")
    return Prediction(qid, place, windows, saliency)


def annotation(item: Mapping[str, Any], place: str) -> Annotation:
    """Check one line of a ground truth.

    Raises:
        EvaluationError: a field is missing or not as the format wants it.
    """
    qid = _qid(item, place)
    here = at(place, qid)
    windows = None
    if "relevant_windows" in item:
        windows = _rows(item["relevant_windows"], 2, "relevant_windows", here)
        _refuse_odd_windows(windows, "relevant_windows", here, may_be_points=False)
    rated = "relevant_clip_ids" in item and "saliency_scores" in item
    return Annotation(qid, place, windows, _highlights(item, here) if rated else None)


def at(place: str, qid: Qid) -> str:
    """Where a message points to, e.g. "preds.jsonl, line 3, query 901"."""
    return f"{place}, query {_short(qid)}"


def _qid(item: Mapping[str, Any], place: str) -> Qid:
    qid = item.get("qid")
    if not isinstance(qid, int | str) or isinstance(qid, bool):
        raise EvaluationError(f'{place}: no "qid" that is a whole number or a text.')
    return qid


def _highlights(item: Mapping[str, Any], here: str) -> Highlights:
    duration = item.get("duration")
    if not _is_number(duration) or not CLIP_S <= duration <= MAX_DURATION_S:
        raise EvaluationError(
            f'{here}: no "duration" in seconds between {CLIP_S:g} and {MAX_DURATION_S:,.0f}.'
        )
    clips = int(duration / CLIP_S)
    clip_ids = _numbers(item["relevant_clip_ids"], "relevant_clip_ids", here)
    wrong = (clip_ids < 0) | (clip_ids >= clips) | (clip_ids != np.floor(clip_ids))
    if wrong.any():
        raise EvaluationError(
            f"{here}: relevant_clip_ids has {clip_ids[wrong][0]:g}, but {duration:g} s have the "
            f"clips 0 to {clips - 1}."
        )
    ratings = _rows(item["saliency_scores"], ANNOTATORS, "saliency_scores", here)
    if len(ratings) != len(clip_ids):
        raise EvaluationError(
            f"{here}: {len(ratings)} saliency_scores for {len(clip_ids)} relevant_clip_ids; there "
            "must be as many."
        )
    return Highlights(clips, clip_ids.astype(np.int64), ratings)


def _refuse_odd_windows(
    windows: NDArray[np.float64], name: str, here: str, *, may_be_points: bool
) -> None:
    """Refuse an empty list, times beyond reason, and windows that end before they start.

    Official predictions are rounded to clips, so that some have no length; true windows have one.
    """
    if not len(windows):
        raise EvaluationError(f"{here}: {name} is empty; give at least one window.")
    start_s, end_s = windows[:, 0], windows[:, 1]
    reversed_ = end_s < start_s if may_be_points else end_s <= start_s
    wrong = reversed_ | (np.abs(windows[:, :2]) > MAX_TIME_S).any(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        rule = "start before it ends" if reversed_[row] else f"lie within {MAX_TIME_S:,.0f} s"
        raise EvaluationError(
            f"{here}: window {row + 1} of {name} goes from {start_s[row]:g} to {end_s[row]:g} s; "
            f"a window must {rule}."
        )


def _rows(value: object, columns: int, name: str, here: str) -> NDArray[np.float64]:
    """A list of lists of `columns` finite numbers as (rows, columns)."""
    if not _is_list(value):
        raise EvaluationError(f"{here}: {name} is not a list.")
    rows = list(value)
    for number, row in enumerate(rows, start=1):
        if not _is_list(row) or len(row) != columns:
            raise EvaluationError(
                f"{here}: entry {number} of {name} is not a list of {columns} numbers."
            )
    flat = _numbers([cell for row in rows for cell in row], name, here)
    return flat.reshape(len(rows), columns)


def _numbers(value: object, name: str, here: str) -> NDArray[np.float64]:
    """A list of finite numbers as (n,)."""
    if not _is_list(value):
        raise EvaluationError(f"{here}: {name} is not a list.")
    cells = list(value)
    for cell in cells:
        if not _is_number(cell):
            raise EvaluationError(f"{here}: {name} holds {_short(cell)}, which is not a number.")
    try:
        numbers = np.array(cells, np.float64)
    except OverflowError:
        numbers = np.array([np.inf])
    if not np.isfinite(numbers).all():
        raise EvaluationError(f"{here}: {name} holds a number that is not finite.")
    return numbers


def _is_list(value: object) -> TypeGuard[Sequence[Any] | NDArray[Any]]:
    return isinstance(value, list | tuple | np.ndarray)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _short(value: object) -> str:
    """A value for a message; of lists and objects, which may be huge or deep, only the kind."""
    if not isinstance(value, str | int | float | None):
        return f"a {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
