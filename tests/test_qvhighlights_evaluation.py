"""Our QVHighlights figures are the official ones, and obey the laws of their definitions."""

from __future__ import annotations

import copy
import gzip
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from recordings import FIXTURES, cases_or_skip, folders_or_skip

from search.evaluation.average_precision import (
    average_precision_of_ranking,
    average_precision_of_scores,
)
from search.evaluation.qvhighlights import evaluate, evaluate_files
from search.evaluation.temporal import matched, temporal_iou
from storage.errors import EvaluationError

FOLDER = FIXTURES / "qvh_eval"
Items = list[dict[str, Any]]

LAST_DIGIT = 0.01 + 1e-9
"""The official figures have 2 decimals; where a mean lies between two, rounding may tip."""


def edge_cases() -> dict[str, dict[str, Any]]:
    """The recorded small cases, by name."""
    files = sorted(FOLDER.glob("*.json"))
    contents = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return {case["name"]: case for content in contents for case in content.get("cases", ())}


def read(file: Path) -> Items:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def holds(file: Path, field: str) -> bool:
    """Whether the first line of a file has a field."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return field in json.loads(next(lines, "{}"))


def metrics_of(predictions: Path) -> Path:
    """The official metrics that lie beside a published prediction file."""
    return predictions.with_name(predictions.name.partition(".")[0] + ".metrics.json")


FILES = sorted(FOLDER.glob("*.jsonl.gz"))
ANNOTATIONS = [file for file in FILES if holds(file, "relevant_windows")]
PUBLISHED = [f for f in FILES if holds(f, "pred_relevant_windows") and metrics_of(f).is_file()]


def ground_truth_of(predictions: Path) -> Path:
    """The annotation file with the same queries."""
    wanted = {item["qid"] for item in read(predictions)}
    for file in ANNOTATIONS:
        if {item["qid"] for item in read(file)} == wanted:
            return file
    pytest.skip(f"no annotations beside {predictions} have its queries")


def assert_same(got: Any, official: Any, where: str = "metrics") -> None:
    """The same keys in the same order, and the same figures."""
    if isinstance(official, dict):
        assert list(got) == list(official), where
        for key, value in official.items():
            assert_same(got[key], value, f"{where}[{key}]")
    else:
        assert got == pytest.approx(official, abs=LAST_DIGIT), where


@pytest.mark.parametrize(
    "predictions", folders_or_skip(PUBLISHED, "predictions and metrics", "qvh_eval")
)
def test_published_predictions_get_their_published_figures(predictions: Path) -> None:
    truth = ground_truth_of(predictions)
    began = time.perf_counter()
    got = evaluate_files(predictions, truth)
    assert time.perf_counter() - began < 10
    assert_same(got, json.loads(metrics_of(predictions).read_text(encoding="utf-8")))


def backwards(submission: Items) -> bool:
    return any(w[1] < w[0] for item in submission for w in item.get("pred_relevant_windows", ()))


@pytest.mark.parametrize("case", cases_or_skip(edge_cases(), "edge cases", "qvh_eval"))
def test_edge_cases_get_the_official_figures_or_a_sentence(case: dict[str, Any]) -> None:
    submission, truth = case["submission"], case["ground_truth"]
    if "metrics" in case and not backwards(submission):
        assert_same(evaluate(submission, truth, **case["options"]), case["metrics"])
        return
    try:
        metrics = evaluate(submission, truth, **case["options"])
    except EvaluationError as error:
        assert "query " in str(error)
    else:  # what the official code cannot do is left empty, and the rest is there
        assert None in metrics["brief"].values()
        assert metrics["brief"]["MR-full-mAP"] is not None


@pytest.mark.parametrize("annotations", folders_or_skip(ANNOTATIONS, "annotations", "qvh_eval"))
def test_the_true_windows_of_a_split_are_perfect_predictions(annotations: Path) -> None:
    few = [item for item in read(annotations) if len(item["relevant_windows"]) <= 10]
    submission = [
        {"qid": item["qid"], "pred_relevant_windows": [[*w, 1.0] for w in item["relevant_windows"]]}
        for item in few
    ]
    metrics = evaluate(submission, few)
    assert set(metrics["full"]["MR-mAP"].values()) == {100.0}
    assert set(metrics["full"]["MR-R1"].values()) == {100.0}


def query(qid: int, *windows: list[float], predicted: list[list[float]]) -> tuple[Any, Any]:
    return (
        {"qid": qid, "pred_relevant_windows": predicted},
        {"qid": qid, "duration": 150, "relevant_windows": list(windows)},
    )


def score(*queries: tuple[Any, Any]) -> dict[str, Any]:
    return evaluate([item for item, _ in queries], [truth for _, truth in queries])


def test_a_split_without_true_windows_is_empty_and_the_others_are_not() -> None:
    brief = score(query(1, [0, 40], predicted=[[0, 40, 0.9]]))["brief"]
    assert brief["MR-long-mAP"] == brief["MR-full-mAP"] == 100.0
    assert brief["MR-short-mAP"] is None
    assert brief["MR-middle-mAP"] is None


def test_r1_takes_the_first_window_of_the_list_and_map_the_best_scored() -> None:
    metrics = score(query(1, [0, 40], predicted=[[100, 140, 0.1], [0, 40, 0.9]]))
    assert metrics["brief"]["MR-full-R1@0.5"] == 0.0
    assert metrics["brief"]["MR-full-mAP"] == 100.0


def test_a_window_found_twice_counts_once() -> None:
    once_more = [[0, 40, 0.9], [0, 40, 0.8], [60, 100, 0.7]]
    metrics = score(query(1, [0, 40], [60, 100], predicted=once_more))
    assert metrics["full"]["MR-mAP"]["0.5"] == pytest.approx((1 + 2 / 3) / 2 * 100, abs=0.01)


def test_given_annotations_are_not_changed() -> None:
    item, truth = query(1, [0, 40], predicted=[[60, 80, 0.1], [0, 40, 0.9]])
    before = copy.deepcopy((item, truth))
    evaluate([item], [truth])
    assert (item, truth) == before


def rated(*ratings: list[int]) -> dict[str, Any]:
    clips = len(ratings)
    return {
        "qid": 1,
        "duration": 2 * clips,
        "relevant_clip_ids": list(range(clips)),
        "saliency_scores": list(ratings),
    }


def highlight_brief(scores: list[float], truth: dict[str, Any]) -> dict[str, float]:
    brief: dict[str, float] = evaluate([{"qid": 1, "pred_saliency_scores": scores}], [truth])[
        "brief"
    ]
    return brief


def test_hit_at_1_asks_for_one_annotator_and_map_for_each() -> None:
    brief = highlight_brief([1.0, 0.0], rated([4, 0, 0], [0, 4, 4]))
    assert brief["HL-min-VeryGood-Hit1"] == 100.0
    assert brief["HL-min-VeryGood-mAP"] == pytest.approx((1 + 0.5 + 0.5) / 3 * 100, abs=0.01)


def test_missing_scores_count_as_zero_and_extra_ones_are_cut() -> None:
    truth = rated([0, 0, 0], [4, 4, 4], [0, 0, 0])
    assert highlight_brief([-1.0, -2.0], truth)["HL-min-VeryGood-mAP"] == pytest.approx(33.33)
    beyond = highlight_brief([0.0, 1.0, 0.0, 9.0], truth)
    assert beyond["HL-min-VeryGood-mAP"] == 100.0
    assert beyond["HL-min-VeryGood-Hit1"] == 0.0


def test_iou_by_hand() -> None:
    windows = np.array([[0.0, 10.0], [5.0, 5.0]])
    others = np.array([[5.0, 15.0], [10.0, 20.0], [5.0, 5.0]])
    np.testing.assert_array_equal(temporal_iou(windows, others), [[5 / 15, 0, 0], [0, 0, 0]])


def test_equal_scores_pass_a_threshold_together() -> None:
    positive = np.array([True, False, True, False])
    together = average_precision_of_scores(positive, np.array([1.0, 1.0, 1.0, 0.0]))
    apart = average_precision_of_scores(positive, np.array([4.0, 3.0, 2.0, 1.0]))
    assert together == pytest.approx(2 / 3)
    assert apart == pytest.approx((1 + 2 / 3) / 2)


def test_no_positive_item_scores_0_and_only_positive_items_score_1() -> None:
    positive = np.array([[False, False], [True, True]])
    assert average_precision_of_scores(positive, np.array([0.1, 0.2])).tolist() == [0.0, 1.0]


# Laws. Windows lie on even seconds, as annotated ones do.


@st.composite
def apart_windows(draw: st.DrawFn) -> list[list[float]]:
    """One to ten true windows of a video of 150 s that do not touch."""
    edges = sorted(draw(st.sets(st.integers(0, 75), min_size=2, max_size=20)))
    return [[2.0 * a, 2.0 * b] for a, b in zip(edges[::2], edges[1::2], strict=False)]


@st.composite
def some_queries(draw: st.DrawFn) -> list[tuple[Any, Any]]:
    window = st.builds(
        lambda start, length, score: [2.0 * start, min(2.0 * (start + length), 150.0), score / 10],
        st.integers(0, 74),
        st.integers(1, 75),
        st.integers(0, 9),
    )
    return [
        query(qid, *draw(apart_windows()), predicted=draw(st.lists(window, min_size=1, max_size=9)))
        for qid in range(draw(st.integers(1, 4)))
    ]


lawful = settings(deadline=None, max_examples=60)


@lawful
@given(st.lists(apart_windows(), min_size=1, max_size=4))
def test_perfect_predictions_give_100(truths: list[list[list[float]]]) -> None:
    queries = [query(n, *w, predicted=[[*x, 0.5] for x in w]) for n, w in enumerate(truths)]
    full = score(*queries)["full"]
    assert {*full["MR-mAP"].values(), *full["MR-R1"].values()} == {100.0}


@lawful
@given(some_queries(), st.data())
def test_a_wrong_window_never_helps_and_a_lower_ranked_one_never_hurts(
    queries: list[tuple[Any, Any]], data: st.DataObject
) -> None:
    before = score(*queries)["full"]["MR-mAP"]
    item, truth = queries[0]
    worse = copy.deepcopy(item)
    confidence = data.draw(st.sampled_from([-1.0, 0.35, 2.0]))
    worse["pred_relevant_windows"].append([200.0, 210.0, confidence])
    after = score((worse, truth), *queries[1:])["full"]["MR-mAP"]
    for threshold, value in before.items():
        assert after[threshold] <= value
        if confidence < 0:
            assert after[threshold] == value


@lawful
@given(some_queries(), st.randoms(use_true_random=False))
def test_the_order_of_queries_does_not_matter(queries: list[tuple[Any, Any]], random: Any) -> None:
    submission = [item for item, _ in queries]
    truth = [annotated for _, annotated in queries]
    official = evaluate(submission, truth)
    random.shuffle(submission)
    random.shuffle(truth)
    assert_same(evaluate(submission, truth), official)


@lawful
@given(some_queries(), some_queries())
def test_without_match_number_only_shared_queries_count(
    shared: list[tuple[Any, Any]], others: list[tuple[Any, Any]]
) -> None:
    strangers = [{**item, "qid": f"stranger {item['qid']}"} for item, _ in others]
    unasked = [{**truth, "qid": 1000 + truth["qid"]} for _, truth in others]
    got = evaluate(
        [*strangers, *(item for item, _ in shared)],
        [*unasked, *(truth for _, truth in shared)],
        match_number=False,
    )
    assert got == score(*shared)
    with pytest.raises(EvaluationError, match="query 'stranger 0': not in the ground truth"):
        evaluate([*strangers, *(item for item, _ in shared)], [truth for _, truth in shared])


@lawful
@given(st.lists(st.lists(st.integers(0, 10), min_size=3, max_size=3), min_size=1, max_size=8))
def test_matching_agrees_with_the_rule_step_by_step(overlaps: list[list[int]]) -> None:
    iou = np.array(overlaps) / 10
    for threshold, right in zip((0.5, 0.8), matched(iou, np.array([0.5, 0.8])), strict=True):
        free = [0, 1, 2]
        for overlap, found in zip(iou, right, strict=True):
            near = [(overlap[g], g) for g in free if overlap[g] >= threshold]
            assert found == bool(near)
            if near:
                free.remove(max(near)[1])


@lawful
@given(st.lists(st.booleans(), min_size=1, max_size=20), st.integers(0, 3))
def test_ranked_precision_is_the_area_under_the_interpolated_curve(
    right: list[bool], missed: int
) -> None:
    found = np.cumsum(right)
    truths = int(found[-1]) + missed
    assume(truths)
    precision, recall = found / np.arange(1, len(right) + 1), found / truths
    area = sum(
        max(precision[recall >= wanted - 1e-9], default=0.0)
        for wanted in np.arange(1, truths + 1) / truths
    )
    got = average_precision_of_ranking(np.array(right), truths)
    assert got == pytest.approx(area / truths)


@lawful
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=12), st.data())
def test_scored_precision_hangs_on_the_order_of_the_scores_only(
    items: list[tuple[bool, int]], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(items))

    def precision(of: list[tuple[bool, int]], scale: float) -> NDArray[np.float64]:
        return average_precision_of_scores(
            np.array([positive for positive, _ in of]), np.array([scale * s for _, s in of]) - 3.0
        )

    assert precision(items, 1.0) == pytest.approx(precision(shuffled, 0.25))
