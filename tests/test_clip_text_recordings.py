"""The exported text tower gives what the official CLIP was recorded to give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from recordings import fixtures_folder, read_arrays, read_case

from search.text.clip_export import export_graph, load_model

pytest.importorskip("torch", reason="exporting a tower needs torch (.[clip])")
pytest.importorskip("transformers", reason="exporting a tower needs transformers (.[clip])")
pytest.importorskip("onnxscript", reason="exporting a tower needs onnxscript (.[clip])")

FOLDER = fixtures_folder("clip_towers")


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A session on the graph made from the recorded Hugging Face folder."""
    import onnxruntime

    file = tmp_path_factory.mktemp("tower") / "text.onnx"
    export_graph(load_model(FOLDER / "transformers"), file)
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def recorded() -> dict[str, NDArray[Any]]:
    return read_arrays(FOLDER / "io.npz")


def run(tower: Any, ids: NDArray[Any]) -> list[NDArray[np.float32]]:
    ids = ids.astype(np.int64)
    given: list[NDArray[np.float32]] = tower.run(
        ["embedding", "tokens"], {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    )
    return given


def test_all_sentences_at_once(tower: Any, recorded: dict[str, NDArray[Any]]) -> None:
    tolerance = read_case(FOLDER)["tolerance"]
    pooled, tokens = run(tower, recorded["token_ids"])
    features = recorded["text_features"]
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(pooled, unit, **tolerance)
    np.testing.assert_allclose(tokens, recorded["text_last_hidden_state"], **tolerance)


def test_each_sentence_alone_without_its_padding(
    tower: Any, recorded: dict[str, NDArray[Any]]
) -> None:
    """As a search runs it: 77 positions are officially computed, the rows up to the end differ
    from those of a short run by rounding only."""
    case = read_case(FOLDER)
    for row, what in enumerate(case["text_rows"]):
        ids = recorded["token_ids"][row]
        length = int(np.flatnonzero(ids)[-1]) + 1  # id 0 inside a sentence is a token
        pooled, tokens = run(tower, ids[None, :length])
        features = recorded["text_features"][row]
        unit = features / np.linalg.norm(features)
        hidden = recorded["text_last_hidden_state"][row, :length]
        np.testing.assert_allclose(pooled[0], unit, **case["tolerance"], err_msg=what)
        np.testing.assert_allclose(tokens[0], hidden, **case["tolerance"], err_msg=what)


def test_words_normalised_as_the_demo_of_qd_detr_does_it(
    tower: Any, recorded: dict[str, NDArray[Any]]
) -> None:
    words = recorded["text_last_hidden_state_l2_eps"]
    _, tokens = run(tower, recorded["token_ids"][: len(words)])
    scaled = tokens / np.maximum(np.linalg.norm(tokens, axis=-1, keepdims=True), 1e-5)
    np.testing.assert_allclose(scaled, words, **read_case(FOLDER)["tolerance"])


def test_rows_do_not_depend_on_what_follows(tower: Any, recorded: dict[str, NDArray[Any]]) -> None:
    """Why the first 31 rows for a moment head come from the same run as the whole sentence."""
    tolerance = read_case(FOLDER)["tolerance"]
    full = max(recorded["token_ids"], key=np.count_nonzero)
    _, whole = run(tower, full[None])
    _, beginning = run(tower, full[None, :31])
    np.testing.assert_allclose(beginning[0], whole[0, :31], **tolerance)
