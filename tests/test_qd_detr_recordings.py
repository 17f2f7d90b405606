"""The QD-DETR network against recordings of the official code.

The cases and their names are whatever lies in the folder; what is checked of a case follows from
its case.json and from the arrays beside it.
"""

from __future__ import annotations

import argparse
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from recordings import (
    FIXTURES,
    case_files,
    case_folders,
    folders_or_skip,
    read_arrays,
    read_case,
    referred_file,
)

from search.moments.qd_detr_config import QDDETRConfig
from search.moments.qd_detr_inputs import (
    INPUT_NAMES,
    OUTPUT_NAMES,
    four_decimals,
    normalised_as_demo,
    padded,
    rounded_as_evaluated,
    saliency_as_evaluated,
    spans,
    spans_as_evaluated,
    tef,
    video_input,
    without_repeats,
)

torch = pytest.importorskip("torch", reason="the QD-DETR network needs torch (pip install .[clip])")

from search.moments.qd_detr import QDDETR  # noqa: E402

INPUTS = (*INPUT_NAMES, "src_aud", "src_aud_mask")
OUTPUTS = re.compile(r"(aux\d+_)?pred_(logits|spans)|saliency_scores(_neg)?|debug_encoder")
Arrays = dict[str, NDArray[Any]]


# ---------------------------------------------------------------- what the recordings hold


