"""Packages that only bringing weights needs, named before they are missed."""

from __future__ import annotations

from importlib.util import find_spec

from storage.errors import not_installed
from weights.families import CNN14, QD_DETR

EXTRAS = {
    "clip": ("torch", "transformers", "onnx", "onnxscript"),
    "panns": ("torch", "librosa"),
    "qd-detr": ("torch", "onnx", "onnxscript"),
}
"""As in setup.cfg: what each extra brings."""

_OTHER_FAMILIES = {CNN14: "panns", QD_DETR: "qd-detr"}


def extra_of(word: str) -> str:
    """The extra that a word of `--as` needs: encoders need "clip"."""
    return _OTHER_FAMILIES.get(word, "clip")


def require_extra(extra: str, to_do: str) -> None:
    """Make sure that the packages of an extra are installed.

    Arguments:
        to_do: completes "To …", e.g. "import CLIP".

    Raises:
        BundleError: one is missing; says what to install.
    """
    missing = [package for package in EXTRAS[extra] if find_spec(package) is None]
    if missing:
        raise not_installed(to_do, ", ".join(missing), extra)
