"""Which prediction belongs to which annotation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from search.evaluation.records import Annotation, Prediction, Qid, at
from storage.errors import EvaluationError

Pairs = Sequence[tuple[Prediction, Annotation]]
_Item = TypeVar("_Item", Prediction, Annotation)


def paired(
    predictions: Iterable[Prediction], annotations: Iterable[Annotation], *, match_number: bool
) -> Pairs:
    """Each prediction with its truth, in the order of the predictions; never empty.

    Args:
        match_number: refuse queries that only one side has, instead of passing over them.

    Raises:
        EvaluationError: a query is given twice, only on one side, or the sides share none.
    """
    predicted, true = _by_qid(predictions), _by_qid(annotations)
    if match_number:
        _refuse_unmatched(predicted, true, "not in the ground truth")
        _refuse_unmatched(true, predicted, "no prediction for it")
    pairs = [(item, true[qid]) for qid, item in predicted.items() if qid in true]
    if not pairs:
        raise EvaluationError("Predictions and ground truth share no query: compare their qids.")
    return pairs


def _by_qid(items: Iterable[_Item]) -> dict[Qid, _Item]:
    found: dict[Qid, _Item] = {}
    for item in items:
        if item.qid in found:
            raise EvaluationError(
                f"{at(item.place, item.qid)}: the same query as in {found[item.qid].place}; give "
                "each query once."
            )
        found[item.qid] = item
    return found


def _refuse_unmatched(
    items: Mapping[Qid, Prediction] | Mapping[Qid, Annotation],
    others: Mapping[Qid, Prediction] | Mapping[Qid, Annotation],
    problem: str,
) -> None:
    unmatched = [item for qid, item in items.items() if qid not in others]
    if unmatched:
        more = f" (and {len(unmatched) - 1:,} more like it)" if len(unmatched) > 1 else ""
        raise EvaluationError(
            f"{at(unmatched[0].place, unmatched[0].qid)}: {problem}{more}; give the same queries "
            "on both sides, or score only the shared ones with --no-match-number."
        )
