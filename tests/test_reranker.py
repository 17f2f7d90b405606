"""QD-DETR as moment head: a small random network, exported, on segments made up here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search.moments.base import SegmentView, Span
from search.moments.qd_detr_config import QDDETRConfig
from search.moments.qd_detr_inputs import MAX_TOKENS, normalised_as_demo, tef, video_input
from search.text.base import EncodedQuery
from storage.errors import BundleError

torch = pytest.importorskip("torch", reason="only torch makes a network (pip install .[clip])")
pytest.importorskip("onnxscript", reason="torch writes ONNX graphs with onnxscript")

from search.moments.qd_detr import QDDETR  # noqa: E402
from search.moments.qd_detr_export import export_onnx  # noqa: E402
from search.moments.reranker import SEGMENTS_AT_ONCE, QdDetrHead  # noqa: E402

PICTURE, SOUND, TEXT = 12, 6, 10


def network(seed: int, *, sound: bool) -> QDDETR:
    torch.manual_seed(seed)
    made = QDDETR(
        QDDETRConfig(
            PICTURE + 2,
            TEXT,
            SOUND + 2 if sound else 0,
            hidden=16,
            heads=2,
            feedforward=24,
            queries=5,
        )
    )
    # Untrained slopes are all alike: give each its own.
    for index, layer in enumerate(m for m in made.modules() if isinstance(m, torch.nn.PReLU)):
        torch.nn.init.constant_(layer.weight, 0.1 + 0.1 * index)
    return made.eval()


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> tuple[QDDETR, Path]:
    """A network for pictures alone, and its graph."""
    made, file = network(1, sound=False), tmp_path_factory.mktemp("head") / "head.onnx"
    export_onnx(made, file)
    return made, file


@pytest.fixture(scope="module")
def hearing(tmp_path_factory: pytest.TempPathFactory) -> tuple[QDDETR, Path]:
    """A network for pictures and sound, and its graph."""
    made, file = network(2, sound=True), tmp_path_factory.mktemp("head") / "head.onnx"
    export_onnx(made, file)
    return made, file


def silent_head(graph: tuple[QDDETR, Path]) -> QdDetrHead:
    return QdDetrHead(graph[1], "small", sound_dim=0, picture_dim=PICTURE, text_dim=TEXT)


def hearing_head(graph: tuple[QDDETR, Path]) -> QdDetrHead:
    return QdDetrHead(graph[1], "small", sound_dim=SOUND, picture_dim=PICTURE, text_dim=TEXT)


def segment(clips: int, *, start_s: float = 0.0, seed: int = 0) -> SegmentView:
    random = np.random.default_rng(seed)
    times_s = start_s + 2.0 * np.stack([np.arange(clips), np.arange(1, clips + 1)], axis=1)
    return SegmentView(
        normalised_as_demo(random.standard_normal((clips, PICTURE))),
        times_s,
        np.array([[start_s, times_s[-1, 1]]]),
        np.zeros((1, PICTURE), np.float32),
        background=0.0,
    )


def sounding(clips: int, silent_from: int | None = None) -> SegmentView:
    sound = normalised_as_demo(np.random.default_rng(9).standard_normal((clips, SOUND)))
    if silent_from is not None:
        sound[silent_from:] = 0
    return replace(segment(clips), sound=sound)


def query(tokens: int = 7, seed: int = 3) -> EncodedQuery:
    random = np.random.default_rng(seed)
    words = random.standard_normal((tokens, TEXT)).astype(np.float32) * 4
    return EncodedQuery("x", np.zeros(PICTURE, np.float32), words)


def constant_graph(
    file: Path,
    logits: list[tuple[float, float]],
    boxes: list[tuple[float, float]],
    saliency: list[int],
) -> Path:
    """A graph with the inputs of the network that always gives the same outputs, for one row."""
    onnx = pytest.importorskip("onnx", reason="writes a graph by hand")
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    outputs = {"pred_logits": logits, "pred_spans": boxes, "saliency_scores": saliency}
    arrays = {name: np.array([values], np.float32) for name, values in outputs.items()}
    widths = {"src_txt": [TEXT], "src_txt_mask": [], "src_vid": [PICTURE + 2], "src_vid_mask": []}
    graph = helper.make_graph(
        [
            helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(array))
            for name, array in arrays.items()
        ],
        "constant",
        [
            helper.make_tensor_value_info(name, number, ["rows", name, *width])
            for name, width in widths.items()
        ],
        [
            helper.make_tensor_value_info(name, number, array.shape)
            for name, array in arrays.items()
        ],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), file
    )
    return file


def asked(network: QDDETR, video: np.ndarray, words: np.ndarray) -> dict[str, np.ndarray]:
    """What torch answers for one segment and one sentence, both already as the network reads."""
    text, clips = torch.from_numpy(words)[None], torch.from_numpy(video)[None]
    with torch.no_grad():
        answer = network(text, torch.ones(text.shape[:2]), clips, torch.ones(clips.shape[:2]))
    return {
        name: answer[name][0].numpy() for name in ("pred_logits", "pred_spans", "saliency_scores")
    }


def by_hand(answer: dict[str, np.ndarray], clips: int, from_s: float, to_s: float) -> list[Span]:
    """Moments read off the network's answer one by one, best first."""
    moments = []
    for logits, (centre, width) in zip(answer["pred_logits"], answer["pred_spans"], strict=True):
        start_s = max(from_s, from_s + (centre - width / 2) * clips * 2.0)
        end_s = min(to_s, from_s + (centre + width / 2) * clips * 2.0)
        score = 1 / (1 + np.exp(float(logits[1]) - float(logits[0])))
        within = [
            float(saliency)
            for clip, saliency in enumerate(answer["saliency_scores"])
            if start_s <= from_s + 2 * clip + 1 < end_s
        ]
        if start_s < end_s:
            moments.append(Span(start_s, end_s, score, {"saliency": float(np.mean(within))}))
    return sorted(moments, key=lambda span: -span.score)


