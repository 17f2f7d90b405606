"""`reelseek evaluate` as it is typed: tables, JSON, and one sentence for whatever is wrong."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from commands.evaluate import evaluate as command
from search.evaluation.qvhighlights import evaluate
from storage.errors import EvaluationError

TRUTH: dict[str, Any] = {
    "qid": 7,
    "query": "a dog in snow",
    "vid": "v7",
    "duration": 20,
    "relevant_windows": [[0, 8]],
    "relevant_clip_ids": [0, 1, 2, 3],
    "saliency_scores": [[4, 4, 4], [2, 2, 2], [3, 3, 3], [2, 2, 2]],
}
PREDICTION: dict[str, Any] = {
    "qid": 7,
    "query": "a dog in snow",
    "vid": "v7",
    "pred_relevant_windows": [[0.0, 6.0, 0.9], [10.0, 20.0, 0.1]],
    "pred_saliency_scores": [0.9, 0.2, 0.5, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
}


def lines(*items: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """One query with a good prediction, as two files."""
    predictions, truth = tmp_path / "preds.jsonl", tmp_path / "truth.jsonl"
    predictions.write_bytes(lines(PREDICTION))
    truth.write_bytes(lines(TRUTH))
    return predictions, truth


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def refusal(*arguments: str | Path) -> str:
    """The sentence that a user would get; it is one line, and the exit code says what it is."""
    error = run(*arguments).exception
    assert isinstance(error, EvaluationError), repr(error)
    assert error.exit_code == 9
    sentence = str(error)
    assert "\n" not in sentence
    assert len(sentence) < 400
    assert sentence.endswith(".")
    return sentence


def test_the_table_has_the_figures_that_papers_print(files: tuple[Path, Path]) -> None:
    result = run(*files)
    assert result.exit_code == 0, result.output
    assert result.output == (
        "moments             R1@0.5  R1@0.7  mAP@0.5  mAP@0.75  mAP avg\n"
        "all windows         100.00  100.00   100.00    100.00    60.00\n"
        "short, up to 10 s   100.00  100.00   100.00    100.00    60.00\n"
        "middle, up to 30 s       –       –        –         –        –\n"
        "long, up to 150 s        –       –        –         –        –\n"
        "\n"
        "highlights               mAP   HIT@1\n"
        "VeryGood (in papers)  100.00  100.00\n"
        "Good                  100.00  100.00\n"
        "Fair                  100.00  100.00\n"
    )


def test_predictions_without_saliency_get_the_table_of_moments_only(
    files: tuple[Path, Path],
) -> None:
    predictions, truth = files
    windows = {key: value for key, value in PREDICTION.items() if key != "pred_saliency_scores"}
    predictions.write_bytes(lines(windows))
    assert "highlights" not in run(predictions, truth).output


def test_json_and_out_hold_the_official_metrics(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "metrics.json"
    printed = json.loads(run(*files, "--json", "--out", out).output)
    assert printed == evaluate([PREDICTION], [TRUTH])
    assert json.loads(out.read_text(encoding="utf-8")) == printed
    assert printed["brief"]["MR-long-mAP"] is None
    assert printed["brief"]["MR-full-R1@0.7"] == 100.0


def test_gzipped_files_are_told_by_their_content(files: tuple[Path, Path], tmp_path: Path) -> None:
    packed = tmp_path / "preds.jsonl.gz"
    packed.write_bytes(gzip.compress(files[0].read_bytes()))
    misnamed = tmp_path / "preds.txt"
    misnamed.write_bytes(packed.read_bytes())
    plain = run(*files).output
    assert run(packed, files[1]).output == run(misnamed, files[1]).output == plain


def test_blank_lines_and_a_byte_order_mark_do_no_harm(files: tuple[Path, Path]) -> None:
    plain = run(*files).output
    files[0].write_bytes(b"\xef\xbb\xbf" + lines(PREDICTION) + b"\r\n\n")
    assert run(*files).output == plain


def test_other_queries_are_refused_or_left_out(files: tuple[Path, Path]) -> None:
    predictions, truth = files
    plain = run(*files).output
    predictions.write_bytes(lines(PREDICTION, {**PREDICTION, "qid": 8}, {**PREDICTION, "qid": 9}))
    sentence = refusal(*files)
    assert "preds.jsonl, line 2, query 8: not in the ground truth (and 1 more like it)" in sentence
    assert "--no-match-number" in sentence
    assert run(*files, "--no-match-number").output == plain
    predictions.write_bytes(lines(PREDICTION))
    truth.write_bytes(lines({**TRUTH, "qid": 5}, TRUTH))
    assert "truth.jsonl, line 1, query 5: no prediction for it;" in refusal(*files)
    truth.write_bytes(lines({**TRUTH, "qid": 5}))
    assert "share no query" in refusal(*files, "--no-match-number")


def test_files_that_cannot_be_read_are_named(files: tuple[Path, Path], tmp_path: Path) -> None:
    assert "nowhere.jsonl cannot be read: No such file" in refusal(
        tmp_path / "nowhere.jsonl", files[1]
    )
    assert "cannot be read" in refusal(files[0], tmp_path)
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    assert "empty.jsonl is empty" in refusal(files[0], empty)
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(lines(*[PREDICTION] * 50))[:-30])
    assert "cut.jsonl.gz is a damaged gzip file" in refusal(cut, files[1])


def test_an_out_file_that_cannot_be_written_is_named(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    result = run(*files, "--out", tmp_path / "no folder" / "metrics.json")
    assert result.exit_code == 2
    assert "metrics.json" in result.output
    assert "No such file" in result.output


BROKEN_LINES = {
    "cut line": lines(PREDICTION)[:60],
    "array": b"[1, 2]",
    "no qid": b'{"query": "a dog"}',
    "qid true": b'{"qid": true}',
    "not UTF-8": b'{"qid": 8, "query": "\xff"}',
    "deep": b'{"qid": 8, "x": ' + b"[" * 100_000,
    "long number": b'{"qid": 8, "x": ' + b"9" * 10_000 + b"}",
    "long line": b'{"qid": 8, "query": "' + b"x" * 5_000_000 + b'"}',
}


@pytest.mark.parametrize("line", BROKEN_LINES.values(), ids=BROKEN_LINES)
def test_a_broken_line_is_named(files: tuple[Path, Path], line: bytes) -> None:
    files[0].write_bytes(lines(PREDICTION) + line + b"\n")
    assert f"{files[0]}, line 2: " in refusal(*files)


BROKEN_PREDICTIONS: dict[str, dict[str, Any]] = {
    "reversed window": {"pred_relevant_windows": [[0, 2, 0.9], [20, 10, 0.1]]},
    "no window": {"pred_relevant_windows": []},
    "no score": {"pred_relevant_windows": [[0, 10]]},
    "windows not a list": {"pred_relevant_windows": {"start": 0}},
    "window not a list": {"pred_relevant_windows": [3]},
    "time as text": {"pred_relevant_windows": [["0", "10", "0.9"]]},
    "time is nan": {"pred_relevant_windows": [[0, math.nan, 0.9]]},
    "time beyond floats": {"pred_relevant_windows": [[0, 10**400, 0.9]]},
    "time beyond reason": {"pred_relevant_windows": [[-1e300, 1e300, 0.9]]},
    "no saliency": {"pred_saliency_scores": []},
    "saliency null": {"pred_saliency_scores": None},
    "saliency holds null": {"pred_saliency_scores": [0.1, None]},
    "saliency holds lists": {"pred_saliency_scores": [[[0.1]]]},
    "saliency infinite": {"pred_saliency_scores": [math.inf]},
    "the same query again": {"qid": 7},
}


@pytest.mark.parametrize("change", BROKEN_PREDICTIONS.values(), ids=BROKEN_PREDICTIONS)
def test_a_broken_prediction_is_named_with_its_query(
    files: tuple[Path, Path], change: dict[str, Any]
) -> None:
    broken = {**PREDICTION, "qid": 8, **change}
    files[0].write_bytes(lines(PREDICTION, broken))
    assert f"{files[0]}, line 2, query {broken['qid']}: " in refusal(*files)


def test_a_field_that_only_some_predictions_have_is_refused(files: tuple[Path, Path]) -> None:
    files[0].write_bytes(lines(PREDICTION, {"qid": 8, "pred_saliency_scores": [1.0]}))
    files[1].write_bytes(lines(TRUTH, {**TRUTH, "qid": 8}))
    assert "line 2, query 8: no pred_relevant_windows, but" in refusal(*files)
    files[0].write_bytes(lines({"qid": 7}, {"qid": 8}))
    assert "line 1, query 7: neither pred_relevant_windows nor" in refusal(*files)


BROKEN_TRUTHS: dict[str, dict[str, Any]] = {
    "window without length": {"relevant_windows": [[4, 4]]},
    "no window": {"relevant_windows": []},
    "window with a score": {"relevant_windows": [[0, 8, 0.5]]},
    "clip beyond the video": {"relevant_clip_ids": [0, 1, 2, 10]},
    "clip before the video": {"relevant_clip_ids": [-1, 1, 2, 3]},
    "half a clip": {"relevant_clip_ids": [0.5, 1, 2, 3]},
    "too few clips": {"relevant_clip_ids": [0, 1, 2]},
    "two annotators": {"saliency_scores": [[4, 4]] * 4},
    "no duration": {"duration": None},
    "duration of a second": {"duration": 1},
    "endless duration": {"duration": 1e18},
}


@pytest.mark.parametrize("change", BROKEN_TRUTHS.values(), ids=BROKEN_TRUTHS)
def test_a_broken_annotation_is_named_with_its_query(
    files: tuple[Path, Path], change: dict[str, Any]
) -> None:
    files[1].write_bytes(lines({**TRUTH, **change}))
    assert f"{files[1]}, line 1, query 7: " in refusal(*files)


@pytest.mark.parametrize("field", ["relevant_windows", "relevant_clip_ids"])
def test_annotations_without_the_truth_are_told_so(files: tuple[Path, Path], field: str) -> None:
    files[1].write_bytes(lines({key: value for key, value in TRUTH.items() if key != field}))
    sentence = refusal(*files)
    assert f"{files[1]}, line 1, query 7: no {field}" in sentence
    assert "annotations with the truth" in sentence


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.sampled_from([*PREDICTION]), st.sampled_from([*TRUTH]), json_values, json_values)
def test_whatever_stands_in_a_field_it_is_scored_or_refused(
    predicted_field: str, true_field: str, predicted_value: Any, true_value: Any
) -> None:
    for submission, truth in (
        ({**PREDICTION, predicted_field: predicted_value}, TRUTH),
        (PREDICTION, {**TRUTH, true_field: true_value}),
    ):
        try:
            metrics = evaluate([submission], [truth])
        except EvaluationError:
            continue
        assert metrics["brief"]
        assert all(v is None or 0 <= v <= 100 for v in metrics["brief"].values())
