"""The exported text tower gives what the official CLIP was recorded to give."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from recordings import Closeness, case_files, closeness, folders_or_skip, read_arrays, read_case

from search.text.clip_export import export_graph, load_model

pytest.importorskip("torch", reason="exporting a tower needs torch (.[clip])")
pytest.importorskip("transformers", reason="exporting a tower needs transformers (.[clip])")
pytest.importorskip("onnxscript", reason="exporting a tower needs onnxscript (.[clip])")

CONFIGS = case_files("clip_towers", "*/config.json", arrays=["token_ids", "text_features"])


@dataclass(frozen=True)
class Tower:
    """A session on the graph made from a recorded Hugging Face folder, and what it should give."""

    session: Any
    case: dict[str, Any]
    recorded: dict[str, NDArray[Any]]

    def run(self, ids: NDArray[Any]) -> list[NDArray[np.float32]]:
        ids = ids.astype(np.int64)
        given: list[NDArray[np.float32]] = self.session.run(
            ["embedding", "tokens"], {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        )
        return given

    @property
    def tolerance(self) -> Closeness:
        return closeness(self.case["tolerance"])


@pytest.fixture(
    scope="module", params=folders_or_skip(CONFIGS, "text towers of transformers", "clip_towers")
)
def tower(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tower:
    import onnxruntime

    config: Path = request.param
    file = tmp_path_factory.mktemp("tower") / "text.onnx"
    export_graph(load_model(config.parent), file)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    folder = config.parents[1]
    return Tower(session, read_case(folder), read_arrays(folder / "io.npz"))


def test_all_sentences_at_once(tower: Tower) -> None:
    recorded, tolerance = tower.recorded, tower.tolerance
    pooled, tokens = tower.run(recorded["token_ids"])
    features = recorded["text_features"]
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(pooled, unit, **tolerance)
    np.testing.assert_allclose(tokens, recorded["text_last_hidden_state"], **tolerance)


def test_each_sentence_alone_without_its_padding(tower: Tower) -> None:
    """As a search runs it: 77 positions are officially computed, the rows up to the end differ
    from those of a short run by rounding only."""
    recorded, tolerance = tower.recorded, tower.tolerance
    for row, what in enumerate(tower.case["text_rows"]):
        ids = recorded["token_ids"][row]
        length = int(np.flatnonzero(ids)[-1]) + 1  # id 0 inside a sentence is a token
        pooled, tokens = tower.run(ids[None, :length])
        features = recorded["text_features"][row]
        unit = features / np.linalg.norm(features)
        hidden = recorded["text_last_hidden_state"][row, :length]
        np.testing.assert_allclose(pooled[0], unit, **tolerance, err_msg=what)
        np.testing.assert_allclose(tokens[0], hidden, **tolerance, err_msg=what)


def test_words_normalised_as_the_demo_of_qd_detr_does_it(tower: Tower) -> None:
    words = tower.recorded["text_last_hidden_state_l2_eps"]
    _, tokens = tower.run(tower.recorded["token_ids"][: len(words)])
    scaled = tokens / np.maximum(np.linalg.norm(tokens, axis=-1, keepdims=True), 1e-5)
    np.testing.assert_allclose(scaled, words, **tower.tolerance)


def test_rows_do_not_depend_on_what_follows(tower: Tower) -> None:
    """Why the first 31 rows for a moment head come from the same run as the whole sentence."""
    full = max(tower.recorded["token_ids"], key=np.count_nonzero)
    _, whole = tower.run(full[None])
    _, beginning = tower.run(full[None, :31])
    np.testing.assert_allclose(beginning[0], whole[0, :31], **tower.tolerance)
