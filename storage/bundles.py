"""Model bundles: encoders (pictures and words), sound towers and moment heads, found by name.

The default encoder, `lite`, ships inside this package. What a user brings (`reelseek models
import`) lies in the models folder: $REELSEEK_MODELS, or reelseek/models among the user's data.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.errors import BundleError
from storage.manifest import MANIFEST, Manifest, incomplete, read_manifest
from storage.records import CLIP_S, EncoderStamp, SoundStamp

SHIPPED = Path(__file__).parent / "bundles"
DEFAULT_ENCODER = "lite"
DEFAULT_SOUND = "lite-sound"
"""What a new archive of the default encoder hears with."""
SHIPPED_NAMES = (DEFAULT_ENCODER, DEFAULT_SOUND, "lite-moments")

CONFIG = "config.json"
"""Of a Hugging Face folder, in a bundle whose picture tower transformers loads."""

_KINDS = {"encoder": "an encoder", "sound": "a sound tower", "head": "a moment head"}

FITS = ("squash", "centre-crop", "letterbox")
"""How a film's picture is brought to the network's square: see `indexer.frame`."""


@dataclass(frozen=True)
class ImageTower:
    """How pictures are prepared for the image network, and what runs it."""

    file: Path
    """An ONNX graph, or model.safetensors of a Hugging Face folder."""
    network: str
    """"onnx", or "transformers" for a folder that transformers loads."""
    width: int
    height: int
    fit: str
    """One of FITS: the way official code, or the training of this network, does it."""
    input: str = ""
    """ONNX: name of the input, uint8 (n, height, width, 3), RGB."""
    output: str = ""
    """ONNX: name of the output, float32 (n, dim), unit length."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """transformers: taken off each channel (red, green, blue) of a picture in 0…1."""
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """transformers: what the rest is divided by."""


@dataclass(frozen=True)
class TextTower:
    """How a sentence is cut into tokens, and how to call the text network (an ONNX graph)."""

    file: Path
    tokenizer: Path | None
    """A tokenizer.json; None for OpenAI's byte-pair vocabulary, which ships with reelseek."""
    max_tokens: int
    """Longer sentences are refused."""
    pooled: str
    """Name of the output for the whole sentence: float32 (n, dim), unit length."""
    tokens: str
    """Name of the output for each token: float32 (n, tokens, width), not normalised."""
    width: int
    """Length of a token's vector."""
    word_tokens: int | None = None
    """How many tokens a moment head sees at most; None for all of them."""
    pad_to: int | None = None
    """The network was trained on exactly so many tokens (SigLIP: 64); None for any number."""
    sentence: str | None = None
    """Name of the output for the whole sentence before it is projected to pictures, which a sound
    tower may read: float32 (n, width of its own), unit length; None where there is none."""


@dataclass(frozen=True)
class EncoderBundle:
    """A picture tower and its text tower."""

    manifest: Manifest
    languages: tuple[str, ...]
    dim: int
    image: ImageTower
    text: TextTower
    fit: str
    """How pictures are prepared here; `image.fit` unless the user chose another."""

    @property
    def stamp(self) -> EncoderStamp:
        """What an archive remembers of the encoder that made its vectors."""
        fields = self.manifest.fields
        facts = {"dim": self.dim, "image": dict(fields["image"]), "text": fields["text"]}
        encoder_id = self.manifest.model_id
        if self.fit != self.image.fit:
            facts["image"]["fit"] = self.fit
            encoder_id += f"+{self.fit}"
        files = {self.image.file.name}
        # A text graph is made of weights that are there as well; another version of torch writes
        # other bytes for the same numbers, and that must not cost an archive its encoder.
        files.add(self.text.file.name if self.image.network == "onnx" else CONFIG)
        if self.text.tokenizer is not None:
            files.add(self.text.tokenizer.name)
        return EncoderStamp(
            encoder_id, self.manifest.fingerprint(facts, tuple(sorted(files))), self.dim
        )


@dataclass(frozen=True)
class SoundWords:
    """The text side of a sound tower: from an encoder's sentence vector into the sound's space."""

    file: Path
    """An ONNX graph."""
    input: str
    """Name of its input: float32 (n, width), `TextTower.sentence` of the encoder named below."""
    output: str
    """Name of its output: float32 (n, dim of the sound tower), unit length."""
    encoder: str
    """Name of the encoder whose text tower it was trained with."""
    text_sha256: str
    """Of that encoder's text file: sentence vectors of another one mean something else."""


@dataclass(frozen=True)
class SoundCalibration:
    """Turns the cosine of a sentence and a clip's sound into the probability that it is heard.

    The log-odds are a weighted sum of the cosine and of two numbers that the sentence alone
    decides, measured on a bank of sounds: the mean of its cosines to all of them, and the mean to
    the `nearest` ones. A sentence that is near everything, or near nothing, is trusted less.
    """

    bank: Path
    """Sound vectors, float16 (rows, dim), little-endian, without a header."""
    nearest: int
    """How many of the bank's highest cosines are averaged."""
    bias: float
    cosine: float
    bank_mean: float
    bank_nearest: float


