"""The loss and one training step of QD-DETR, against recordings of the official code."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import case_folders, closeness, folders_or_skip, read_arrays, read_case

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("scipy", reason="training needs scipy")

from search.moments.qd_detr import QDDETR  # noqa: E402
from search.moments.qd_detr_config import QDDETRConfig  # noqa: E402
from training.moment_retrieval.losses import LossWeights, Targets, losses, weighted  # noqa: E402
from training.moment_retrieval.matching import (  # noqa: E402
    MatchingCosts,
    generalised_iou,
    match,
)
from training.moment_retrieval.saliency import SaliencyTargets, saliency_loss  # noqa: E402

Arrays = Mapping[str, Any]
INPUTS = [f"src_{part}{mask}" for part in ("txt", "vid", "aud") for mask in ("", "_mask")]


def with_case(field: str, what: str) -> pytest.MarkDecorator:
    """A test of every recording whose case.json has a field."""
    found = case_folders("qddetr", fields=[field], arrays=["pred_logits"])
    return pytest.mark.parametrize("folder", folders_or_skip(found, what, "qddetr"))


@with_case("losses", "losses")
def test_every_term_is_the_official_one(folder: Path) -> None:
    case, arrays = read_case(folder), read_arrays(folder / "io.npz")
    costs, weights = costs_of(case), weights_of(case)
    terms = losses(outputs_of(arrays), targets_of(arrays), costs, weights)
    assert set(terms) == set(case["losses"])
    for name, value in case["losses"].items():
        assert terms[name].item() == pytest.approx(value, **approximately(case)), name
    overall = weighted(terms, weights)["loss_overall"].item()
    assert overall == pytest.approx(case["loss_overall"], **approximately(case))


@with_case("matching", "matched layers")
def test_every_layer_is_matched_as_officially(folder: Path) -> None:
    case, arrays = read_case(folder), read_arrays(folder / "io.npz")
    outputs, targets = outputs_of(arrays), targets_of(arrays)
    layers = {"final": outputs} | {f"aux{n}": o for n, o in enumerate(outputs["aux_outputs"])}
    assert set(layers) == set(case["matching"])
    for name, layer in layers.items():
        found = match(layer["pred_logits"], layer["pred_spans"], targets.spans, costs_of(case))
        assert [
            {"queries": pairs.queries.tolist(), "targets": pairs.targets.tolist()}
            for pairs in found
        ] == case["matching"][name]


@with_case("optimiser", "training steps")
def test_gradients_and_one_optimiser_step_are_the_official_ones(folder: Path) -> None:
    case, arrays = read_case(folder), read_arrays(folder / "io.npz")
    network = network_of(case)
    step = case["optimiser"]
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=step["lr"], weight_decay=step["weight_decay"]
    )
    outputs = network.forward_with_negatives(**inputs_of(arrays))
    assert_equal_outputs(outputs, arrays, case)
    weights = weights_of(case)
    terms = losses(outputs, targets_of(arrays), costs_of(case), weights)
    weighted(terms, weights)["loss_overall"].backward()

    total = case["total_gradient_norm_before_clip"]
    gradients = {name: value.grad for name, value in network.named_parameters()}
    assert {name for name, value in gradients.items() if value is None} == set(
        case["gradient_absent"]
    )
    noise = case["gradient_is_zero_by_algebra"]
    for name, norm in case["gradient_norm"].items():
        if name in case["gradient_absent"]:
            continue
        gradient = gradients[name]
        slack = total * (1e-4 if name in noise else 5e-7 * math.sqrt(gradient.numel()))
        assert gradient.norm().item() == pytest.approx(norm, rel=5e-3, abs=slack), name
    for name, recorded in prefixed(arrays, "grad:"):
        error = np.abs(gradients[name].numpy() - recorded).max()
        assert error <= 5e-3 * max(np.abs(recorded).max(), 1e-4 * total), name

    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), step["clip_grad_norm"])
    assert norm.item() == pytest.approx(total, rel=5e-3)
    optimiser.step()
    after = network.state_dict()
    for name, recorded in prefixed(arrays, "step:"):
        sure = np.abs(arrays[f"grad:{name}"]) >= 1e-5
        error = np.abs(after[name].numpy() - recorded)[sure]
        assert error.max(initial=0) <= 2e-6, name


spans = st.tuples(st.floats(0.05, 0.95), st.floats(0.01, 0.9))
queries_ = st.lists(st.tuples(spans, st.floats(-3, 3)), min_size=1, max_size=6)


@given(st.lists(spans, min_size=1, max_size=4), queries_)
def test_matching_pairs_each_window_once_and_as_cheaply_as_any_order(
    windows: list[tuple[float, float]], queries: list[tuple[tuple[float, float], float]]
) -> None:
    logits = torch.tensor([[[logit, 0.0] for _, logit in queries]])
    proposed = torch.tensor([[span for span, _ in queries]])
    (pairs,) = match(logits, proposed, [torch.tensor(windows)], MatchingCosts())
    count = min(len(windows), len(queries))
    assert len(set(pairs.queries.tolist())) == len(set(pairs.targets.tolist())) == count

    def cost(query: int, window: int) -> float:
        (centre, width), logit = queries[query]
        (true_centre, true_width) = windows[window]
        starts = centre - width / 2, true_centre - true_width / 2
        ends = centre + width / 2, true_centre + true_width / 2
        shared = max(0.0, min(ends) - max(starts))
        union, hull = width + true_width - shared, max(ends) - min(starts)
        giou = shared / union - (hull - union) / hull
        distance = abs(centre - true_centre) + abs(width - true_width)
        return 10 * distance - giou - 4 / (1 + math.exp(-logit))

    found = sum(map(cost, pairs.queries.tolist(), pairs.targets.tolist()))
    best = min(
        sum(map(cost, some_queries, some_windows))
        for some_queries in permutations(range(len(queries)), count)
        for some_windows in permutations(range(len(windows)), count)
    )
    assert found <= best + 1e-4


def test_generalised_iou_of_windows_that_touch_overlap_and_lie_apart() -> None:
    first = torch.tensor([[0.0, 2.0]])
    others = torch.tensor([[0.0, 2.0], [1.0, 3.0], [2.0, 4.0], [6.0, 8.0]])
    assert generalised_iou(first, others)[0].tolist() == pytest.approx([1, 1 / 3, 0, -0.5])


def test_a_wrong_sentence_that_fits_very_well_costs_much_but_not_infinitely() -> None:
    scores = torch.zeros(1, 3)
    others = torch.full((1, 3), 40.0, requires_grad=True)
    outputs = {
        "saliency_scores": scores,
        "saliency_scores_neg": others,
        "video_mask": torch.ones(1, 3),
    }
    pair = torch.zeros(1, 2, dtype=torch.int64)
    loss = saliency_loss(outputs, SaliencyTargets(pair, pair, torch.zeros(1, 3)), margin=0.2)
    loss.backward()
    assert loss.item() == pytest.approx(3 * 40 + 2 * 0.2)
    assert others.grad is not None
    assert others.grad.tolist() == [[1.0, 1.0, 1.0]]


def test_padding_has_no_part_in_the_saliency_loss() -> None:
    """Not even where every real clip scores far below the mask's own value in the scores."""
    drawn = torch.Generator().manual_seed(0)
    scores, others = torch.randn(2, 1, 4, generator=drawn) - 30
    ratings = torch.tensor([[0.0, 6.0, 9.0, 0.0]])
    pairs = torch.tensor([[2, 1]]), torch.tensor([[1, 3]])

    def loss(padding: int) -> float:
        def padded(row: Any, value: float) -> Any:
            return torch.nn.functional.pad(row, (0, padding), value=value)

        outputs = {
            "saliency_scores": padded(scores, 50.0),
            "saliency_scores_neg": padded(others, 50.0),
            "video_mask": padded(torch.ones(1, 4), 0.0),
        }
        targets = SaliencyTargets(*pairs, padded(ratings, 0.0))
        return float(saliency_loss(outputs, targets, margin=0.2))

    assert loss(padding=3) == pytest.approx(loss(padding=0), rel=1e-6)


