"""The QVHighlights evaluation: the same figures as the official one, in the same structure.

Official: moment_detr (github.com/jayleicn/moment_detr), standalone_eval/eval.py. The data set is
from Lei et al., "QVHighlights: Detecting Moments and Highlights in Videos via Natural Language
Queries", NeurIPS 2021.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from search.evaluation.highlights import HighlightFigures, highlight_figures
from search.evaluation.jsonl import read_jsonl
from search.evaluation.moment_retrieval import SplitFigures, moment_figures
from search.evaluation.pairing import Pairs, paired
from search.evaluation.records import annotation, at, prediction
from search.evaluation.report import Metrics, official_metrics
from storage.errors import EvaluationError


def evaluate(
    submission: Iterable[Mapping[str, Any]],
    ground_truth: Iterable[Mapping[str, Any]],
    *,
    match_number: bool = True,
) -> Metrics:
    """Score predictions in the format of QVHighlights.

    Args:
        submission: per query "qid" and "pred_relevant_windows" (lists of start and end in seconds,
            score) or "pred_saliency_scores" (one per clip of 2 s) or both.
        ground_truth: per query "qid", "duration" in seconds, "relevant_windows" (start, end),
            "relevant_clip_ids" and "saliency_scores" (three per relevant clip).
        match_number: refuse other queries than those of the ground truth; if off, only the shared
            ones count.

    Returns:
        The official metrics, keys in the official order, per cent with 2 decimals. Where the
        official evaluation fails because no true window has a split's length, that split's
        figures are None.

    Raises:
        EvaluationError: naming the item and query that is not as the format wants it.
    """
    pairs = paired(
        [
            prediction(item, f"item {number} of the submission")
            for number, item in enumerate(submission, start=1)
        ],
        [
            annotation(item, f"item {number} of the ground truth")
            for number, item in enumerate(ground_truth, start=1)
        ],
        match_number=match_number,
    )
    return _metrics(pairs)


def evaluate_files(submission: Path, ground_truth: Path, *, match_number: bool = True) -> Metrics:
    """`evaluate` for files of one JSON object per line, plain or gzipped.

    Raises:
        EvaluationError: naming the file, line and query that is not as the format wants it.
    """
    predictions = [prediction(item, place) for place, item in read_jsonl(submission)]
    annotations = [annotation(item, place) for place, item in read_jsonl(ground_truth)]
    for path, items in ((submission, predictions), (ground_truth, annotations)):
        if not items:
            raise EvaluationError(f"{path} is empty; give one JSON object per line and query.")
    return _metrics(paired(predictions, annotations, match_number=match_number))


def _metrics(pairs: Pairs) -> Metrics:
    moments, highlights = _moments(pairs), _highlights(pairs)
    if not moments and not highlights:
        first = pairs[0][0]
        raise EvaluationError(
            f"{at(first.place, first.qid)}: neither pred_relevant_windows nor "
            "pred_saliency_scores; give at least one of them for every query."
        )
    return official_metrics(moments, highlights)


def _moments(pairs: Pairs) -> dict[str, SplitFigures]:
    """Empty if no windows are predicted."""
    windows = []
    for predicted, true in pairs:
        if predicted.windows is None:
            continue
        if true.windows is None:
            raise EvaluationError(
                f"{at(true.place, true.qid)}: no relevant_windows; give annotations with the truth."
            )
        windows.append((predicted.windows, true.windows))
    _refuse_mixture("pred_relevant_windows", [p.windows is not None for p, _ in pairs], pairs)
    return moment_figures(windows) if windows else {}


def _highlights(pairs: Pairs) -> dict[str, HighlightFigures]:
    """Empty if no saliency is predicted."""
    saliency = []
    for predicted, true in pairs:
        if predicted.saliency is None:
            continue
        if true.highlights is None:
            raise EvaluationError(
                f"{at(true.place, true.qid)}: no relevant_clip_ids and saliency_scores; give "
                "annotations with the truth, or predictions without pred_saliency_scores."
            )
        saliency.append((predicted.saliency, true.highlights))
    _refuse_mixture("pred_saliency_scores", [p.saliency is not None for p, _ in pairs], pairs)
    return highlight_figures(saliency) if saliency else {}


def _refuse_mixture(field: str, given: list[bool], pairs: Pairs) -> None:
    """A mean over the queries that happen to have a field would flatter the predictions."""
    if any(given) and not all(given):
        without_it, with_it = pairs[given.index(False)][0], pairs[given.index(True)][0]
        raise EvaluationError(
            f"{at(without_it.place, without_it.qid)}: no {field}, but {with_it.place} has it; "
            "give it for every query or for none."
        )
