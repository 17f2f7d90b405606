"""The number of the archive's format, and the refusal of what is newer."""

from __future__ import annotations

from pathlib import Path

from storage.errors import NewerFormat

FORMAT = 1
"""Of ledger and view together; raised by a change that an older reelseek would misread."""


def check_format(archive: Path, number: int) -> None:
    """NewerFormat if the archive's format number is beyond what we know."""
    if number > FORMAT:
        raise NewerFormat(
            f"{archive} was made by a newer reelseek (format {number}; this one reads up to "
            f"{FORMAT}): update reelseek."
        )