def outputs_of(arrays: Arrays) -> dict[str, Any]:
    """The recorded outputs of the network, as the network returns them."""
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    wanted = ("pred_logits", "pred_spans", "saliency_scores", "saliency_scores_neg")
    outputs: dict[str, Any] = {name: tensors[name] for name in wanted}
    outputs["video_mask"] = tensors.get("video_mask", tensors.get("in_src_vid_mask"))
    layers = sum(re.fullmatch(r"aux\d+_pred_logits", name) is not None for name in arrays)
    outputs["aux_outputs"] = [
        {part: tensors[f"aux{layer}_{part}"] for part in ("pred_logits", "pred_spans")}
        for layer in range(layers)
    ]
    return outputs


def targets_of(arrays: Arrays) -> Targets:
    count = sum(re.fullmatch(r"target_spans_\d+", name) is not None for name in arrays)
    spans = [torch.from_numpy(arrays[f"target_spans_{row}"]) for row in range(count)]
    if "saliency_all_labels" not in arrays:
        return Targets(spans, None)
    return Targets(
        spans,
        SaliencyTargets(
            *(torch.from_numpy(arrays[f"saliency_{name}_labels"]) for name in ("pos", "neg", "all"))
        ),
    )


def inputs_of(arrays: Arrays) -> dict[str, Any]:
    named = dict(prefixed(arrays, "in_"))
    return {name: torch.from_numpy(named[name]) for name in INPUTS if name in named}


