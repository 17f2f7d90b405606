"""Figures in the structure, the order and the rounding of the official QVHighlights metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.evaluation.highlights import HighlightFigures
from search.evaluation.moment_retrieval import IOU_THRESHOLDS, SplitFigures

Metrics = dict[str, dict[str, Any]]
"""What the official evaluation writes: "brief", then details by name; per cent, 2 decimals."""


def official_metrics(
    moments: Mapping[str, SplitFigures], highlights: Mapping[str, HighlightFigures]
) -> Metrics:
    """Per cent with 2 decimals; None where a split has no query. Either side may be empty."""
    details: Metrics = {name: _split(figures) for name, figures in moments.items()}
    brief = _moment_headlines(details) if moments else {}
    for level, figures in highlights.items():
        name = f"HL-min-{level}"
        details[name] = {
            "HL-mAP": _per_cent(figures.mean_average_precision),
            "HL-Hit1": _per_cent(figures.hit_at_1),
        }
        brief[f"{name}-mAP"] = details[name]["HL-mAP"]
        brief[f"{name}-Hit1"] = details[name]["HL-Hit1"]
    return {"brief": brief, **dict(sorted(details.items()))}


def _split(figures: SplitFigures) -> dict[str, Any]:
    return {
        "MR-mAP": {
            **_by_threshold(figures.average_precision),
            "average": _per_cent(figures.average_precision.mean()),
        },
        "MR-R1": _by_threshold(figures.recall_at_1),
    }


def _by_threshold(values: NDArray[np.float64]) -> dict[str, float | None]:
    return {
        f"{threshold:g}": _per_cent(value)
        for threshold, value in zip(IOU_THRESHOLDS, values, strict=True)
    }


def _moment_headlines(details: Metrics) -> dict[str, float | None]:
    full = details["full"]
    return {
        "MR-full-R1@0.5": full["MR-R1"]["0.5"],
        "MR-full-R1@0.7": full["MR-R1"]["0.7"],
        "MR-full-mAP": full["MR-mAP"]["average"],
        "MR-full-mAP@0.5": full["MR-mAP"]["0.5"],
        "MR-full-mAP@0.75": full["MR-mAP"]["0.75"],
        "MR-long-mAP": details["long"]["MR-mAP"]["average"],
        "MR-middle-mAP": details["middle"]["MR-mAP"]["average"],
        "MR-short-mAP": details["short"]["MR-mAP"]["average"],
    }


def _per_cent(part: float) -> float | None:
    return None if np.isnan(part) else float(f"{100 * part:.2f}")
