"""Annotations and feature files as QD-DETR learns from them, against the official data set."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import Closeness, case_files, closeness, folders_or_skip, read_arrays, read_case

pytest.importorskip("torch", reason="training needs torch")

from search.evaluation.records import Highlights
from storage.errors import ReelseekError
from training.moment_retrieval.annotations import Annotation, read_annotations
from training.moment_retrieval.dataset import Batch, MomentDataset, collate
from training.moment_retrieval.features import FeatureFolders
from training.moment_retrieval.labels import MAX_WINDOWS, labels
from training.moment_retrieval.loading import Loader


@pytest.mark.parametrize("kind", ["video", "audio"])
@pytest.mark.parametrize(
    "annotations", folders_or_skip(case_files("qddetr", "*.jsonl"), "data sets", "qddetr")
)
def test_batches_are_the_official_ones(annotations: Path, kind: str, tmp_path: Path) -> None:
    case, arrays = read_case(annotations.parent), read_arrays(annotations.with_name("io.npz"))
    if f"{kind}_src_vid" not in arrays:
        pytest.skip(f"{annotations.parent} holds no batch with {kind}")
    folders = published_layout(arrays, tmp_path, with_sound=kind == "audio")
    dataset = MomentDataset.open(read_annotations(annotations), folders)
    draws, tolerance = Random(case["python_random_seed"]), closeness(case["tolerance"])
    batch = collate([dataset.example(index, draws) for index in range(len(dataset))])

    inputs = {name for name in arrays if name.startswith(f"{kind}_src_")}
    assert inputs == {f"{kind}_{name}" for name in batch.inputs}
    for name, tensor in batch.inputs.items():
        np.testing.assert_allclose(tensor, arrays[f"{kind}_{name}"], **tolerance)
    assert_official_targets(batch, arrays, kind, tolerance)


def assert_official_targets(
    batch: Batch, arrays: Mapping[str, Any], kind: str, tolerance: Closeness
) -> None:
    """Equal where the official code draws nothing; an allowed draw where it does."""
    for row, (spans, annotation) in enumerate(
        zip(batch.targets.spans, batch.annotations, strict=True)
    ):
        if len(annotation.windows_s) <= MAX_WINDOWS:
            recorded = arrays[f"{kind}_target_spans_{row}"]
            np.testing.assert_allclose(spans, recorded, **tolerance)
    saliency = batch.targets.saliency
    assert saliency is not None
    ratings = arrays[f"{kind}_saliency_all_labels"]
    np.testing.assert_allclose(saliency.ratings, ratings, **tolerance)

    positive, negative = saliency.positive.numpy(), saliency.negative.numpy()
    clips = arrays[f"{kind}_src_vid_mask"].sum(axis=1).astype(int)
    for row, annotation in enumerate(batch.annotations):
        assert annotation.highlights is not None
        relevant = set(annotation.highlights.clip_ids.tolist())
        # Of equally good clips any will do: the official choice depends on the processor.
        for ours, name in ((positive, "pos"), (negative, "neg")):
            recorded = arrays[f"{kind}_saliency_{name}_labels"][row, 0]
            assert ours[row, 0] in relevant
            assert ratings[row, ours[row, 0]] == ratings[row, recorded]
        assert positive[row, 1] in relevant
        beside = set(range(clips[row])) - relevant
        assert negative[row, 1] in (beside or {negative[row, 0]})


def published_layout(
    arrays: Mapping[str, Any], folder: Path, *, with_sound: bool
) -> FeatureFolders:
    """The recording's arrays ``raw_{kind}_{name}`` in files, as such features are published."""
    pictures: dict[str, Path] = {}
    for name, array in arrays.items():
        if (named := re.fullmatch("raw_([^_]+)_(.+)", name)) is None:
            continue
        kind, item = named.groups()
        place = folder / kind
        place.mkdir(parents=True, exist_ok=True)
        if kind == "txt":
            np.savez(place / f"qid{item}.npz", last_hidden_state=array)
        elif kind == "aud":
            np.save(place / f"{item}.npy", array)
        else:
            np.savez(place / f"{item}.npz", features=array)
            pictures[kind] = place
    # CLIP's come last, as in the official options.
    order = sorted(pictures, key=lambda kind: kind == "clip")
    return FeatureFolders(
        tuple(pictures[kind] for kind in order),
        folder / "txt",
        folder / "aud" if with_sound else None,
    )


