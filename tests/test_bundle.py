"""The shipped encoder is what its manifest says, and does what its model card says."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import storage.bundles
from indexer.encoders.lite import LiteImageEncoder
from search.text.lite import LiteTextEncoder
from storage.bundles import EncoderBundle, load_encoder, load_head
from storage.errors import BundleError, NewerFormat, QueryError

IMAGES = Path(os.environ.get("REELSEEK_IMAGES", Path(__file__).parents[2] / "shared" / "images"))


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bundle in a folder where it can be damaged."""
    shutil.copytree(load_encoder().manifest.path, tmp_path / "lite")
    monkeypatch.setattr(storage.bundles, "SHIPPED", tmp_path)
    return tmp_path / "lite"


def test_a_shipped_bundle_that_is_missing_is_no_matter_of_bringing_it(copied: Path) -> None:
    with pytest.raises(BundleError, match=r"'lite-moments' belongs to .* install reelseek again"):
        load_head("lite-moments")
    with pytest.raises(BundleError, match=r"no model named 'lite-nonesuch' .*models get"):
        load_head("lite-nonesuch")


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (9, 260, 260, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def words() -> LiteTextEncoder:
    return LiteTextEncoder(load_encoder())


def test_every_file_has_its_checksum_and_is_small_enough_to_ship() -> None:
    bundle = load_encoder()
    bundle.manifest.verify()
    assert set(bundle.manifest.checksums) == {f.name for f in bundle.manifest.path.iterdir()} - {
        "manifest.json"
    }
    assert sum(file.stat().st_size for file in bundle.manifest.path.iterdir()) < 35e6


def test_the_model_card_and_the_manifest_name_the_terms() -> None:
    bundle = load_encoder()
    card = (bundle.manifest.path / "MODEL_CARD.md").read_text(encoding="utf-8")
    manifest = json.loads((bundle.manifest.path / "manifest.json").read_text(encoding="utf-8"))
    assert "non-commercial" in card and "Flickr8k" in card and "Apache-2.0" in card
    assert "non-commercial" in manifest["licence"]["projections"]


def test_picture_vectors_have_unit_length_whatever_the_batch(pictures: NDArray[np.uint8]) -> None:
    encoder = LiteImageEncoder(load_encoder())
    together = encoder.encode(pictures)
    one_by_one = np.concatenate([encoder.encode(picture[np.newaxis]) for picture in pictures])
    assert together.shape == (9, load_encoder().stamp.dim)
    assert np.allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-4)
    assert np.allclose(together, one_by_one, atol=1e-4)


def test_a_sentence_has_a_vector_for_itself_and_one_for_each_token(words: LiteTextEncoder) -> None:
    query = words.encode("a dog in snow")
    assert query.pooled.shape == (256,)
    assert query.tokens.shape == (6, 256)  # four words between two marks
    assert float(np.linalg.norm(query.pooled)) == pytest.approx(1.0, abs=1e-4)


def test_blanks_and_capitals_make_no_difference(words: LiteTextEncoder) -> None:
    assert np.array_equal(
        words.encode("a dog in snow").pooled, words.encode("  A Dog\n in  snow ").pooled
    )


@pytest.mark.parametrize("sentence", ["", "  \n", "word " * 2000])
def test_what_cannot_be_read_is_refused(words: LiteTextEncoder, sentence: str) -> None:
    with pytest.raises(QueryError):
        words.encode(sentence)


def test_a_flipped_bit_is_noticed_before_anything_is_indexed(copied: Path) -> None:
    weights = bytearray((copied / "image.onnx").read_bytes())
    weights[len(weights) // 2] ^= 1
    (copied / "image.onnx").write_bytes(weights)
    with pytest.raises(BundleError, match=r"image\.onnx is damaged"):
        LiteImageEncoder(load_encoder()).load()


def test_a_missing_file_and_an_unknown_name_are_named(copied: Path) -> None:
    (copied / "text.onnx").unlink()
    with pytest.raises(BundleError, match=r"text\.onnx is missing"):
        load_encoder()
    with pytest.raises(BundleError, match="there are: lite"):
        load_encoder("heavy")


def test_a_newer_manifest_is_not_guessed_at(copied: Path) -> None:
    _change(copied, lambda manifest: manifest.update(format=3))
    with pytest.raises(NewerFormat, match="update reelseek"):
        load_encoder()


def test_another_way_to_prepare_pictures_is_another_encoder(copied: Path) -> None:
    before = load_encoder().stamp
    _change(copied, lambda manifest: manifest["image"].update(interpolation="area"))
    assert load_encoder().stamp.fingerprint != before.fingerprint


def test_captions_find_their_photos_as_often_as_when_it_was_shipped(
    words: LiteTextEncoder,
) -> None:
    """The first 200 test photos; R@1 among them was 56 % then."""
    if not (IMAGES / "metadata.jsonl.gz").exists():
        pytest.skip(f"no photos at {IMAGES}: set REELSEEK_IMAGES")
    captions, photos = _captioned(200)
    encoder = LiteImageEncoder(load_encoder())
    found = np.concatenate([encoder.encode(photos[k : k + 8]) for k in range(0, 200, 8)])
    asked = np.stack([words.encode(caption).pooled for caption in captions])
    right = (asked @ found.T).argmax(axis=1) == np.arange(200)
    assert right.mean() > 0.54


def _change(bundle: Path, change) -> None:  # type: ignore[no-untyped-def]
    manifest = json.loads((bundle / "manifest.json").read_text())
    change(manifest)
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def _captioned(count: int) -> tuple[list[str], NDArray[np.uint8]]:
    """Captions and squashed pictures of the first Flickr8k test photos."""
    with gzip.open(IMAGES / "metadata.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    rows = [row for row in rows if (row["source"], row["split"]) == ("flickr8k", "test")][:count]
    pictures = {}
    for shard in sorted({row["shard"] for row in rows}):
        with tarfile.open(IMAGES / shard) as tar:
            for row in rows:
                if row["shard"] == shard:
                    file = tar.extractfile(f"{row['key']}.avif")
                    assert file is not None
                    pictures[row["key"]] = _squashed(file.read())
    return [row["captions"][0] for row in rows], np.stack([pictures[r["key"]] for r in rows])


def _squashed(content: bytes) -> NDArray[np.uint8]:
    with av.open(io.BytesIO(content)) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    squashed: NDArray[np.uint8] = cv2.resize(picture, (260, 260), interpolation=cv2.INTER_CUBIC)
    return squashed


def test_bundles_know_their_languages() -> None:
    bundle: EncoderBundle = load_encoder()
    assert bundle.languages == ("en",)
