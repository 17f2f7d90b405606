"""SMPTE timecode: the time that a tape carries, counted in frames of a nominal rate.

``HH:MM:SS:FF`` counts every frame. ``HH:MM:SS;FF`` (drop-frame, for 29.97 and 59.94 frames per
second) skips the first two or four frame *numbers* of each minute but every tenth, so that it keeps
step with the clock; no frame is lost. (SMPTE ST 12-1.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_TIMECODE = re.compile(r"(\d{1,2}):([0-5]\d):([0-5]\d)([:;.,])(\d{2,3})")
_DROP_MARKS = ";.,"


@dataclass(frozen=True)
class Timecode:
    """A position on a tape: frames since 00:00:00:00, and how they are written."""

    frames: int
    nominal_rate: int
    """Frame numbers per second: 24, 25, 30, 60 …"""
    drop_frame: bool = False

    @classmethod
    def parse(cls, text: str, frame_rate: Fraction) -> Timecode:
        """Read ``HH:MM:SS:FF``, or ``HH:MM:SS;FF`` for drop-frame.

        Arguments:
            text: the timecode.
            frame_rate: of the film; 30000/1001 counts as 30.

        Raises:
            ValueError: not a timecode, or one that does not exist at this rate.
        """
        match = _TIMECODE.fullmatch(text.strip())
        nominal = round(frame_rate)
        if match is None or nominal < 1:
            raise ValueError(f"{text!r} is no timecode such as 01:00:00:00")
        hours, minutes, seconds, frame = (int(match[group]) for group in (1, 2, 3, 5))
        drop = match[4] in _DROP_MARKS
        if drop and not can_drop(nominal):
            raise ValueError(f"{text!r} is drop-frame, which {nominal} frames per second has not")
        skipped = _skipped_per_minute(nominal) if drop else 0
        total_minutes = 60 * hours + minutes
        if frame >= nominal or (minutes % 10 and not seconds and frame < skipped):
            raise ValueError(f"{text!r} does not exist at {nominal} frames per second")
        frames = (60 * total_minutes + seconds) * nominal + frame
        return cls(frames - skipped * (total_minutes - total_minutes // 10), nominal, drop)

    def __str__(self) -> str:
        number = self.frames
        if self.drop_frame:
            number += self._numbers_skipped()
        seconds, frame = divmod(number, self.nominal_rate)
        hours, minutes = seconds // 3600 % 24, seconds // 60 % 60
        mark = ";" if self.drop_frame else ":"
        return f"{hours:02}:{minutes:02}:{seconds % 60:02}{mark}{frame:02}"

    def after(self, time_s: float, frame_rate: Fraction) -> Timecode:
        """The timecode of the frame on display `time_s` seconds after this one.

        Arguments:
            time_s: seconds, 0 or more; a time a hair before a frame counts as that frame.
            frame_rate: the true rate, such as 30000/1001.
        """
        passed = int(time_s * float(frame_rate) + 1e-3)
        return Timecode(self.frames + passed, self.nominal_rate, self.drop_frame)

    def _numbers_skipped(self) -> int:
        """Frame numbers left out before this frame."""
        skipped = _skipped_per_minute(self.nominal_rate)
        minute = 60 * self.nominal_rate - skipped
        tens, rest = divmod(self.frames, 10 * minute + skipped)
        in_ten = max(0, rest - skipped) // minute  # whole dropping minutes within the ten
        return skipped * (9 * tens + in_ten)


def can_drop(nominal_rate: int) -> bool:
    """Whether drop-frame counting exists at this rate: multiples of 30."""
    return nominal_rate % 30 == 0


def _skipped_per_minute(nominal_rate: int) -> int:
    return nominal_rate // 15
