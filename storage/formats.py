"""The number of the archive's format, the stamps that go with it, and the refusal of what is newer.

Ledger (settings) and view (CURRENT) both say them. An archive has the lowest number that describes
it, so that an older reelseek goes on reading what it can read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from storage import encoding
from storage.errors import NewerFormat
from storage.records import EncoderStamp, SoundStamp

PICTURE_FORMAT = 1
"""Archives that keep no sound."""

SOUND_FORMAT = 2
"""Archives that keep sound; format 1 in everything else."""

TAGLESS_FORMAT = 3
"""Archives whose sound tower gives vectors and names nothing, such as lite-sound's: format 2
without the column of tags."""

FORMAT = TAGLESS_FORMAT
"""The highest that we know; raised by a change that an older reelseek would misread."""

Stamps = tuple[EncoderStamp, SoundStamp | None]
"""What made an archive: its encoder, and its sound tower if it keeps sound."""


def check_format(archive: Path, number: int) -> None:
    """NewerFormat if the archive's format number is beyond what we know."""
    if number > FORMAT:
        raise NewerFormat(
            f"{archive} was made by a newer reelseek (format {number}; this one reads up to "
            f"{FORMAT}): update reelseek."
        )


def stamps_to_json(stamp: EncoderStamp, sound: SoundStamp | None) -> dict[str, Any]:
    """`format` and `encoder`, and `sound` where sound is kept."""
    if sound is None:
        return {"format": PICTURE_FORMAT, "encoder": encoding.stamp_to_json(stamp)}
    return {
        "format": SOUND_FORMAT if sound.tags else TAGLESS_FORMAT,
        "encoder": encoding.stamp_to_json(stamp),
        "sound": encoding.stamp_to_json(sound),
    }


def stamps_from_json(fields: Any) -> Stamps:
    """The stamps of `stamps_to_json`; KeyError, TypeError or BadRecord if a field is missing."""
    stamp = encoding.stamp_from_json(fields["encoder"])
    if fields["format"] < SOUND_FORMAT:
        return stamp, None
    return stamp, encoding.sound_stamp_from_json(fields["sound"])
