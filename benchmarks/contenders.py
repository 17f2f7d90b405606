"""What is measured against what: encoders, lite 1.0 among them, and moment heads."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from search.moments.base import MomentHead
from search.moments.choice import WATERSHED, choose_head
from storage.bundles import SHIPPED, EncoderBundle, load_encoder, models_folder
from storage.errors import BundleError, EncoderMismatch
from storage.manifest import MANIFEST
from storage.records import SoundStamp

PART_1 = "lite-part1"
"""The encoder lite 1.0, under a name of its own."""
PART_1_COMMIT = "1586b67"
"""The last commit that ships it."""
ENCODERS = (PART_1, "lite")
HEADS = (WATERSHED, "lite-moments")

ROOT = Path(__file__).resolve().parents[1]


class Skipped(Exception):
    """A part of the benchmark cannot be measured here; the message says why."""


@dataclass(frozen=True)
class Contender:
    """One way to search: an encoder, a head, and whether the archive keeps sound."""

    encoder: str
    head: str
    hears: bool

    @property
    def name(self) -> str:
        """E.g. "lite + lite-moments, with sound"."""
        return f"{self.encoder} + {self.head}" + (", with sound" if self.hears else "")

    def differs_by_one(self, other: Contender) -> bool:
        """Whether exactly one of encoder, head and sound is another."""
        pairs = zip(astuple(self), astuple(other), strict=True)
        return [one == another for one, another in pairs].count(False) == 1


@contextmanager
def models_with_part_1(folder: Path) -> Iterator[str | None]:
    """For a while the models folder is `folder`: what the user brought, and the encoder lite 1.0.

    Gives the reason why lite 1.0 is not there; None where it is.
    """
    folder.mkdir(parents=True)
    brought = models_folder()
    if brought.is_dir():
        for model in sorted(brought.iterdir()):
            (folder / model.name).symlink_to(model.absolute(), target_is_directory=True)
    before = os.environ.get("REELSEEK_MODELS")
    os.environ["REELSEEK_MODELS"] = str(folder)
    try:
        yield _bring_part_1(folder / PART_1)
    finally:
        if before is None:
            del os.environ["REELSEEK_MODELS"]
        else:
            os.environ["REELSEEK_MODELS"] = before


def encoder_bundle(name: str, no_part_1: str | None) -> EncoderBundle:
    """
    Raises:
        Skipped: it is not here.
    """
    if name == PART_1 and no_part_1 is not None:
        raise Skipped(no_part_1)
    try:
        return load_encoder(name)
    except BundleError as error:
        raise Skipped(str(error)) from error


def moment_head(name: str, encoder: EncoderBundle, sound: SoundStamp | None) -> MomentHead:
    """
    Raises:
        Skipped: it is not here, or does not fit the encoder.
    """
    try:
        return choose_head(name, encoder, sound)
    except (BundleError, EncoderMismatch) as error:
        raise Skipped(str(error)) from error


def _bring_part_1(folder: Path) -> str | None:
    """Take the bundle out of the history, under its own name; the reason where that fails."""
    shipped = f"{PART_1_COMMIT}:{(SHIPPED / 'lite').relative_to(ROOT).as_posix()}"
    try:
        manifest = json.loads(_at_commit(f"{shipped}/{MANIFEST}"))
        files = {name: _at_commit(f"{shipped}/{name}") for name in manifest["files"]}
    except (OSError, subprocess.CalledProcessError):
        return (
            f"lite 1.0 lies in the commit {PART_1_COMMIT}, which is not in this copy of "
            "the repository: fetch the whole history (`git fetch --unshallow`)."
        )
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / MANIFEST).write_text(json.dumps(manifest | {"name": PART_1}), encoding="utf-8")
    return None


def _at_commit(path: str) -> bytes:
    command = ["git", "-C", str(ROOT), "show", path]
    return subprocess.run(command, check=True, capture_output=True).stdout
