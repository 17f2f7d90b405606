"""The kinds of sound that AudioSet names, in the order of a network's outputs."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

_FILE = Path(__file__).parent / "audioset" / "class_labels_indices.csv"


@cache
def labels() -> tuple[str, ...]:
    """The 527 display names by index, e.g. "Speech" first; origin and licence: audioset/NOTICE."""
    with _FILE.open(encoding="utf-8", newline="") as file:
        return tuple(row["display_name"] for row in csv.DictReader(file))
