"""The manifest of a bundle: what a folder of weights is, and the checksum of each of its files.

A bundle is `manifest.json` and the files it lists; the fields are described in
docs/reference/bundles.md. What a manifest means for each kind of bundle is in `storage.bundles`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.errors import BundleError, NewerFormat

MANIFEST_FORMAT = 2
"""2 added sound towers, moment heads, and picture towers that are no ONNX graphs."""

MANIFEST = "manifest.json"


@dataclass(frozen=True, repr=False)
class Manifest:
    """A manifest that was read, in a folder where all files that it lists are in full size."""

    path: Path
    """The bundle's folder."""
    name: str
    version: str
    kind: str
    """"encoder", "sound" or "head"."""
    title: str
    checksums: Mapping[str, str]
    """File name to SHA-256 in hex."""
    fields: Mapping[str, Any]
    """The whole manifest."""

    def __repr__(self) -> str:
        return f"Manifest({self.kind} {self.model_id} in {self.path})"

    @property
    def model_id(self) -> str:
        """What an archive and a listing call it, e.g. "lite-1.0"."""
        return f"{self.name}-{self.version}"

    @property
    def size(self) -> int:
        """Bytes of all files that it lists."""
        return sum(int(facts["bytes"]) for facts in self.fields["files"].values())

    def verify(self) -> None:
        """Compare every file with its checksum.

        Raises:
            BundleError: a file is not what the manifest says.
        """
        for name, expected in self.checksums.items():
            with (self.path / name).open("rb") as file:
                actual = hashlib.file_digest(file, "sha256").hexdigest()
            if actual != expected:
                raise BundleError(
                    f"{self.path / name} is damaged (its checksum differs from {MANIFEST}): "
                    f"install the model {self.name!r} again."
                )

    def fingerprint(self, facts: Mapping[str, Any], files: Iterable[str]) -> str:
        """Hex digest over facts and the checksums of some files: all that a vector depends on."""
        weights = {name: self.checksums[name] for name in files}
        text = json.dumps({**facts, "weights": weights}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a bundle and check that its files are there, in full size.

    Raises:
        BundleError: the manifest cannot be read, or a file is missing or truncated.
        NewerFormat: the manifest has a format this version does not know.
    """
    file = folder / MANIFEST
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        number = int(fields.get("format", 0))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise BundleError(f"{file} cannot be read ({error}): install it again.") from error
    if number > MANIFEST_FORMAT:
        raise NewerFormat(
            f"{file} has format {number}; this version reads up to {MANIFEST_FORMAT}: update "
            "reelseek."
        )
    try:
        manifest = Manifest(
            path=folder,
            name=str(fields["name"]),
            version=str(fields["version"]),
            kind=str(fields["kind"]),
            title=str(fields["title"]),
            checksums={name: str(facts["sha256"]) for name, facts in fields["files"].items()},
            fields=fields,
        )
        sizes = {str(name): int(facts["bytes"]) for name, facts in fields["files"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise incomplete(folder, error) from error
    for name, size in sizes.items():
        if Path(name).name != name or "\\" in name:
            raise BundleError(f"{file} lists {name!r}, which is no file beside it: remove it.")
        if not (folder / name).is_file() or (folder / name).stat().st_size != size:
            raise BundleError(
                f"{folder / name} is missing or cut short: install the model "
                f"{manifest.name!r} again."
            )
    return manifest


def write_manifest(folder: Path, fields: Mapping[str, Any]) -> None:
    """Write a manifest over the files that lie in a folder, with their sizes and checksums."""
    files = {}
    for file in sorted(folder.iterdir()):
        if file.name != MANIFEST:
            with file.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
            files[file.name] = {"bytes": file.stat().st_size, "sha256": digest}
    whole = {"format": MANIFEST_FORMAT, **fields, "files": files}
    with (folder / MANIFEST).open("w", encoding="utf-8") as target:
        target.write(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")
        target.flush()
        os.fsync(target.fileno())


def incomplete(folder: Path, error: Exception) -> BundleError:
    """The error for a manifest that lacks what its kind of bundle needs."""
    return BundleError(f"{folder / MANIFEST} is incomplete ({error}): install it again.")
