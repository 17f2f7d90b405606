"""Where the recordings of the official networks lie, and why a test on them is skipped."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

FIXTURES = Path(
    os.environ.get("REELSEEK_FIXTURES", Path(__file__).parents[2] / "shared" / "fixtures")
)


def fixtures_folder(family: str) -> Path:
    """The folder of one family of recordings; skips the calling module or test without it."""
    folder = FIXTURES / family
    if not folder.exists():
        pytest.skip(
            f"no recordings in {folder}: set REELSEEK_FIXTURES to the folder that holds {family}",
            allow_module_level=True,
        )
    return folder


def case_folders(family: str) -> list[Path]:
    """Every folder of a family that describes a case, by name."""
    return sorted(path.parent for path in fixtures_folder(family).glob("*/case.json"))


def read_case(folder: Path) -> dict[str, Any]:
    """The settings and tolerances of a case."""
    case: dict[str, Any] = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    return case


def read_arrays(file: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz, by name; recordings hold no pickles."""
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