def assert_same(found: list[Span], wanted: list[Span]) -> None:
    assert len(found) == len(wanted)
    # Best first; scores of a random network lie near each other, so by time they are matched.
    assert [span.score for span in found] == sorted((span.score for span in found), reverse=True)
    for got, other in zip(
        *(sorted(spans, key=lambda s: s.start_s + s.end_s / 1e3) for spans in (found, wanted)),
        strict=True,
    ):
        assert (got.start_s, got.end_s, got.score, got.stages["saliency"]) == pytest.approx(
            (other.start_s, other.end_s, other.score, other.stages["saliency"]), abs=2e-4
        )


def test_same_moments_as_torch(silent: tuple[QDDETR, Path]) -> None:
    view, sentence = segment(20, start_s=450.0), query()
    words = sentence.tokens / np.linalg.norm(sentence.tokens, axis=1, keepdims=True)
    video = np.concatenate([view.vectors, tef(20)], axis=1)
    wanted = by_hand(asked(silent[0], video, words), 20, 450.0, 490.0)
    assert_same(silent_head(silent).find(view, sentence), wanted)


def test_many_segments_of_mixed_lengths_are_what_each_is_alone(
    silent: tuple[QDDETR, Path],
) -> None:
    """Also beyond one batch."""
    head, sentence = silent_head(silent), query()
    lengths = [75, 1, 40, 75, 9, 2, 33] * 3
    assert len(lengths) > SEGMENTS_AT_ONCE
    views = [segment(n, start_s=150.0 * i, seed=i) for i, n in enumerate(lengths)]
    together = head.find_all(views, sentence)
    assert len(together) == len(views)
    for view, found in zip(views, together, strict=True):
        assert_same(found, head.find(view, sentence))
        assert all(
            view.times_s[0, 0] <= span.start_s < span.end_s <= view.times_s[-1, 1] for span in found
        )


def test_nothing_to_look_at(silent: tuple[QDDETR, Path]) -> None:
    assert silent_head(silent).find_all([], query()) == []


def test_times_and_scores_computed_by_hand(tmp_path: Path) -> None:
    """A graph that always answers the same: on 10 clips from 300 s, the last one half as long."""
    boxes = [(0.5, 0.2), (0.05, 0.3), (0.95, 0.2), (1.4, 0.2), (0.52, 0.02)]
    logits = [(0.0, 0.0), (np.log(3), 0.0), (np.log(9), 0.0), (9.0, 0.0), (0.0, np.log(4))]
    file = constant_graph(tmp_path / "head.onnx", logits, boxes, saliency=list(range(10)))
    head = QdDetrHead(file, "constant", sound_dim=0, picture_dim=PICTURE, text_dim=TEXT)
    view = segment(10, start_s=300.0)
    view.times_s[-1, 1] = 319.0
    found = head.find(view, query())
    assert [(span.start_s, span.end_s) for span in found] == [
        pytest.approx((317.0, 319.0)),  # 17 … 21 s, and the segment ends at 19
        pytest.approx((300.0, 304.0)),  # -2 … 4 s
        pytest.approx((308.0, 312.0)),
        pytest.approx((310.2, 310.6), abs=1e-4),  # holds no clip's centre
    ]  # and 26 … 30 s lies behind the segment
    assert [span.score for span in found] == pytest.approx([0.9, 0.75, 0.5, 0.2])
    assert [span.stages["head_probability"] for span in found] == [s.score for s in found]
    # Centres at 301, 303, … and 318.5 s; the last span is nearest to clip 5.
    assert [span.stages["saliency"] for span in found] == pytest.approx([8.5, 0.5, 4.5, 5.0])