@dataclass(frozen=True)
class SoundBundle:
    """A sound tower: PANNs Cnn14, or a network whose vectors share a space with sentences."""

    manifest: Manifest
    weights: Path
    dim: int
    tags: int
    """How many kinds of sound it names; 0 for one that has `words` instead."""
    network: str = "panns"
    """"panns" for the tensors of Cnn14, or "onnx" for a graph with its front end inside."""
    input: str = ""
    """ONNX: name of the input, float32 (n, 64000), mono at 32 kHz."""
    output: str = ""
    """ONNX: name of the output, float32 (n, dim), unit length."""
    words: SoundWords | None = None
    calibration: SoundCalibration | None = None
    """Where there are words: how sure a cosine is."""

    @property
    def stamp(self) -> SoundStamp:
        """What an archive remembers of the tower that made its sound vectors."""
        facts = {"dim": self.dim, "tags": self.tags}
        print_ = self.manifest.fingerprint(facts, (self.weights.name,))
        return SoundStamp(self.manifest.model_id, print_, self.dim, self.tags)


@dataclass(frozen=True)
class HeadBundle:
    """A moment head: QD-DETR as an ONNX graph."""

    manifest: Manifest
    file: Path
    picture_dim: int
    """Length of a clip's picture vector, without the two numbers of its place in time (TEF)."""
    sound_dim: int
    """The same of its sound vector; 0 where the head does without sound."""
    text_dim: int
    """Length of a token's vector."""
    clip_s: float
    """Seconds of film in a clip."""
    tower: str | None
    """The picture tower that it was trained with, e.g. "ViT-B/32"; None where unknown."""
    missing_features: str | None
    """Features of its input that reelseek does not compute, e.g. "SlowFast (2304 numbers)"."""
    encoder_fingerprint: str | None = None
    """Of the only encoder that it fits; None for a head that fits any of the tower's make."""
    bank: Path | None = None
    """Lite head: vectors of photos and sentences that similarities are compared with."""
    scorer: Path | None = None
    """Lite head: what weighs the spans that it proposes."""


def models_folder() -> Path:
    """Where brought models lie: $REELSEEK_MODELS, or reelseek/models among the user's data."""
    if named := os.environ.get("REELSEEK_MODELS"):
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "reelseek" / "models"


def installed() -> list[Path]:
    """Folders of all bundles, shipped ones first, then brought ones, by name."""
    folders: list[Path] = []
    for place in (SHIPPED, models_folder()):
        if place.is_dir():
            found = (folder for folder in place.iterdir() if (folder / MANIFEST).exists())
            folders += sorted(found, key=lambda folder: folder.name)
    return folders


def find(name: str) -> Path:
    """The folder of a bundle.

    Raises:
        BundleError: there is none of that name.
    """
    for folder in installed():
        if folder.name == name:
            return folder
    if name in SHIPPED_NAMES:
        raise BundleError(
            f"The model {name!r} belongs to reelseek, but is not in it: install reelseek again."
        )
    names = ", ".join(folder.name for folder in installed())
    raise BundleError(
        f"There is no model named {name!r} (there are: {names}): bring it with `reelseek models "
        "get` or `reelseek models import`, see `reelseek models list`."
    )


def load_encoder(name: str = DEFAULT_ENCODER, fit: str | None = None) -> EncoderBundle:
    """Read the manifest of an encoder; `fit` chooses another preparation of its pictures.

    Raises:
        BundleError: no such bundle, no encoder, an unreadable manifest, a missing or truncated
            file, or a fit that its network was not made for.
        NewerFormat: the manifest has a format this version does not know.
    """
    bundle = encoder_of(_read(name, "encoder"), fit)
    if bundle.fit != bundle.image.fit and bundle.image.network == "onnx":
        raise BundleError(
            f"The encoder {name!r} was trained on pictures prepared by {bundle.image.fit}: "
            "leave --fit out."
        )
    return bundle


def encoder_of(manifest: Manifest, fit: str | None = None) -> EncoderBundle:
    """What the manifest of an encoder says, in whichever folder it lies.

    Raises:
        BundleError: it is another kind of model, or the manifest lacks something.
    """
    _require_kind(manifest, manifest.path.name, "encoder")
    try:
        return _encoder(manifest, fit)
    except (KeyError, TypeError, ValueError) as error:
        raise incomplete(manifest.path, error) from error


def load_stamped_encoder(stamp: EncoderStamp) -> EncoderBundle:
    """The encoder that an archive names, prepared in the way that it names.

    Raises as `load_encoder`. Whether the weights are the same is for the caller to compare.
    """
    model_id, _, fit = stamp.encoder_id.partition("+")
    return load_encoder(_named_by_archive(model_id), fit or None)


def load_stamped_sound(stamp: SoundStamp) -> SoundBundle:
    """The sound tower that an archive names; raises as `load_encoder`."""
    return load_sound(_named_by_archive(stamp.encoder_id))


