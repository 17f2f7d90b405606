"""What training does in a step, between steps, and with a query of many windows."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import read_arrays, read_case

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("scipy", reason="training needs scipy")

from test_qd_detr_losses import (  # noqa: E402
    approximately,
    costs_of,
    inputs_of,
    network_of,
    prefixed,
    targets_of,
    weights_of,
    with_case,
)

from search.moments.qd_detr import QDDETR  # noqa: E402
from search.moments.qd_detr_config import QDDETRConfig  # noqa: E402
from training.moment_retrieval import checkpoint, trainer  # noqa: E402
from training.moment_retrieval.annotations import Annotation, read_annotations  # noqa: E402
from training.moment_retrieval.checkpoint import Training  # noqa: E402
from training.moment_retrieval.dataset import Batch, MomentDataset  # noqa: E402
from training.moment_retrieval.features import FeatureFolders  # noqa: E402
from training.moment_retrieval.labels import MAX_WINDOWS, labels  # noqa: E402
from training.moment_retrieval.loading import Loader  # noqa: E402
from training.moment_retrieval.losses import LossWeights, Targets  # noqa: E402
from training.moment_retrieval.matching import MatchingCosts  # noqa: E402
from training.moment_retrieval.run_folder import RunFolder  # noqa: E402
from training.moment_retrieval.trainer import Recipe  # noqa: E402

RECIPE = Recipe(
    epochs=2,
    learning_rate=1e-4,
    weight_decay=1e-4,
    lr_drop=400,
    clip_norm=0.1,
    eval_every=1,
    seed=0,
    weights=LossWeights(),
    costs=MatchingCosts(),
)


@with_case("optimiser", "training steps")
def test_a_step_of_the_trainer_is_the_official_one(folder: Path) -> None:
    case, arrays = read_case(folder), read_arrays(folder / "io.npz")
    said = case["optimiser"]
    recipe = replace(
        RECIPE,
        learning_rate=said["lr"],
        weight_decay=said["weight_decay"],
        clip_norm=said["clip_grad_norm"],
        weights=weights_of(case),
        costs=costs_of(case),
    )
    network = network_of(case)
    fresh = trainer.begin(network.config, recipe, torch.device("cpu"))
    fresh.network.load_state_dict(network.state_dict())
    fresh.network.train()
    terms = trainer.step(fresh, recipe, Batch([], inputs_of(arrays), targets_of(arrays)), "")

    assert terms["loss_overall"] == pytest.approx(case["loss_overall"], **approximately(case))
    after = fresh.network.state_dict()
    for name, recorded in prefixed(arrays, "step:"):
        sure = np.abs(arrays[f"grad:{name}"]) >= 1e-5
        error = np.abs(after[name].numpy() - recorded)[sure]
        assert error.max(initial=0) <= 2e-6, name


def test_a_long_gradient_is_shortened_to_the_clip_norm_and_keeps_its_direction() -> None:
    whole, clipped = gradient_of_a_step(clip_norm=1e9), gradient_of_a_step(clip_norm=0.1)
    assert whole.norm() > 1
    assert clipped.norm().item() == pytest.approx(0.1, rel=1e-3)
    cosine = torch.nn.functional.cosine_similarity(whole, clipped, dim=0)
    assert cosine.item() == pytest.approx(1, abs=1e-4)


def gradient_of_a_step(clip_norm: float) -> Any:
    """What plain descent at rate 1 takes off the weights in a step, all of them in a row."""
    torch.manual_seed(0)
    config = QDDETRConfig(
        video_dim=6, text_dim=5, hidden=16, heads=2, feedforward=16, dropout=0, input_dropout=0
    )
    network = QDDETR(config).double()  # the difference of weights before and after loses digits
    descent = torch.optim.SGD(network.parameters(), lr=1.0)
    inputs = {
        "src_txt": torch.randn(2, 3, 5).double(),
        "src_txt_mask": torch.ones(2, 3).double(),
        "src_vid": torch.randn(2, 8, 6).double(),
        "src_vid_mask": torch.ones(2, 8).double(),
    }
    batch = Batch([], inputs, Targets([torch.tensor([[0.5, 0.25]]).double()] * 2, None))
    before = torch.nn.utils.parameters_to_vector(network.parameters()).detach().clone()
    training = Training(network, descent, torch.optim.lr_scheduler.StepLR(descent, 1))
    trainer.step(training, replace(RECIPE, clip_norm=clip_norm), batch, "")
    return before - torch.nn.utils.parameters_to_vector(network.parameters()).detach()


TRUTH = [(20.0, 40.0), (40.0, 60.0), (60.0, 80.0), (30.0, 50.0)]
"""Seconds, of four films of 100 s."""
NEARLY = [(start, end + 12) for start, end in TRUTH]
"""Each overlaps the truth by an IoU of 0.625: all found at 0.5, none at 0.7."""
MOSTLY = [*TRUTH[:3], (80.0, 100.0)]
"""Three are exact, one is elsewhere: R1@0.5 is lower, mAP is higher."""


@pytest.mark.parametrize(
    ("answers", "best"), [((NEARLY, MOSTLY), 1), ((MOSTLY, NEARLY), 0)], ids=["rises", "falls"]
)
def test_the_best_epoch_is_that_of_the_highest_map(
    tmp_path: Path, answers: tuple[list[Any], ...], best: int
) -> None:
    control = Loader(four_films(tmp_path), batch_size=4, seed=0, threads=1)
    network = Scripted(answers)
    descent = torch.optim.SGD(network.parameters(), lr=0.1)
    training = Training(network, descent, torch.optim.lr_scheduler.StepLR(descent, 1))
    folder = RunFolder(tmp_path / "run")
    folder.begin()
    trainer.train(training, RECIPE, control, control, folder, argparse.Namespace())

    log = [json.loads(line) for line in (folder.path / "log.jsonl").read_text().splitlines()]
    recalls, precisions = (
        [entry["val"][name] for entry in log] for name in ("MR-full-R1@0.5", "MR-full-mAP")
    )
    assert recalls[best] < recalls[1 - best]
    assert precisions[best] > precisions[1 - best]
    assert checkpoint.load(folder.best)["epoch"] == best
    assert [entry["best"] for entry in log] == [True, best == 1]
    metrics = json.loads((folder.path / "best_val_metrics.json").read_text())
    assert metrics["brief"]["MR-full-mAP"] == max(precisions)


class Scripted(torch.nn.Module):
    """Stands for a network: learns next to nothing, and answers as it was told, validation by
    validation."""

    def __init__(self, answers: Sequence[list[tuple[float, float]]]) -> None:
        super().__init__()
        self.global_rep_token = torch.nn.Parameter(torch.zeros(2))
        self._answers = iter(answers)

    def forward_with_negatives(self, **inputs: Any) -> dict[str, Any]:
        guess = self.global_rep_token.expand(len(inputs["src_vid"]), 1, 2)
        return {"pred_logits": guess, "pred_spans": guess.sigmoid()}

    def forward(self, **inputs: Any) -> dict[str, Any]:
        start, end = torch.tensor(next(self._answers)).div(100).unbind(-1)
        return {
            "pred_logits": torch.zeros(len(start), 1, 2),
            "pred_spans": torch.stack([(start + end) / 2, end - start], dim=-1)[:, None],
            "saliency_scores": torch.zeros(inputs["src_vid"].shape[:2]),
        }


def four_films(folder: Path) -> MomentDataset:
    lines = []
    for qid, window in enumerate(TRUTH):
        np.savez(folder / f"film{qid}.npz", features=np.ones((50, 4), np.float32))
        np.savez(folder / f"qid{qid}.npz", last_hidden_state=np.ones((3, 4), np.float32))
        line = {"qid": qid, "query": "a dog", "vid": f"film{qid}", "duration": 100}
        lines.append(json.dumps(line | {"relevant_windows": [window]}))
    (folder / "films.jsonl").write_text("\n".join(lines))
    return MomentDataset.open(
        read_annotations(folder / "films.jsonl"), FeatureFolders((folder,), folder)
    )


CLIPS = 40


@given(count=st.integers(1, 12), seed=st.integers())
def test_of_more_windows_than_five_five_are_drawn_each_once(count: int, seed: int) -> None:
    drawn = windows_drawn(count, Random(seed))
    assert len(drawn) == len(set(drawn)) == min(count, MAX_WINDOWS)
    assert set(drawn) <= set(range(count))
    assert drawn == windows_drawn(count, Random(seed))
    if count <= MAX_WINDOWS:
        assert drawn == list(range(count))


def test_every_choice_of_five_windows_of_seven_is_drawn_now_and_then() -> None:
    random = Random(0)
    drawn = {frozenset(windows_drawn(7, random)) for _ in range(500)}
    assert drawn == {frozenset(choice) for choice in combinations(range(7), MAX_WINDOWS)}


def windows_drawn(count: int, random: Random) -> list[int]:
    """Numbers of the windows that become labels, of ``count`` windows of a clip each."""
    windows = tuple((6.0 * number, 6.0 * number + 2) for number in range(count))
    annotation = Annotation(1, "a dog", "film", 2.0 * CLIPS, windows, None, {})
    spans = labels(annotation, CLIPS, random).spans
    starts_s = (spans[:, 0] - spans[:, 1] / 2) * 2 * CLIPS
    return [round(float(start_s) / 6) for start_s in starts_s]
