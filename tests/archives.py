"""Looking at archives and copying them, for the tests of misfortunes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from strategies import SOUND

from storage.archive import open_snapshot

with_and_without_sound = pytest.mark.parametrize(
    "sound", [None, SOUND], ids=["without sound", "with sound"]
)
"""The same with an archive of format 1 and with one of format 2."""


def shown(path: Path) -> set[str]:
    """Names of the videos that a search sees."""
    return {Path(video.path).stem for _, video in open_snapshot(path).live_videos()}


def copy(intact: Path, tmp_path: Path) -> Path:
    shutil.rmtree(tmp_path / "dbs", ignore_errors=True)
    return Path(shutil.copytree(intact, tmp_path / "dbs"))
