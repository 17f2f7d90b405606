"""The text side of the encoder that made an archive."""

from __future__ import annotations

from search.text.base import TextEncoder
from storage.bundles import EncoderBundle


def text_encoder(bundle: EncoderBundle) -> TextEncoder:
    """The text tower of a bundle, loaded.

    Raises:
        BundleError: a file of the bundle cannot be loaded.
    """
    if bundle.image.network == "onnx":
        from search.text.lite import LiteTextEncoder

        return LiteTextEncoder(bundle)
    from search.text.clip import ClipTextEncoder

    return ClipTextEncoder(bundle)
