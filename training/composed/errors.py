"""Errors of the recipe that end with one sentence."""

from __future__ import annotations

from storage.errors import ReelseekError


class ComposingError(ReelseekError):
    """The photos or the encoder cannot be made into tapes."""
