"""The measuring set of real clips and tapes: queries, truth windows, and where they lie."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

Window = tuple[float, float]
"""Start and end in seconds."""

TAPES = ("tape", "tape2")
PICTURE_KINDS = ("visual", "sport", "person-action")


def footage_folder() -> Path:
    """$REELSEEK_VIDEOS, else ../shared/videos beside the repository."""
    default = Path(__file__).resolve().parents[2] / "shared" / "videos"
    return Path(os.environ.get("REELSEEK_VIDEOS", default))


@dataclass(frozen=True)
class Question:
    """One query of queries.jsonl with all places where it is true."""

    text: str
    kind: str
    style: str
    lang: str
    videos: Mapping[str, tuple[Window, ...]]
    """File, relative to the folder, to the windows in which the query is true."""
    maybe_videos: frozenset[str]
    """Files where it is arguably true: a hit there counts neither way."""
    windows: Mapping[str, tuple[Window, ...]]
    """Tape to windows."""
    maybe_windows: Mapping[str, tuple[Window, ...]]

    @property
    def is_core(self) -> bool:
        """English, about what is seen: the queries that headline figures are given for."""
        return self.lang == "en" and self.kind in PICTURE_KINDS


def read_questions(folder: Path) -> list[Question]:
    """All rows of queries.jsonl, in order."""
    with (folder / "queries.jsonl").open(encoding="utf-8") as lines:
        return [_question(json.loads(line)) for line in lines]


def _question(row: dict[str, object]) -> Question:
    videos, maybe = row["videos"], row.get("maybe") or {}
    assert isinstance(videos, dict) and isinstance(maybe, dict)
    return Question(
        text=str(row["query"]),
        kind=str(row["kind"]),
        style=str(row["style"]),
        lang=str(row["lang"]),
        videos={file: _windows(windows) for file, windows in videos.items()},
        maybe_videos=frozenset(maybe),
        windows={tape: _windows(row.get(tape)) for tape in TAPES},
        maybe_windows={tape: _windows(row.get(f"maybe_{tape}")) for tape in TAPES},
    )


def _windows(value: object) -> tuple[Window, ...]:
    assert value is None or isinstance(value, list)
    return tuple((float(start), float(end)) for start, end in value or [])
