"""The measuring set of real clips and tapes: queries, truth windows, and where they lie."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
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


def tapes_in(folder: Path) -> tuple[str, ...]:
    """Names of the tapes: films at the top of the folder whose composition lies beside them."""
    return tuple(sorted(p.stem for p in folder.glob("*.mp4") if p.with_suffix(".json").exists()))


@dataclass(frozen=True)
class Question:
    """One query of queries.jsonl with all places where it is true."""

    text: str
    kind: str
    style: str
    lang: str
    videos: Mapping[str, tuple[Window, ...]]
    """File, relative to the folder, to the windows in which the query is true."""
    maybe_videos: Mapping[str, tuple[Window, ...]]
    """Files and windows where it is arguably true: a hit there counts neither way."""
    windows: Mapping[str, tuple[Window, ...]]
    """Tape to windows."""
    maybe_windows: Mapping[str, tuple[Window, ...]]

    @property
    def is_core(self) -> bool:
        """English, about what is seen: the queries that headline figures are given for."""
        return self.lang == "en" and self.kind in PICTURE_KINDS

    @property
    def is_absent(self) -> bool:
        """True nowhere in the set, not even arguably."""
        return not self.videos and not self.maybe_videos


def read_questions(folder: Path, tapes: Collection[str] = TAPES) -> list[Question]:
    """All rows of queries.jsonl, in order."""
    with (folder / "queries.jsonl").open(encoding="utf-8") as lines:
        return [_question(json.loads(line), tapes) for line in lines]


def _question(row: dict[str, object], tapes: Collection[str]) -> Question:
    videos, maybe = row["videos"], row.get("maybe") or {}
    assert isinstance(videos, dict) and isinstance(maybe, dict)
    return Question(
        text=str(row["query"]),
        kind=str(row["kind"]),
        style=str(row["style"]),
        lang=str(row["lang"]),
        videos={file: _windows(windows) for file, windows in videos.items()},
        maybe_videos={file: _windows(windows) for file, windows in maybe.items()},
        windows={tape: _windows(row.get(tape)) for tape in tapes},
        maybe_windows={tape: _windows(row.get(f"maybe_{tape}")) for tape in tapes},
    )


def _windows(value: object) -> tuple[Window, ...]:
    assert value is None or isinstance(value, list)
    return tuple((float(start), float(end)) for start, end in value or [])