@given(
    clips=st.integers(1, 40),
    starts=st.lists(st.integers(0, 39), min_size=1, max_size=9, unique=True),
    seed=st.integers(0, 99),
)
def test_labels_lie_in_the_video_and_mean_what_they_say(
    clips: int, starts: list[int], seed: int
) -> None:
    kept = sorted({start % clips for start in starts})
    ratings = np.array([[start % 5, start % 3, 1] for start in kept], float)
    annotation = annotated(
        clips * 2.0,
        tuple((2.0 * start, 2.0 * start + 2) for start in kept),
        Highlights(clips, np.array(kept), ratings),
    )
    found = labels(annotation, clips, Random(seed))
    assert len(found.spans) == min(len(kept), MAX_WINDOWS)
    starts_of_spans = (found.spans[:, 0] - found.spans[:, 1] / 2) * clips
    assert {round(float(start)) for start in starts_of_spans} <= set(kept)

    saliency = found.saliency
    assert saliency is not None
    assert set(np.flatnonzero(saliency.ratings)) == set(kept)
    (best, easy), (worst, beside) = saliency.positive, saliency.negative
    assert saliency.ratings[best] == saliency.ratings.max()
    assert saliency.ratings[worst] == saliency.ratings[kept].min()
    assert saliency.ratings[easy] >= saliency.ratings[beside]
    assert (beside in kept) == (len(kept) == clips)


def test_features_one_clip_short_of_the_annotation_will_do() -> None:
    rated = Highlights(10, np.array([8, 9]), np.array([[1.0, 1, 1], [2.0, 2, 2]]))
    found = labels(annotated(20.0, ((16.0, 20.0),), rated), 9, Random(0))
    assert found.saliency is not None
    assert found.saliency.positive[0] == 8
    with pytest.raises(ReelseekError, match=r"features for 8 clips \(16 s\).* up to 20 s"):
        labels(annotated(20.0, ((16.0, 20.0),), rated), 8, Random(0))


def annotated(
    duration_s: float, windows_s: tuple[tuple[float, float], ...], rated: Highlights | None
) -> Annotation:
    return Annotation(1, "a dog", "film", duration_s, windows_s, rated, {})


@dataclass(frozen=True)
class Workplace:
    """A small data set on disk."""

    path: Path

    @property
    def annotations(self) -> Path:
        return self.path / "train.jsonl"

    def folders(self) -> FeatureFolders:
        return FeatureFolders(
            (self.path / "clip",), self.path / "words", self.path / "sound", max_tokens=4
        )

    def open(self) -> MomentDataset:
        return MomentDataset.open(read_annotations(self.annotations), self.folders())

    def write_line(self, **changes: Any) -> None:
        """The annotation of qid 7, with some fields other than they should be."""
        line = {
            "qid": 7,
            "query": "a dog",
            "vid": "film7",
            "duration": 20,
            "relevant_windows": [[4, 8]],
            "relevant_clip_ids": [2, 3],
            "saliency_scores": [[1, 2, 3], [2, 2, 2]],
        } | changes
        lines = self.annotations.read_text().splitlines()
        self.annotations.write_text("\n".join([*lines[:-1], json.dumps(line)]) + "\n")


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """Eight queries about eight films of 10 clips."""
    place = Workplace(tmp_path)
    drawn = np.random.default_rng(0)
    for folder in ("clip", "words", "sound"):
        (tmp_path / folder).mkdir()
    for qid in range(8):
        rows = drawn.standard_normal((10, 6)).astype(np.float16)
        np.savez(tmp_path / "clip" / f"film{qid}.npz", features=rows)
        np.save(tmp_path / "sound" / f"film{qid}.npy", drawn.standard_normal((9, 3)))
        words = drawn.standard_normal((1, 6, 5))
        np.savez(tmp_path / "words" / f"qid{qid}.npz", last_hidden_state=words)
    lines = [
        {"qid": n, "query": "q", "vid": f"film{n}", "duration": 20, "relevant_windows": [[2, 6]]}
        for n in range(8)
    ]
    place.annotations.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return place


