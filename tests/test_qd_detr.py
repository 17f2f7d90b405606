"""What holds of a QD-DETR network of any size and weights, and of what goes in and out of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.moments.qd_detr_config import QDDETRConfig
from search.moments.qd_detr_inputs import (
    INPUT_NAMES,
    OUTPUT_NAMES,
    foreground,
    normalised_as_dataset,
    normalised_as_demo,
    padded,
    spans,
    tef,
    video_input,
)

torch = pytest.importorskip("torch", reason="the QD-DETR network needs torch (pip install .[clip])")

from search.moments.qd_detr import QDDETR  # noqa: E402
from search.moments.qd_detr_layers import DecoderLayer, EncoderLayer, TextToVideoLayer  # noqa: E402

SMALL = QDDETRConfig(9, 7, hidden=16, heads=2, feedforward=12, queries=4)

configs = st.builds(
    QDDETRConfig,
    video_dim=st.integers(3, 12),
    text_dim=st.integers(1, 12),
    audio_dim=st.integers(0, 6),
    hidden=st.sampled_from([8, 16, 24]),
    heads=st.sampled_from([1, 2, 4, 8]),
    feedforward=st.integers(1, 9),
    text_to_video_layers=st.integers(1, 3),
    encoder_layers=st.integers(1, 3),
    decoder_layers=st.integers(1, 3),
    queries=st.integers(1, 5),
    input_projections=st.integers(1, 3),
    max_text_tokens=st.integers(1, 9),
)


def network(config: QDDETRConfig = SMALL, seed: int = 0) -> QDDETR:
    torch.manual_seed(seed)
    return QDDETR(config).eval()


def inputs(
    clips: list[int], words: list[int], config: QDDETRConfig = SMALL, seed: int = 0
) -> dict[str, torch.Tensor]:
    """A padded batch of random videos and sentences of the given lengths."""
    random = np.random.default_rng(seed)

    def rows(lengths: list[int], dim: int) -> tuple[torch.Tensor, torch.Tensor]:
        stacked, mask = padded(
            [random.standard_normal((n, dim)).astype(np.float32) for n in lengths]
        )
        return torch.from_numpy(stacked), torch.from_numpy(mask)

    arrays = (*rows(words, config.text_dim), *rows(clips, config.clip_dim))
    return dict(zip(INPUT_NAMES, arrays, strict=True))


# ---------------------------------------------------------------- the network


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=2, max_size=4))
def test_rows_of_a_batch_never_see_each_other(lengths: list[tuple[int, int]]) -> None:
    """Other videos and sentences beside it change no number of a row."""
    clips, words = (list(column) for column in zip(*lengths, strict=True))
    made, batch = network(), inputs(clips, words)
    other = inputs(clips, words, seed=1)
    mixed = {name: torch.cat((batch[name][:1], other[name][1:])) for name in batch}
    with torch.no_grad():
        wanted, got = made(**batch), made(**mixed)
    for name in OUTPUT_NAMES:
        n = clips[0] if name == "saliency_scores" else None
        torch.testing.assert_close(got[name][0, :n], wanted[name][0, :n], rtol=1e-5, atol=1e-5)


def test_what_stands_in_the_padding_does_not_matter() -> None:
    made, batch = network(), inputs([5, 8], [6, 3])
    with torch.no_grad():
        wanted = made(**batch)
        for name in ("src_txt", "src_vid"):
            batch[name][batch[f"{name}_mask"] == 0] = 7.0
        got = made(**batch)
    for name in ("pred_logits", "pred_spans"):
        torch.testing.assert_close(got[name], wanted[name])


def test_a_sentence_that_is_all_padding_gives_numbers() -> None:
    batch = inputs([5, 5], [3, 3])
    batch["src_txt_mask"][1] = 0
    assert all(network()(**batch)[name].isfinite().all() for name in OUTPUT_NAMES)


def test_the_one_video_of_many_sentences_is_projected_once() -> None:
    made, batch = network(), inputs([5, 5, 5], [3, 6, 4])
    projected: list[torch.Size] = []
    made.input_vid_proj.register_forward_pre_hook(lambda _, args: projected.append(args[0].shape))
    alone = {**batch, "src_vid": batch["src_vid"][:1], "src_vid_mask": batch["src_vid_mask"][:1]}
    answer = made(**alone)
    assert projected == [(1, 5, SMALL.clip_dim)]
    assert answer["pred_spans"].shape == (3, SMALL.queries, 2)
    assert answer["video_mask"].shape == answer["saliency_scores"].shape == (3, 5)
    many_videos = {**batch, "src_txt": batch["src_txt"][:1, :3], "src_txt_mask": torch.ones(1, 3)}
    assert made(**many_videos)["pred_spans"].shape == (3, SMALL.queries, 2)


def test_sound_may_be_glued_to_the_picture() -> None:
    config = QDDETRConfig(9, 7, 5, hidden=16, heads=2, feedforward=12, queries=4)
    made, glued = network(config), inputs([6], [4], config)
    apart = {**glued, "src_vid": glued["src_vid"][..., :9], "src_aud": glued["src_vid"][..., 9:]}
    torch.testing.assert_close(made(**apart)["pred_spans"], made(**glued)["pred_spans"])


def test_negatives_are_the_texts_of_the_next_row() -> None:
    made, batch = network(), inputs([5, 8, 3], [6, 3, 4])
    rolled = dict(batch)
    for name in ("src_txt", "src_txt_mask"):
        rolled[name] = batch[name][[1, 2, 0]]
    with torch.no_grad():
        negative = made.forward_with_negatives(**batch)["saliency_scores_neg"]
        torch.testing.assert_close(negative, made(**rolled)["saliency_scores"])


def test_auxiliary_outputs_are_those_of_the_layers_before_the_last() -> None:
    sizes: dict[str, Any] = {"hidden": 16, "heads": 2, "feedforward": 12, "decoder_layers": 3}
    batch = inputs([5], [3])
    answer = network(QDDETRConfig(9, 7, **sizes))(**batch)
    assert [output["pred_spans"].shape for output in answer["aux_outputs"]] == [(1, 10, 2)] * 2
    assert "aux_outputs" not in network(QDDETRConfig(9, 7, aux_outputs=False, **sizes))(**batch)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("src_vid", "clips of width 8, but the network reads 9"),
        ("src_txt", "text tokens of width 6, but the network reads 7"),
    ],
)
def test_features_of_another_width_are_refused(name: str, message: str) -> None:
    batch = inputs([5], [3])
    with pytest.raises(ValueError, match=message):
        network()(**{**batch, name: batch[name][..., 1:]})


def test_text_positions_end_somewhere() -> None:
    config = QDDETRConfig(9, 7, hidden=16, heads=2, max_text_tokens=4, text_positions=True)
    made = network(config)
    assert made(**inputs([5], [4], config))["pred_spans"].isfinite().all()
    with pytest.raises(ValueError, match="5 text tokens, but positions for 4 only"):
        made(**inputs([5], [5], config))


# ---------------------------------------------------------------- training


def test_initial_weights() -> None:
    """DETR's Xavier in the transformer, torch's defaults elsewhere."""
    config = QDDETRConfig(66, 64, hidden=64, feedforward=256, queries=500)
    state = network(config).state_dict()
    for name, value in state.items():
        if name.startswith("transformer.") and value.dim() > 1:
            outputs, width = value.shape
            bound = (6 / (outputs + width)) ** 0.5
            assert 0.8 * bound < value.abs().max() <= bound, name
    for name in ("global_rep_token", "global_rep_pos", "query_embed.weight"):
        assert 0.7 < state[name].std() < 1.3, name
    last = "transformer.decoder.bbox_embed.layers.2"
    assert not state[f"{last}.bias"].any()
    assert state[f"{last}.weight"].any(), "zeroed at first, but Xavier comes later"
    assert state["span_embed.layers.2.bias"].any()
    for name, value in state.items():
        if name.endswith("activation.weight"):
            assert value.item() == 0.25
        if "attn" in name and name.endswith("bias"):
            assert not value.any(), name


def test_where_dropout_stands() -> None:
    """With everything dropped, each branch of a layer is gone and its residual remains."""
    config = QDDETRConfig(9, 7, hidden=16, heads=2, feedforward=12, dropout=1.0, input_dropout=1.0)
    clips, positions, queries = torch.randn(3, 2, 6, 16)
    nothing = torch.zeros(2, 6, dtype=torch.bool)
    layer = TextToVideoLayer(config)
    torch.testing.assert_close(
        layer(clips, positions, queries, None, nothing), layer.norm2(clips), msg="text to video"
    )
    layer = EncoderLayer(config)
    torch.testing.assert_close(
        layer(clips, positions, nothing), layer.norm2(layer.norm1(clips)), msg="encoder"
    )
    for first in (True, False):
        layer = DecoderLayer(config, first=first)
        torch.testing.assert_close(
            layer(queries, positions, positions, clips, positions, nothing),
            layer.norm3(layer.norm2(layer.norm1(queries))),
            msg="decoder",
        )
        # On the weights of attention as well: only the bias of the output is left.
        heads = [layer.cross_attn.split(x) for x in (queries, clips, clips)]
        mixed = layer.cross_attn.attend(*heads, nothing)
        torch.testing.assert_close(mixed, layer.cross_attn.out_proj.bias.expand_as(mixed))
    made = QDDETR(config)
    for projection, width in ((made.input_vid_proj, 9), (made.input_txt_proj, 7)):
        projected = projection(torch.randn(2, 6, width))
        torch.testing.assert_close(projected, projection[-1].net[1].bias.expand_as(projected))


def test_dropout_in_feed_forward_branches() -> None:
    """Between the two linear layers too: what remains there is the bias of the second."""
    config = QDDETRConfig(9, 7, hidden=16, heads=2, feedforward=12, dropout=1.0)
    seen: list[torch.Tensor] = []
    layers = [TextToVideoLayer(config), EncoderLayer(config), DecoderLayer(config, first=False)]
    for layer in layers:
        layer.linear2.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x, nothing = torch.randn(2, 6, 16), torch.zeros(2, 6, dtype=torch.bool)
    layers[0](x, x, x, None, nothing)
    layers[1](x, x, nothing)
    layers[2](x, x, x, x, x, nothing)
    assert len(seen) == 3
    assert not any(hidden.any() for hidden in seen)


def test_where_gradients_do_not_go() -> None:
    """As recorded of the official code, whatever the loss; without dropout."""
    made = network(replace(SMALL, dropout=0.0, input_dropout=0.0)).train()
    answer = made.forward_with_negatives(**inputs([5, 8], [6, 3]))
    loss = sum(answer[name].sum() for name in (*OUTPUT_NAMES, "saliency_scores_neg"))
    (loss + answer["aux_outputs"][0]["pred_spans"].sum()).backward()
    gradients = {name: value.grad for name, value in made.named_parameters()}
    without = {name for name, gradient in gradients.items() if gradient is None}
    assert without == {name for name in gradients if name.startswith("txt_position_embed.")}
    first = "transformer.decoder.layers.0"
    for name in (
        "sa_qcontent_proj",
        "sa_qpos_proj",
        "sa_kcontent_proj",
        "sa_kpos_proj",
        "sa_v_proj",
    ):
        # Every query starts as zeros, so all values are the same: whom one looks at is all one.
        torch.testing.assert_close(
            gradients[f"{first}.{name}.weight"],
            torch.zeros_like(gradients[f"{first}.{name}.weight"]),
            atol=1e-5,
            rtol=0,
        )
    for layer in range(3):
        gradient = gradients[f"transformer.decoder.bbox_embed.layers.{layer}.weight"]
        assert gradient.abs().max() > 1e-6, "trained through the anchors that the heads keep"


# ---------------------------------------------------------------- sizes


@settings(max_examples=30, deadline=None)
@given(configs)
def test_sizes_are_read_off_the_tensors(config: QDDETRConfig) -> None:
    state = QDDETR(config).state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    assert list(config.shapes().items()) == list(shapes.items())
    read = QDDETRConfig.from_shapes(shapes, audio_dim=config.audio_dim, heads=config.heads)
    assert read == config


def test_tensors_of_another_network_are_named() -> None:
    shapes = SMALL.shapes()
    shapes["class_embed.weight"] = (3, 16)
    del shapes["saliency_proj1.bias"]
    shapes["transformer.encoder.norm.weight"] = (16,)
    with pytest.raises(ValueError, match=r"missing saliency_proj1\.bias; ") as refusal:
        QDDETRConfig.from_shapes(shapes, heads=2)
    assert "surplus transformer.encoder.norm.weight; " in str(refusal.value)
    assert "misshapen class_embed.weight (3, 16) instead of (2, 16)" in str(refusal.value)


def test_quite_another_network_is_no_long_story() -> None:
    with pytest.raises(ValueError, match=r"missing \S+, \S+, \S+ and 175 more; ") as refusal:
        QDDETRConfig.from_shapes({f"features.{n}.weight": (8, 3, 3, 3) for n in range(50)})
    assert "surplus" in str(refusal.value)
    assert "47 more" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [({"hidden": 20, "heads": 8}, "8 heads"), ({"hidden": 18, "heads": 2}, "multiple of 4")],
)
def test_sizes_that_do_not_divide(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QDDETRConfig(9, 7, **sizes)


# ---------------------------------------------------------------- its ONNX graph


def test_onnx_graph_is_the_network_at_any_size(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="torch writes ONNX graphs with onnxscript")
    import onnxruntime

    from search.moments.qd_detr_export import export_onnx

    made = network().train()
    export_onnx(made, tmp_path / "head.onnx")
    assert made.training, "left as it was"
    assert {type(m) for m in made.modules()} & {torch.nn.PReLU}, "and unchanged"
    made.eval()
    session = onnxruntime.InferenceSession(
        tmp_path / "head.onnx", providers=["CPUExecutionProvider"]
    )
    assert [put.name for put in session.get_inputs()] == list(INPUT_NAMES)
    for clips, words in (
        ([1], [1]),
        ([75], [1]),
        ([1], [32]),
        ([75, 75], [32, 32]),
        ([1, 1, 1], [4, 1, 2]),
        ([9, 1, 30, 4, 75], [1, 32, 7, 2, 5]),
    ):
        batch = inputs(clips, words)
        feed = {name: value.numpy() for name, value in batch.items()}
        with torch.no_grad():
            wanted = made(**batch)
        for name, got in zip(OUTPUT_NAMES, session.run(OUTPUT_NAMES, feed), strict=True):
            np.testing.assert_allclose(
                got, wanted[name].numpy(), rtol=0, atol=1e-4, err_msg=f"{name} of {clips}, {words}"
            )


# ---------------------------------------------------------------- what goes in and comes out


def test_endpoints_of_clips() -> None:
    np.testing.assert_allclose(tef(4), [[0, 0.25], [0.25, 0.5], [0.5, 0.75], [0.75, 1]])
    assert tef(1).tolist() == [[0, 1]]
    assert tef(75).dtype == np.float32


def test_picture_and_sound_each_carry_the_endpoints() -> None:
    pictures, sound = np.full((2, 3), 5, np.float32), np.full((2, 1), 9, np.float32)
    assert video_input(pictures, None).tolist() == [[5, 5, 5, 0, 0.5], [5, 5, 5, 0.5, 1]]
    assert video_input(pictures, sound).tolist() == [
        [5, 5, 5, 0, 0.5, 9, 0, 0.5],
        [5, 5, 5, 0.5, 1, 9, 0.5, 1],
    ]
    with pytest.raises(ValueError):
        video_input(pictures, sound[:1])


def test_two_ways_to_normalise() -> None:
    rows = np.array([[3, 4], [0, 0], [3e-6, 4e-6]], np.float32)
    np.testing.assert_allclose(normalised_as_demo(rows), [[0.6, 0.8], [0, 0], [0.3, 0.4]])
    as_dataset = normalised_as_dataset(rows)
    np.testing.assert_allclose(
        as_dataset, [[3 / 5.00001, 4 / 5.00001], [0, 0], [0.2, 4 / 15]], rtol=1e-6
    )
    assert np.abs(as_dataset[0] - normalised_as_demo(rows)[0]).max() > 1e-6, "they differ"


def test_padding_is_behind_and_marked() -> None:
    stacked, mask = padded([np.ones((1, 2), np.float32), np.full((3, 2), 2, np.float32)])
    assert stacked.tolist() == [[[1, 1], [0, 0], [0, 0]], [[2, 2]] * 3]
    assert mask.tolist() == [[1, 0, 0], [1, 1, 1]]
    assert mask.dtype == stacked.dtype == np.float32


def test_spans_best_first_and_not_clipped() -> None:
    logits = np.array([[0, 0], [2, 0], [0, 0], [800, -800]], np.float32)
    boxes = np.array([[0.5, 0.5], [0.9, 0.4], [0.1, 0.4], [0.5, 0.1]], np.float32)
    found = spans(logits, boxes, duration_s=100.0)
    np.testing.assert_allclose(
        found,
        [[45, 55, 1], [70, 110, 1 / (1 + np.exp(-2))], [25, 75, 0.5], [-10, 30, 0.5]],
        rtol=1e-6,
        atol=1e-5,
    )
    assert foreground(logits).tolist() == pytest.approx(found[[2, 1, 3, 0], 2].tolist())