def assert_equal_outputs(outputs: Arrays, arrays: Arrays, case: dict[str, Any]) -> None:
    tolerance = closeness(case["tolerance"]["losses"])
    for name, recorded in outputs_of(arrays).items():
        if name.startswith("pred_"):
            np.testing.assert_allclose(outputs[name].detach(), recorded, **tolerance)


def costs_of(case: dict[str, Any]) -> MatchingCosts:
    settings = case.get("settings")
    if settings is None:
        return MatchingCosts()
    return MatchingCosts(
        settings["set_cost_span"], settings["set_cost_giou"], settings["set_cost_class"]
    )


def weights_of(case: dict[str, Any]) -> LossWeights:
    settings = case.get("settings")
    if settings is None:
        return LossWeights()
    return LossWeights(
        span=settings["span_loss_coef"],
        giou=settings["giou_loss_coef"],
        label=settings["label_loss_coef"],
        saliency=settings["lw_saliency"],
        background=settings["eos_coef"],
        saliency_margin=settings["saliency_margin"],
    )


def approximately(case: dict[str, Any]) -> dict[str, float]:
    tolerance = case["tolerance"].get("losses", case["tolerance"])
    return {"rel": tolerance["rtol"], "abs": tolerance["atol"]}


def prefixed(arrays: Arrays, prefix: str) -> list[tuple[str, Any]]:
    return [
        (name.removeprefix(prefix), array)
        for name, array in arrays.items()
        if name.startswith(prefix)
    ]


def network_of(case: dict[str, Any]) -> QDDETR:
    """The recorded network, in train mode, with weights by the recipe of the recordings."""
    sizes = case["config"]
    config = QDDETRConfig(
        video_dim=sizes["v_feat_dim"],
        text_dim=sizes["t_feat_dim"],
        audio_dim=sizes["a_feat_dim"] or 0,
        hidden=sizes["hidden_dim"],
        heads=sizes["nheads"],
        feedforward=sizes["dim_feedforward"],
        text_to_video_layers=sizes["t2v_layers"],
        encoder_layers=sizes["enc_layers"],
        decoder_layers=sizes["dec_layers"],
        queries=sizes["num_queries"],
        input_projections=sizes["n_input_proj"],
        max_text_tokens=sizes["max_q_l"],
        dropout=sizes["dropout"],
        input_dropout=sizes["input_dropout"],
        text_positions=sizes["use_txt_pos"],
        aux_outputs=sizes["aux_loss"],
    )
    network = QDDETR(config)
    network.load_state_dict(
        {
            name: torch.from_numpy(recipe_weight(name, shape, case["weight_seed"]))
            for name, shape in config.shapes().items()
        }
    )
    return network.train()


def recipe_weight(name: str, shape: tuple[int, ...], seed: int) -> Any:
    """The table "Recipe" in the README of the recordings."""
    drawn = np.random.RandomState(zlib.crc32(f"{seed}:{name}".encode())).standard_normal(shape)
    if re.search(r"(LayerNorm|norm\d?)\.weight$", name):
        drawn = 1 + 0.1 * drawn
    elif name.endswith("activation.weight"):
        drawn = 0.25 + 0.1 * drawn
    elif name in ("global_rep_token", "global_rep_pos", "query_embed.weight"):
        pass
    elif len(shape) == 2:
        drawn = drawn * 1.5 / math.sqrt(shape[-1])
    else:
        drawn = 0.1 * drawn
    return drawn.astype(np.float32)