def test_pictures_and_sound_are_cut_to_the_shorter_and_sentences_to_the_limit(
    place: Workplace,
) -> None:
    batch = collate([place.open().example(0, Random(0))])
    shapes = {name: tuple(tensor.shape) for name, tensor in batch.inputs.items()}
    assert shapes["src_vid"] == (1, 9, 6 + 2)
    assert shapes["src_aud"] == (1, 9, 3 + 2)
    assert shapes["src_txt"] == (1, 4, 5)
    assert batch.targets.saliency is None
    last_clip = batch.inputs["src_vid"][0, -1, -2:].tolist()
    assert last_clip == pytest.approx([8 / 9, 1])


def test_an_epoch_shows_every_example_once_whatever_the_number_of_threads(
    place: Workplace,
) -> None:
    dataset = place.open()

    def epoch(number: int, threads: int) -> list[int | str]:
        loader = Loader(dataset, batch_size=3, seed=1, threads=threads)
        batches = list(loader.shuffled(number))
        assert len(batches) == len(loader) == 3
        return [item.qid for batch in batches for item in batch.annotations]

    assert epoch(0, threads=1) == epoch(0, threads=4)
    assert epoch(0, threads=1) != epoch(1, threads=1)
    assert sorted(epoch(1, threads=2)) == list(range(8))


def test_the_first_missing_file_is_named_with_its_query(place: Workplace) -> None:
    for file in ("words/qid5.npz", "sound/film6.npy"):
        (place.path / file).unlink()
    with pytest.raises(ReelseekError, match=r"qid5\.npz does not exist.*qid 5.*1 more"):
        place.open()


def test_unfit_feature_files_are_named(place: Workplace) -> None:
    rows = np.ones((10, 6))
    nan = np.where(np.eye(10, 6), np.nan, rows)
    file = place.path / "clip" / "film3.npz"
    for features, complaint in (
        ({"features": np.ones((10, 7))}, r"film3\.npz .qid 3. holds 7 numbers per row, but 6"),
        ({"features": nan}, r"film3\.npz holds NaN"),
        ({"features": np.ones(10)}, r"film3\.npz should hold .* shape \(10,\)"),
        ({"features": np.array([{}])}, r"film3\.npz cannot be read"),
        ({"feature": rows}, r"film3\.npz holds no array 'features', only feature"),
    ):
        np.savez(file, **features)
        with pytest.raises(ReelseekError, match=complaint):
            place.open().example(3, Random(0))
    whole = (place.path / "clip" / "film4.npz").read_bytes()
    for rest in (b"", b"PK", whole[: len(whole) // 2], whole[:40] + b"\xff" * 40 + whole[80:]):
        file.write_bytes(rest)
        with pytest.raises(ReelseekError, match=r"film3\.npz cannot be read"):
            place.open().example(3, Random(0))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"relevant_windows": [[4, 22]]}, "window 4 to 22 s does not lie inside the video"),
        ({"relevant_windows": [[-2, 2]]}, "window -2 to 2 s does not lie inside the video"),
        ({"relevant_windows": [[8, 8]]}, "start before it ends"),
        ({"relevant_windows": []}, "is empty"),
        ({"relevant_windows": [[4, float("nan")]]}, "not finite"),
        ({"relevant_clip_ids": [2, 10]}, "relevant_clip_ids has 10"),
        ({"relevant_clip_ids": [2]}, "2 saliency_scores for 1 relevant_clip_ids"),
        ({"duration": 0, "relevant_clip_ids": [], "saliency_scores": []}, "duration"),
        ({"vid": None}, '"query" and "vid" must be texts'),
        ({"qid": 6}, "qid 6 stands there twice"),
        ({}, "qid 0 has no rated clips while others have"),
    ],
)
def test_unfit_annotations_are_refused_in_a_sentence(
    place: Workplace, changes: dict[str, Any], complaint: str
) -> None:
    place.write_line(**changes)
    with pytest.raises(ReelseekError, match=complaint) as refused:
        read_annotations(place.annotations)
    assert "train.jsonl" in str(refused.value)