def load_sound(name: str) -> SoundBundle:
    """Read the manifest of a sound tower; raises as `load_encoder`."""
    manifest = _read(name, "sound")
    try:
        return _sound(manifest)
    except (KeyError, TypeError, ValueError) as error:
        raise incomplete(manifest.path, error) from error


def load_head(name: str) -> HeadBundle:
    """Read the manifest of a moment head; raises as `load_encoder`."""
    manifest = _read(name, "head")
    try:
        head = manifest.fields["head"]
        return HeadBundle(
            manifest=manifest,
            file=manifest.path / head["file"],
            picture_dim=int(head["picture_dim"]),
            sound_dim=int(head["sound_dim"]),
            text_dim=int(head["text_dim"]),
            clip_s=float(head.get("clip_s", CLIP_S)),
            tower=head.get("tower"),
            missing_features=head.get("missing_features"),
            encoder_fingerprint=head.get("encoder_fingerprint"),
            bank=manifest.path / head["bank"] if "bank" in head else None,
            scorer=manifest.path / head["scorer"] if "scorer" in head else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise incomplete(manifest.path, error) from error


def _named_by_archive(model_id: str) -> str:
    """The name of the bundle that made an archive, which may be gone by now."""
    name = model_id.rpartition("-")[0]
    if name not in {folder.name for folder in installed()}:
        raise BundleError(
            f"The archive was made with the model {model_id}, which is not here: bring the same "
            f"weights again under the name {name!r} (`reelseek models get` or `models import`), or "
            "index into a new --db."
        )
    return name


def _read(name: str, kind: str) -> Manifest:
    manifest = read_manifest(find(name))
    _require_kind(manifest, name, kind)
    return manifest


def _require_kind(manifest: Manifest, name: str, kind: str) -> None:
    if manifest.kind != kind:
        raise BundleError(
            f"The model {name!r} ({manifest.title}) is {_KINDS.get(manifest.kind, manifest.kind)}, "
            f"not {_KINDS[kind]}: `reelseek models list` shows what there is."
        )


def _encoder(manifest: Manifest, fit: str | None) -> EncoderBundle:
    fields = manifest.fields
    image = _image(manifest.path, fields["image"])
    text = fields["text"]
    tokenizer = text.get("tokenizer")
    dim = int(fields["dim"])
    return EncoderBundle(
        manifest=manifest,
        languages=tuple(fields["languages"]),
        dim=dim,
        image=image,
        text=TextTower(
            file=manifest.path / text["file"],
            tokenizer=None if tokenizer is None else manifest.path / tokenizer,
            max_tokens=int(text["max_tokens"]),
            pooled=text["pooled"],
            tokens=text["tokens"],
            width=int(text.get("width", dim)),
            word_tokens=text.get("word_tokens"),
            pad_to=text.get("pad_to"),
            sentence=text.get("sentence"),
        ),
        fit=fit or image.fit,
    )


def _sound(manifest: Manifest) -> SoundBundle:
    folder, sound = manifest.path, manifest.fields["sound"]
    network = sound.get("network", "panns")
    if network not in ("panns", "onnx"):
        raise ValueError(f"the network {network!r} is not known")
    words, calibration = sound.get("words"), sound.get("calibration")
    if network == "onnx" and (words is None or calibration is None):
        raise ValueError("an ONNX sound tower needs words and their calibration")
    return SoundBundle(
        manifest=manifest,
        weights=folder / sound["file"],
        dim=int(sound["dim"]),
        tags=int(sound["tags"]),
        network=network,
        input=sound["input"] if network == "onnx" else "",
        output=sound["output"] if network == "onnx" else "",
        words=words
        and SoundWords(
            file=folder / words["file"],
            input=words["input"],
            output=words["output"],
            encoder=words["encoder"],
            text_sha256=words["text_sha256"],
        ),
        calibration=calibration
        and SoundCalibration(
            bank=folder / calibration["bank"],
            nearest=int(calibration["nearest"]),
            **{
                weight: float(calibration[weight])
                for weight in ("bias", "cosine", "bank_mean", "bank_nearest")
            },
        ),
    )


def _image(folder: Path, image: dict[str, Any]) -> ImageTower:
    if image["fit"] not in FITS or image["channels"] != "rgb":
        raise ValueError(f"fit {image['fit']!r} with channels {image['channels']!r} is not known")
    red, green, blue = image.get("mean", (0.0, 0.0, 0.0))
    std_red, std_green, std_blue = image.get("std", (1.0, 1.0, 1.0))
    return ImageTower(
        file=folder / image["file"],
        network=image.get("network", "onnx"),
        width=int(image["width"]),
        height=int(image["height"]),
        fit=image["fit"],
        input=image.get("input", ""),
        output=image.get("output", ""),
        mean=(float(red), float(green), float(blue)),
        std=(float(std_red), float(std_green), float(std_blue)),
    )
