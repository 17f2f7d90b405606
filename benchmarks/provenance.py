"""Where results come from: the commit, the machine, the packages, and the models."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("av", "faiss-cpu", "numpy", "onnxruntime", "pillow", "scenedetect-headless", "soxr")


def provenance() -> dict[str, Any]:
    """As JSON; nothing in it tells one user or folder from another."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted changes": _dirty(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
        },
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _dirty() -> bool | None:
    """Whether the code that was measured differs from the commit; results do not count."""
    changed = _git("status", "--porcelain", "--", ".", ":!benchmarks/results")
    return None if changed is None else bool(changed)


def _git(*arguments: str) -> str | None:
    """What git answers; None outside a repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
