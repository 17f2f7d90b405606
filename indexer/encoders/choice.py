"""Which towers index: those that were named, else those that made the archive."""

from __future__ import annotations

from indexer.encoders.base import ImageEncoder
from indexer.listening import SoundEncoder
from storage.bundles import (
    EncoderBundle,
    SoundBundle,
    load_encoder,
    load_sound,
    load_stamped_encoder,
    load_stamped_sound,
)
from storage.errors import BundleError
from storage.records import EncoderStamp, SoundStamp

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


def choose_sound(name: str | None, archive: SoundStamp | None) -> SoundBundle | None:
    """The sound tower to index with; None for no sound.

    Arguments:
        name: of a bundle, or "none"; None for the one that made the archive, none if it is new.
        archive: what made the archive; None for a new one, and for one without sound.

    Raises:
        BundleError: there is no such bundle, or it is damaged.
    """
    if name is None and archive is not None:
        return load_stamped_sound(archive)
    return None if name in (None, NO_SOUND) else load_sound(name)


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
    from indexer.encoders.panns import PannsEncoder

    return PannsEncoder(bundle.weights, bundle.stamp)