def test_a_long_sentence_is_cut(silent: tuple[QDDETR, Path]) -> None:
    head, view, long = silent_head(silent), segment(12), query(tokens=MAX_TOKENS + 9)
    assert_same(head.find(view, long), head.find(view, replace(long, tokens=long.tokens[:32])))
    assert MAX_TOKENS == 32


def test_sound_is_heard(hearing: tuple[QDDETR, Path]) -> None:
    view, sentence = sounding(15), query()
    assert view.sound is not None
    video = np.concatenate([view.vectors, tef(15), view.sound, tef(15)], axis=1)
    wanted = by_hand(asked(hearing[0], video, normalised_as_demo(sentence.tokens)), 15, 0, 30)
    assert_same(hearing_head(hearing).find(view, sentence), wanted)


def test_picture_that_outlasts_the_sound_is_cut_with_it(hearing: tuple[QDDETR, Path]) -> None:
    """By the clip whose window is not whole, as in the official data set."""
    view, sentence = sounding(15, silent_from=14), query()
    assert view.sound is not None
    view.sound[3:6] = 0
    video = video_input(view.vectors[:14], view.sound[:14])
    wanted = by_hand(asked(hearing[0], video, normalised_as_demo(sentence.tokens)), 14, 0, 30)
    assert_same(hearing_head(hearing).find(view, sentence), wanted)


def test_picture_stays_findable_where_the_sound_ends_early(hearing: tuple[QDDETR, Path]) -> None:
    view, sentence = sounding(15, silent_from=6), query()
    assert view.sound is not None
    video = video_input(view.vectors, view.sound)
    wanted = by_hand(asked(hearing[0], video, normalised_as_demo(sentence.tokens)), 15, 0, 30)
    assert_same(hearing_head(hearing).find(view, sentence), wanted)


def test_a_segment_that_matches_less_has_lower_scores(silent: tuple[QDDETR, Path]) -> None:
    """By exp(100 · difference of the best cosines): 0.02 lower is a factor of e²."""
    head = silent_head(silent)
    towards = np.eye(PICTURE, dtype=np.float32)[0]
    sentence = replace(query(), pooled=towards)
    views = [segment(10), segment(10)]
    for view, cosine in zip(views, (0.30, 0.28), strict=True):
        view.vectors[:] = np.eye(PICTURE, dtype=np.float32)[1]
        view.vectors[4] = cosine * towards + np.sqrt(1 - cosine**2) * np.eye(PICTURE)[1]
    better, worse = head.find_all(views, sentence)
    assert [s.score for s in better] == [s.stages["head_probability"] for s in better]
    assert [s.score / s.stages["head_probability"] for s in worse] == pytest.approx(
        [np.exp(-2.0)] * len(worse), rel=1e-3
    )


def test_a_film_without_sound_is_all_silence(hearing: tuple[QDDETR, Path]) -> None:
    head, view, sentence = hearing_head(hearing), segment(15), query()
    silence = replace(view, sound=np.zeros((15, SOUND), np.float32))
    video = video_input(view.vectors, silence.sound)
    wanted = by_hand(asked(hearing[0], video, normalised_as_demo(sentence.tokens)), 15, 0, 30)
    assert_same(head.find(view, sentence), wanted)
    assert_same(head.find(silence, sentence), wanted)


def test_a_head_for_pictures_does_not_hear(silent: tuple[QDDETR, Path]) -> None:
    head, view = silent_head(silent), sounding(15, silent_from=5)
    assert_same(head.find(view, query()), head.find(replace(view, sound=None), query()))


def test_a_graph_for_other_widths_is_refused(hearing: tuple[QDDETR, Path]) -> None:
    with pytest.raises(BundleError, match=r"not the network .* clips of 14 and words of 10"):
        silent_head(hearing)


def test_a_damaged_graph_is_refused(silent: tuple[QDDETR, Path], tmp_path: Path) -> None:
    damaged = tmp_path / "head.onnx"
    damaged.write_bytes(silent[1].read_bytes()[:5000])
    with pytest.raises(BundleError, match="'small' cannot be loaded"):
        silent_head((silent[0], damaged))


def test_searching_needs_no_torch() -> None:
    """Nothing that the head imports brings torch in."""
    import subprocess
    import sys

    code = "import sys, search.moments.reranker; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
