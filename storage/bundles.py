"""Model bundles: folders of weights with a manifest that says what they are.

A bundle is `manifest.json` and the files it lists. The manifest's fields are described in
docs/reference/bundles.md. The default, `lite`, ships inside this package.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.errors import BundleError, NewerFormat
from storage.records import EncoderStamp

MANIFEST_FORMAT = 1
SHIPPED = Path(__file__).parent / "bundles"
DEFAULT_BUNDLE = "lite"


@dataclass(frozen=True)
class ImageTower:
    """How pictures are prepared for the image network, and how to call it."""

    file: Path
    input: str
    """Name of the input: uint8 (n, height, width, 3), RGB."""
    output: str
    """Name of the output: float32 (n, dim), unit length."""
    width: int
    height: int


@dataclass(frozen=True)
class TextTower:
    """How a sentence is cut into tokens, and how to call the text network."""

    file: Path
    tokenizer: Path
    max_tokens: int
    pooled: str
    """Name of the output for the whole sentence: float32 (n, dim), unit length."""
    tokens: str
    """Name of the output for each token: float32 (n, tokens, dim), not normalised."""


@dataclass(frozen=True)
class Bundle:
    """An encoder bundle whose manifest was read and whose files are all there."""

    path: Path
    name: str
    version: str
    title: str
    languages: tuple[str, ...]
    image: ImageTower
    text: TextTower
    stamp: EncoderStamp
    """What an archive remembers of the encoder that made its vectors."""
    checksums: dict[str, str]
    """File name to SHA-256 in hex, as the manifest states them."""

    def verify(self) -> None:
        """Compare every file with the manifest's checksum.

        Raises:
            BundleError: a file is not what the manifest says.
        """
        for name, expected in self.checksums.items():
            with (self.path / name).open("rb") as file:
                actual = hashlib.file_digest(file, "sha256").hexdigest()
            if actual != expected:
                raise BundleError(
                    f"{self.path / name} is damaged (its checksum differs from manifest.json): "
                    f"install reelseek, or the bundle {self.name!r}, again."
                )


def load_bundle(name: str = DEFAULT_BUNDLE) -> Bundle:
    """Read the manifest of a shipped bundle and check that its files are there, in full size.

    Raises:
        BundleError: no such bundle, an unreadable manifest, or a missing or truncated file.
        NewerFormat: the manifest has a format this version does not know.
    """
    path = SHIPPED / name
    manifest_file = path / "manifest.json"
    try:
        manifest = json.loads(manifest_file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(
            f"There is no encoder named {name!r}: choose one of {', '.join(shipped_names())}."
        ) from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{manifest_file} cannot be read ({error}): install it again.") from error
    if manifest.get("format", 0) > MANIFEST_FORMAT:
        raise NewerFormat(
            f"{manifest_file} has format {manifest['format']}; this version reads up to "
            f"{MANIFEST_FORMAT}: update reelseek."
        )
    try:
        bundle = _parse(path, manifest)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{manifest_file} is incomplete ({error}): install it again.") from error
    for file_name, facts in manifest["files"].items():
        file = path / file_name
        if not file.is_file() or file.stat().st_size != facts["bytes"]:
            raise BundleError(f"{file} is missing or cut short: install reelseek again.")
    return bundle


def shipped_names() -> list[str]:
    """Names of the bundles inside the package."""
    return sorted(
        folder.name for folder in SHIPPED.iterdir() if (folder / "manifest.json").exists()
    )


def _parse(path: Path, manifest: dict[str, Any]) -> Bundle:
    image, text = manifest["image"], manifest["text"]
    if (image["fit"], image["channels"]) != ("squash", "rgb"):
        raise ValueError(f"fit {image['fit']!r} with channels {image['channels']!r} is not known")
    checksums = {name: str(facts["sha256"]) for name, facts in manifest["files"].items()}
    return Bundle(
        path=path,
        name=manifest["name"],
        version=manifest["version"],
        title=manifest["title"],
        languages=tuple(manifest["languages"]),
        image=ImageTower(
            path / image["file"], image["input"], image["output"], image["width"], image["height"]
        ),
        text=TextTower(
            path / text["file"],
            path / text["tokenizer"],
            text["max_tokens"],
            text["pooled"],
            text["tokens"],
        ),
        stamp=EncoderStamp(
            encoder_id=f"{manifest['name']}-{manifest['version']}",
            fingerprint=_fingerprint(manifest, checksums),
            dim=manifest["dim"],
        ),
        checksums=checksums,
    )


def _fingerprint(manifest: dict[str, Any], checksums: dict[str, str]) -> str:
    """Digest of all that a vector depends on: weights, and how pictures and words are prepared."""
    image, text = manifest["image"], manifest["text"]
    weights = {name: checksums[name] for name in (image["file"], text["file"], text["tokenizer"])}
    facts = {"dim": manifest["dim"], "image": image, "text": text, "weights": weights}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
