"""Looking at archives and copying them, for the tests of misfortunes."""

from __future__ import annotations

import shutil
from pathlib import Path

from storage.archive import open_snapshot


def shown(path: Path) -> set[str]:
    """Names of the videos that a search sees."""
    return {Path(video.path).stem for _, video in open_snapshot(path).live_videos()}


def copy(sound: Path, tmp_path: Path) -> Path:
    shutil.rmtree(tmp_path / "dbs", ignore_errors=True)
    return Path(shutil.copytree(sound, tmp_path / "dbs"))
