"""A lite moment head whose files are damaged or belong to another encoder says so in a sentence."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search.moments.bank import Bank
from search.moments.choice import choose_head
from search.moments.evidence import EVIDENCE
from search.moments.fitting import misfit
from search.moments.lite_head import LiteHead
from search.moments.scorer import Scorer
from storage.bundles import find, load_encoder, load_head
from storage.errors import BundleError, EncoderMismatch


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(find("lite-moments"), tmp_path / "lite-moments"))


def test_the_shipped_head_fits_the_shipped_encoder() -> None:
    assert misfit(load_head("lite-moments"), load_encoder(), None) is None


def test_an_encoder_with_other_weights_is_refused_by_name() -> None:
    adapted = load_encoder()
    files = {**adapted.manifest.checksums, "image.onnx": "0" * 64}
    adapted = replace(adapted, manifest=replace(adapted.manifest, checksums=files))
    reason = misfit(load_head("lite-moments"), adapted, None)
    assert reason is not None
    assert "lite-moments" in reason and "lite" in reason and "other weights" in reason
    with pytest.raises(EncoderMismatch, match="other weights"):
        choose_head("lite-moments", adapted, None)
    assert choose_head("auto", adapted, None).head_id == "watershed"


def test_a_damaged_network_is_named(copy: Path) -> None:
    (copy / "head.onnx").write_bytes(b"no graph")
    with pytest.raises(BundleError, match=r"cannot be loaded.*head\.onnx"):
        LiteHead(copy / "head.onnx", Bank.load(copy / "bank.npz"), None, "lite-moments-1.0")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x93NUMPY"])
def test_a_damaged_bank_is_named(copy: Path, content: bytes) -> None:
    (copy / "bank.npz").write_bytes(content)
    with pytest.raises(BundleError, match=r"bank\.npz"):
        Bank.load(copy / "bank.npz")


def test_a_bank_of_another_width_does_not_go_with_the_network(copy: Path) -> None:
    narrow = Bank(np.eye(8, dtype=np.float32), np.eye(8, dtype=np.float32))
    with pytest.raises(BundleError, match="8 numbers"):
        LiteHead(copy / "head.onnx", narrow, None, "lite-moments-1.0")


def test_a_scorer_of_other_evidence_is_refused(copy: Path) -> None:
    with np.load(copy / "scorer.npz") as kept:
        parts = {name: kept[name] for name in kept.files}
    parts["evidence"] = np.array([*EVIDENCE[:-1], "something else"])
    with (copy / "scorer.npz").open("wb") as stream:
        np.savez(stream, **parts)
    with pytest.raises(BundleError, match="other evidence"):
        Scorer.load(copy / "scorer.npz")


def test_bank_and_scorer_come_back_as_they_were_saved(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((7, 16)).astype(np.float32)
    Bank(rows, rows[:3]).save(tmp_path / "bank.npz")
    assert Bank.load(tmp_path / "bank.npz").photos == pytest.approx(rows, abs=2e-3)
    scorer = Scorer.load(find("lite-moments") / "scorer.npz")
    scorer.save(tmp_path / "scorer.npz")
    facts = rng.standard_normal((5, len(EVIDENCE))).astype(np.float32)
    assert np.array_equal(Scorer.load(tmp_path / "scorer.npz").logits(facts), scorer.logits(facts))
