"""How often the right video comes first: recall at k and MRR of films ranked by their best hit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.measures.bootstrap import Figure, mean
from benchmarks.measures.truth import Case

RECALL_AT = (1, 5, 10)


def figures(cases: Sequence[Case]) -> dict[str, Figure]:
    """R@k: share of questions with a right video among the first k; MRR: mean of one over its
    place.

    Videos where it is only arguably true are passed over, as are arguable hits in one where it is
    true elsewhere. A question whose videos were not found at all counts 0.
    """
    places = np.array([_place(case) for case in cases], np.float64)
    found: dict[str, Figure] = {f"R@{k}": mean(places <= k) for k in RECALL_AT}
    return {**found, "MRR": mean(1 / places)}


def _place(case: Case) -> float:
    """Place of the first right video, from 1; infinite where none was found."""
    ranked = dict.fromkeys(
        hit.file for hit in case.hits() if hit.file in case.truths or hit.file not in case.maybes
    )
    right = [place for place, file in enumerate(ranked, start=1) if file in case.truths]
    return right[0] if right else float("inf")