def case_param(folders: list[Path], what: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("folder", folders_or_skip(folders, what, "qddetr"))


def published_keys() -> list[Path]:
    """The files that name the tensors of a published network."""
    files = sorted((FIXTURES / "qddetr").glob("*.json"))
    return [file for file in files if "keys" in json.loads(file.read_text(encoding="utf-8"))]


def config_of(case: dict[str, Any], **changes: Any) -> QDDETRConfig:
    """The official option names, in our words."""
    given = case["config"]
    words = {
        "video_dim": "v_feat_dim",
        "text_dim": "t_feat_dim",
        "audio_dim": "a_feat_dim",
        "hidden": "hidden_dim",
        "heads": "nheads",
        "feedforward": "dim_feedforward",
        "text_to_video_layers": "t2v_layers",
        "encoder_layers": "enc_layers",
        "decoder_layers": "dec_layers",
        "queries": "num_queries",
        "input_projections": "n_input_proj",
        "max_text_tokens": "max_q_l",
        "dropout": "dropout",
        "input_dropout": "input_dropout",
        "text_positions": "use_txt_pos",
        "aux_outputs": "aux_loss",
    }
    options = {ours: given[theirs] for ours, theirs in words.items() if theirs in given}
    options["audio_dim"] = options.get("audio_dim") or 0
    return QDDETRConfig(**(options | changes))


def recipe_weights(config: QDDETRConfig, seed: int) -> dict[str, torch.Tensor]:
    """Weights by the recipe of the recordings' README: each tensor from its own random state."""
    weights = {}
    for key, shape in config.shapes().items():
        random = np.random.RandomState(zlib.crc32(f"{seed}:{key}".encode()))
        drawn = random.standard_normal(shape)
        if key.endswith("LayerNorm.weight") or re.search(r"norm\d?\.weight$", key):
            drawn = 1 + 0.1 * drawn
        elif key.endswith("activation.weight"):
            drawn = 0.25 + 0.1 * drawn
        elif key in ("global_rep_token", "global_rep_pos", "query_embed.weight"):
            pass
        elif len(shape) == 2:
            drawn = drawn * 1.5 / np.sqrt(shape[-1])
        else:
            drawn = 0.1 * drawn
        weights[key] = torch.from_numpy(drawn.astype(np.float32))
    return weights


def recipe_inputs(case: dict[str, Any]) -> Arrays:
    """Inputs by the recipe of the recordings' README, padded to the longest of the batch."""
    recipe = case["recipe"]
    random = np.random.RandomState(case["input_seed"])

    def rows(lengths: list[int], dim: int, *, same: bool) -> list[NDArray[np.float32]]:
        drawn = []
        for length in lengths:
            row = random.standard_normal((length, dim)).astype(np.float32)
            drawn.append(row / (np.linalg.norm(row, axis=1, keepdims=True) + 1e-5))
        return [drawn[0]] * len(drawn) if same else drawn

    def placed(rows: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        return [np.concatenate([row, tef(len(row))], axis=1) for row in rows]

    clips, words = case["video_lengths"], case["text_lengths"]
    same_video, same_text = recipe["same_video"], recipe["same_text"]
    inputs = {}
    for name, lengths, dim in (
        ("src_vid", clips, recipe["video_dim_without_tef"]),
        ("src_aud", clips, recipe["audio_dim_without_tef"]),
        ("src_txt", words, recipe["text_dim"]),
    ):
        if dim:
            drawn = rows(lengths, dim, same=same_text if name == "src_txt" else same_video)
            drawn = drawn if name == "src_txt" else placed(drawn)
            inputs[name], inputs[f"{name}_mask"] = padded(drawn)
    return inputs


def weights_of(folder: Path, case: dict[str, Any]) -> dict[str, torch.Tensor]:
    source = case["weights"]
    if source == "recipe":
        return recipe_weights(config_of(case), case["weight_seed"])
    load_file = pytest.importorskip("safetensors.torch", reason="reads .safetensors").load_file
    return load_file(referred_file(folder, source, "qddetr"))


def network_of(folder: Path, case: dict[str, Any], **changes: Any) -> QDDETR:
    network = QDDETR(config_of(case, **changes))
    network.load_state_dict(weights_of(folder, case), strict=True)
    return network.eval()


def inputs_of(case: dict[str, Any], recorded: Arrays) -> dict[str, torch.Tensor]:
    """Recorded inputs, or those of the recipe."""
    arrays = {name: recorded[f"in_{name}"] for name in INPUTS if f"in_{name}" in recorded}
    if not arrays:
        arrays = recipe_inputs(case)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def alone(inputs: dict[str, torch.Tensor], row: int) -> dict[str, torch.Tensor]:
    """One row of a batch, cut to its own lengths."""
    lengths = {
        name: int(inputs[f"{name}_mask"][row].sum()) for name in inputs if f"{name}_mask" in inputs
    }
    return {
        name: value[row : row + 1, : lengths[name.removesuffix("_mask")]]
        for name, value in inputs.items()
    }


def flat(answer: dict[str, Any]) -> Arrays:
    """Outputs under the names that the recordings use."""
    named = {
        name: answer[name]
        for name in ("pred_logits", "pred_spans", "saliency_scores", "saliency_scores_neg")
        if name in answer
    }
    for layer, outputs in enumerate(answer.get("aux_outputs", [])):
        named |= {f"aux{layer}_{name}": value for name, value in outputs.items()}
    encoded = torch.cat((answer["memory_global"].unsqueeze(1), answer["memory"]), dim=1)
    return {
        name: value.detach().numpy() for name, value in (named | {"debug_encoder": encoded}).items()
    }


def assert_close(got: Arrays, recorded: Arrays, tolerance: dict[str, Any], what: str) -> None:
    assert recorded, f"{what}: the recording holds no outputs"
    for name, wanted in recorded.items():
        np.testing.assert_allclose(
            got[name],
            wanted,
            rtol=tolerance["rtol"],
            atol=tolerance["atol"],
            err_msg=f"{what}: {name}",
        )


def recorded_row(recorded: Arrays, row: int) -> Arrays:
    """What a row gave alone, without the intermediate values that the network does not return."""
    prefix = f"row{row}_"
    return {
        name.removeprefix(prefix): value
        for name, value in recorded.items()
        if name.startswith(prefix) and OUTPUTS.fullmatch(name.removeprefix(prefix))
    }


def run(network: QDDETR, inputs: dict[str, torch.Tensor], *, negatives: bool = False) -> Arrays:
    with torch.no_grad():
        answer = network.forward_with_negatives(**inputs) if negatives else network(**inputs)
    return flat(answer)


NETWORK_CASES = case_folders("qddetr", fields=["weights"], arrays=["row0_pred_logits"])
TRAINING_CASES = case_folders("qddetr", arrays=["pred_logits", "in_src_vid"])

each_network = case_param(NETWORK_CASES, "networks")


# ---------------------------------------------------------------- the network


@case_param(
    [f for f in NETWORK_CASES if {"weights_check", "inputs_check"} & read_case(f).keys()],
    "networks by recipe",
)
def test_recipe_draws_what_was_recorded(folder: Path) -> None:
    """First values and sums as the case gives them, so that a failure below is the network's."""
    case = read_case(folder)
    for drawn, check in (
        (weights_of(folder, case), case.get("weights_check", {})),
        (inputs_of(case, read_arrays(folder / "io.npz")), case.get("inputs_check", {})),
    ):
        for name, wanted in check.items():
            value = drawn[name].numpy()
            first = value.ravel()[: len(wanted["first"])]
            assert list(value.shape) == wanted["shape"], name
            np.testing.assert_allclose(first, wanted["first"], atol=1e-6, err_msg=name)
            # Sums of up to 75 × 4868 float32 numbers, in whatever order.
            np.testing.assert_allclose(
                value.sum(dtype=np.float64), wanted["sum"], rtol=1e-5, atol=1e-3, err_msg=name
            )


@each_network
def test_rows_alone(folder: Path) -> None:
    case, recorded = read_case(folder), read_arrays(folder / "io.npz")
    network, inputs = network_of(folder, case), inputs_of(case, recorded)
    for row in range(len(inputs["src_vid"])):
        got = run(network, alone(inputs, row))
        assert_close(got, recorded_row(recorded, row), case["tolerance"], f"row {row}")


@each_network
def test_rows_of_a_padded_batch_are_what_they_are_alone(folder: Path) -> None:
    case, recorded = read_case(folder), read_arrays(folder / "io.npz")
    network, inputs = network_of(folder, case), inputs_of(case, recorded)
    got = run(network, inputs)
    for row, mask in enumerate(inputs["src_vid_mask"]):
        clips = int(mask.sum())
        valid = {name: value[row : row + 1] for name, value in got.items()}
        valid["saliency_scores"] = valid["saliency_scores"][:, :clips]
        valid["debug_encoder"] = valid["debug_encoder"][:, : clips + 1]
        assert_close(valid, recorded_row(recorded, row), case["tolerance"], f"row {row}")


@case_param(
    [f for f in NETWORK_CASES if read_case(f).get("batch_equals_rows_officially")],
    "batches that keep rows apart",
)
def test_saliency_against_the_next_sentence(folder: Path) -> None:
    """Only where the official batch keeps its rows apart is its negative pass a reference."""
    case, recorded = read_case(folder), read_arrays(folder / "io.npz")
    network, inputs = network_of(folder, case), inputs_of(case, recorded)
    got = run(network, inputs, negatives=True)
    valid = inputs["src_vid_mask"].numpy() > 0
    assert_close(
        {"negative": got["saliency_scores_neg"][valid]},
        {"negative": recorded["batch_saliency_scores_neg"][valid]},
        case["tolerance"],
        "batch",
    )


@each_network
def test_one_video_stands_for_all_sentences(folder: Path) -> None:
    """The first video, given once and unpadded, read with every sentence of the batch."""
    case, recorded = read_case(folder), read_arrays(folder / "io.npz")
    network, inputs = network_of(folder, case), inputs_of(case, recorded)
    sentences = {name: inputs[name] for name in ("src_txt", "src_txt_mask")}
    video = {k: v for k, v in alone(inputs, 0).items() if k not in sentences}
    got = run(network, video | sentences, negatives=True)
    rows = len(sentences["src_txt"])
    copied = {name: value.repeat(rows, *[1] * (value.dim() - 1)) for name, value in video.items()}
    wanted = run(network, copied | sentences, negatives=True)
    assert got["pred_logits"].shape[0] == rows
    assert_close(got, wanted, case["tolerance"], "one video")
    first = {name: value[:1] for name, value in got.items()}
    assert_close(first, recorded_row(recorded, 0), case["tolerance"], "row 0")


@case_param(TRAINING_CASES, "training steps")
def test_outputs_in_train_mode(folder: Path) -> None:
    """With all dropout rates at 0, as these cases were recorded."""
    case, recorded = read_case(folder), read_arrays(folder / "io.npz")
    network, inputs = network_of(folder, case).train(), inputs_of(case, recorded)
    got = flat(network.forward_with_negatives(**inputs))
    valid = inputs["src_vid_mask"].numpy() > 0
    outputs = {
        name: value
        for name, value in recorded.items()
        if OUTPUTS.fullmatch(name) and name != "debug_encoder"
    }
    for name in outputs:
        if name.startswith("saliency_scores"):
            outputs[name], got[name] = outputs[name][valid], got[name][valid]
    # These cases state a tolerance for the losses only; that of the outputs is tighter.
    tolerance = case["tolerance"].get("losses", case["tolerance"])
    assert_close(got, outputs, tolerance, "train mode")


# ---------------------------------------------------------------- its ONNX graph

PUBLISHED_SIZES = [
    folder for folder in NETWORK_CASES if read_case(folder)["config"]["hidden_dim"] == 256
]


@pytest.fixture(scope="module")
def graph_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Any]:
    """Opens the exported network of a case; networks that cases share are exported once."""
    pytest.importorskip("onnxscript", reason="torch writes ONNX graphs with onnxscript")
    import onnxruntime

    from search.moments.qd_detr_export import export_onnx

    written = tmp_path_factory.mktemp("graphs")

    def opened(folder: Path) -> Any:
        case = read_case(folder)
        network = f"{case['weights']}-{case.get('weight_seed')}-{config_of(case)}"
        file = written / f"{zlib.crc32(network.encode())}.onnx"
        if not file.exists():
            export_onnx(network_of(folder, case), file)
        return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    return opened


@case_param(PUBLISHED_SIZES, "networks of published sizes")
def test_onnx_graph(folder: Path, graph_of: Callable[[Path], Any]) -> None:
    """Each row alone, and all of them in a batch with more padding than they need."""
    case, recorded = read_case(folder), read_arrays(folder / "io.npz")
    session, inputs = graph_of(folder), inputs_of(case, recorded)

    def answer(given: dict[str, torch.Tensor], further: int) -> Arrays:
        feed = {name: given[name].numpy() for name in INPUT_NAMES}
        if "src_aud" in given:
            feed["src_vid"] = np.concatenate([feed["src_vid"], given["src_aud"].numpy()], axis=2)
        for name, value in feed.items():
            feed[name] = np.pad(value, [(0, 0), (0, further), (0, 0)][: value.ndim])
        return dict(zip(OUTPUT_NAMES, session.run(OUTPUT_NAMES, feed), strict=True))

    batch = answer(inputs, further=3)
    for row, mask in enumerate(inputs["src_vid_mask"]):
        wanted = {
            name: value for name, value in recorded_row(recorded, row).items() if name in batch
        }
        of_batch = {name: value[row : row + 1] for name, value in batch.items()}
        of_batch["saliency_scores"] = of_batch["saliency_scores"][:, : int(mask.sum())]
        single = answer(alone(inputs, row), further=0)
        for what, got in (("alone", single), ("in a batch", of_batch)):
            assert_close(got, wanted, case["tolerance"], f"row {row} {what}")


# ---------------------------------------------------------------- names, shapes, files


@pytest.mark.parametrize("file", folders_or_skip(published_keys(), "published keys", "qddetr"))
def test_published_names_and_shapes(file: Path) -> None:
    published = json.loads(file.read_text(encoding="utf-8"))
    shapes = {name: tuple(shape) for name, shape in published["keys"].items()}
    config = QDDETRConfig.from_shapes(shapes, audio_dim=published["aud_dim"])
    assert (config.video_dim, config.text_dim) == (published["vid_dim"], published["txt_dim"])
    network = QDDETR(config)
    state = network.state_dict()
    # The order too: an official optimiser state counts the parameters through.
    assert list(config.shapes().items()) == list(shapes.items())
    assert [(name, tuple(value.shape)) for name, value in state.items()] == list(shapes.items())
    assert sum(value.numel() for value in state.values()) == published["parameters"]
    official = {name: torch.full(shape, 0.5) for name, shape in shapes.items()}
    network.load_state_dict(official, strict=True)
    assert all((value == 0.5).all() for value in network.state_dict().values())


@pytest.mark.parametrize(
    "file", folders_or_skip(case_files("qddetr", "*.ckpt"), "training checkpoints", "qddetr")
)
def test_official_checkpoint_file(file: Path) -> None:
    """Opens with nothing but argparse.Namespace allowed, and holds a network that fits."""
    case = read_case(file.parent)
    with torch.serialization.safe_globals([argparse.Namespace]):
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    options = checkpoint["opt"]
    shapes = {name: tuple(value.shape) for name, value in checkpoint["model"].items()}
    config = QDDETRConfig.from_shapes(shapes, heads=options.nheads)
    assert config == config_of(case)
    assert config.video_dim == options.v_feat_dim  # counts the TEF already
    network = QDDETR(config)
    network.load_state_dict(checkpoint["model"], strict=True)
    for name, wanted in recipe_weights(config, case["weight_seed"]).items():
        torch.testing.assert_close(network.state_dict()[name], wanted, atol=1e-6, rtol=0)


# ---------------------------------------------------------------- from outputs to an answer


def with_answers(key: str, *arrays: str) -> pytest.MarkDecorator:
    """A test of all cases whose case.json holds the answers under this key."""
    return case_param(case_folders("qddetr", fields=[key], arrays=arrays), f"cases with {key!r}")


@with_answers("submission", "pred_logits")
def test_windows_as_the_evaluation_reads_them(folder: Path) -> None:
    case, outputs = read_case(folder), read_arrays(folder / "io.npz")
    for row, duration_s in enumerate(case["durations"]):
        logits, boxes = outputs["pred_logits"][row], outputs["pred_spans"][row]
        before = four_decimals(spans(logits, boxes, duration_s))
        printed, submitted = case["before_rounding"][row], case["submission"][row]
        np.testing.assert_allclose(before, printed["pred_relevant_windows"], rtol=0, atol=1.01e-4)
        after = spans_as_evaluated(logits, boxes, duration_s)
        wanted = np.array(submitted["pred_relevant_windows"])
        np.testing.assert_array_equal(after[:, :2], wanted[:, :2])
        np.testing.assert_allclose(after[:, 2], wanted[:, 2], rtol=0, atol=1.01e-4)
        saliency = saliency_as_evaluated(outputs["saliency_scores"][row], case["valid_clips"][row])
        np.testing.assert_array_equal(saliency, submitted["pred_saliency_scores"])


@with_answers("rounding")
def test_borders_round_to_the_even_multiple(folder: Path) -> None:
    recorded = read_case(folder)["rounding"]
    got = rounded_as_evaluated(np.array(recorded["windows_in"]))
    np.testing.assert_array_equal(got, recorded["windows_out"])


@with_answers("nms")
def test_official_suppression(folder: Path) -> None:
    for recorded in read_case(folder)["nms"]:
        windows = np.array(recorded["windows"], dtype=np.float64)
        got = without_repeats(windows, recorded["threshold"], recorded["max_after"])
        np.testing.assert_array_equal(got, recorded["out"])


@with_answers("predictions", "raw_video")
def test_the_demo_from_features_to_windows(folder: Path) -> None:
    """Raw features of one video and several sentences, all the way to the printed answer."""
    case, recorded = read_case(folder), read_arrays(folder / "io.npz")
    sentences = len(case["text_lengths"])
    clips = video_input(normalised_as_demo(recorded["raw_video"]), None)
    words, words_mask = padded(
        [normalised_as_demo(recorded[f"raw_text_{index}"]) for index in range(sentences)]
    )
    video, video_mask = padded([clips])
    for name, got in (
        ("src_txt", words),
        ("src_txt_mask", words_mask),
        ("src_vid", np.repeat(video, sentences, axis=0)),
        ("src_vid_mask", np.repeat(video_mask, sentences, axis=0)),
    ):
        np.testing.assert_allclose(got, recorded[name], rtol=0, atol=1e-6, err_msg=name)

    network = network_of(folder, case)
    inputs = map(torch.from_numpy, (words, words_mask, video, video_mask))
    answer = run(network, dict(zip(INPUTS, inputs, strict=False)))
    duration_s = case["frames"] * case["clip_length_s"]
    for row, wanted in enumerate(case["predictions"]):
        got = four_decimals(
            spans(answer["pred_logits"][row], answer["pred_spans"][row], duration_s)
        )
        windows = np.array(wanted["pred_relevant_windows"])
        assert (np.diff(got[:, 2]) <= 0).all()
        # Scores may be nearer to each other than two runs are: compare in the order of starts.
        got, windows = (found[np.argsort(found[:, 0])] for found in (got, windows))
        np.testing.assert_allclose(got[:, :2], windows[:, :2], rtol=0, atol=2e-4)
        np.testing.assert_allclose(got[:, 2], windows[:, 2], rtol=0, atol=1.01e-4)
        saliency = saliency_as_evaluated(answer["saliency_scores"][row], case["frames"])
        printed = np.array(wanted["pred_saliency_scores"])
        steps = np.spacing(np.abs(printed).astype(np.float16)).astype(np.float64)
        # One step of float16, and half a unit of the fourth decimal of the printed number.
        assert (np.abs(saliency - printed) <= steps + 5e-5).all()
