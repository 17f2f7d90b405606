"""What can be wrong inside a weights file; `reader` turns it into an error for the user."""

from __future__ import annotations

SAVE_AGAIN = "save its state dict again with torch.save or as safetensors"
FETCH_AGAIN = "fetch it again"


class Forbidden(Exception):
    """Something that no honest weights file needs; `str()` completes "the file ..."."""


class Malformed(Exception):
    """Bytes that make no sense; `str()` completes "because ..."."""

    def __init__(self, reason: str, advice: str = FETCH_AGAIN) -> None:
        super().__init__(reason)
        self.advice = advice


def shown(name: str) -> str:
    """A name from a file, safe to print: quoted, escaped, and cut to 80 characters."""
    return ascii(name if len(name) <= 80 else name[:77] + "...")
