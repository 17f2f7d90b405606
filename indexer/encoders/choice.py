"""Which towers index: those that were named, else those that made the archive."""

from __future__ import annotations

from indexer.encoders.base import ImageEncoder
from indexer.listening import SoundEncoder
from storage.bundles import (
    DEFAULT_ENCODER,
    DEFAULT_SOUND,
    EncoderBundle,
    SoundBundle,
    load_encoder,
    load_sound,
    load_stamped_encoder,
    load_stamped_sound,
)
from storage.errors import BundleError
from storage.formats import Stamps
from storage.records import EncoderStamp

NO_SOUND = "none"


def choose_pictures(
    name: str | None, fit: str | None, archive: EncoderStamp | None
) -> EncoderBundle:
    """The encoder to index with.

    Arguments:
        name: of a bundle; None for the one that made the archive, and `lite` for a new archive.
        fit: how pictures are prepared; None for the archive's way, else the encoder's own.
        archive: what made the archive; None for a new one.

    Raises:
        BundleError: there is no such bundle, or it is damaged.
    """
    if archive is None:
        return load_encoder(name, fit) if name else load_encoder(fit=fit)
    known = archive.encoder_id.partition("+")[0].rpartition("-")[0]
    if name in (None, known) and fit is None:
        return load_stamped_encoder(archive)
    return load_encoder(name or known, fit)


def choose_sound(
    name: str | None, pictures: EncoderBundle, archive: Stamps | None
) -> SoundBundle | None:
    """The sound tower to index with; None for no sound.

    Arguments:
        name: of a bundle, or "none"; None for what made the archive, and in a new archive for
            `lite-sound` beside the encoder `lite`, no sound beside any other.
        pictures: the encoder to index with.
        archive: what made the archive; None for a new one.

    Raises:
        BundleError: there is no such bundle, or it is damaged.
    """
    if name is not None:
        return None if name == NO_SOUND else load_sound(name)
    if archive is None:
        return load_sound(DEFAULT_SOUND) if pictures.manifest.name == DEFAULT_ENCODER else None
    _, heard_with = archive
    return load_stamped_sound(heard_with) if heard_with else None


def picture_encoder(bundle: EncoderBundle, precision: str = "auto") -> ImageEncoder:
    """The picture tower of a bundle; weights are loaded when they are first needed.

    Raises:
        BundleError: a precision (one of `indexer.encoders.clip.PRECISIONS`) other than "auto" for
            an ONNX graph, such as lite's, which has its own.
    """
    if bundle.image.network == "onnx":
        if precision != "auto":
            raise BundleError(
                f"The encoder {bundle.manifest.name!r} has a precision of its own: leave "
                "--precision out."
            )
        from indexer.encoders.lite import LiteImageEncoder

        return LiteImageEncoder(bundle)
    from indexer.encoders.clip import ClipImageEncoder

    return ClipImageEncoder(bundle, precision)


def sound_encoder(bundle: SoundBundle) -> SoundEncoder:
    """The sound tower of a bundle; weights are loaded when they are first needed."""
    if bundle.network == "onnx":
        from indexer.encoders.lite_sound import LiteSoundEncoder

        return LiteSoundEncoder(bundle)
    from indexer.encoders.panns import PannsEncoder

    return PannsEncoder(bundle.weights, bundle.stamp)
