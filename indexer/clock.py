"""Presentation time: what a stream's timestamps say, made to move forward.

Times are the stream's own timestamps, never frame numbers. Three things go wrong with them in
real archives, and each has one rule here:

- a frame without a timestamp, or with one that does not move forward (damaged files, streams that
  were glued together): it is shown when the frame before it ends; a single frame that is late by
  no more than one goes half a frame after it, so that those behind it keep their own times;
- a transport or program stream whose clock jumps by more than ten seconds (the same limit as
  ffmpeg's ``dts_delta_threshold``): the film goes on without the jump;
- a first frame before zero: times are counted from it, so that none is negative.
"""

from __future__ import annotations

GAP_S = 1.0
"""Time without a picture that is worth a note."""

JUMP_S = 10.0
"""A step of a broadcast clock larger than this is a break in the clock (ffmpeg's default)."""

FALLBACK_RATE = 25.0
"""Frames per second where neither the stream nor its frames say anything."""


class StampChooser:
    """Which of a frame's two timestamps to trust: libav's ``guess_correct_pts`` (decode.c).

    Presentation stamps, as long as they run backwards no more often than decoding stamps do. Some
    AVI files with packed B-frames have them in the wrong order.
    """

    def __init__(self) -> None:
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._faulty_pts = 0
        self._faulty_dts = 0

    def choose(self, pts: int | None, dts: int | None) -> int | None:
        """The stamp of the next frame, in the stream's units; None if it has neither."""
        if dts is not None:
            self._faulty_dts += self._last_dts is not None and dts <= self._last_dts
            self._last_dts = dts
        elif pts is not None:
            self._last_dts = pts
        if pts is not None:
            self._faulty_pts += self._last_pts is not None and pts <= self._last_pts
            self._last_pts = pts
        elif dts is not None:
            self._last_pts = dts
        if pts is not None and (dts is None or self._faulty_pts <= self._faulty_dts):
            return pts
        return dts


class PresentationClock:
    """Turns a stream's timestamps into seconds that always move forward."""

    def __init__(self, frame_rate: float, zero_s: float, may_jump: bool) -> None:
        """
        Arguments:
            frame_rate: of the stream, in frames per second; 0 if unknown.
            zero_s: the stream time that is shown as 0.
            may_jump: whether the container's clock is known to break (transport streams).
        """
        self.end_s = 0.0
        """When the display of the last frame ends; 0 before the first frame."""
        self.repaired_frames = 0
        """Frames whose timestamp was missing or did not move forward."""
        self.jumps = 0
        """Breaks of a broadcast clock that were taken out."""
        self.gaps = 0
        """Times longer than a second for which no picture was there."""
        self.first_gap_s: tuple[float, float] | None = None
        self._frame_s = 1.0 / (frame_rate or FALLBACK_RATE)
        self.zero_s = zero_s
        """The stream time that is shown as 0; it moves with breaks that are taken out."""
        self._may_jump = may_jump
        self._last_s: float | None = None
        self._trusted = False
        """Whether the last frame had a usable time of its own."""

    def time(self, stamp_s: float | None, duration_s: float) -> float:
        """When the next frame is shown.

        Arguments:
            stamp_s: the frame's own timestamp in stream seconds, None if it has none.
            duration_s: how long the frame says that it is shown; 0 if it does not say.
        """
        if self._last_s is None:
            time_s = self._first(stamp_s)
        else:
            time_s = self._following(stamp_s)
            self._note_gap(time_s)
        self._last_s = time_s
        self.end_s = round(time_s + (duration_s if duration_s > 0.0 else self._frame_s), 9)
        return time_s

    def _note_gap(self, time_s: float) -> None:
        if time_s - self.end_s > GAP_S:
            self.gaps += 1
            self.first_gap_s = self.first_gap_s or (self.end_s, time_s)

    def _first(self, stamp_s: float | None) -> float:
        if stamp_s is None:
            self.repaired_frames += 1
            stamp_s = self.zero_s
        self.zero_s = min(self.zero_s, stamp_s)
        return self._since_zero(stamp_s)

    def _since_zero(self, stamp_s: float) -> float:
        return round(stamp_s - self.zero_s, 9)  # no 0.07999999999999996

    def _following(self, stamp_s: float | None) -> float:
        assert self._last_s is not None
        if stamp_s is None:
            self.repaired_frames += 1
            return self.end_s
        time_s = self._since_zero(stamp_s)
        if self._may_jump and abs(time_s - self._last_s) > JUMP_S:
            self.jumps += 1
            self.zero_s += time_s - self.end_s
            return self.end_s
        if time_s > self._last_s:
            self._trusted = True
            return time_s
        self.repaired_frames += 1
        slipped_s = self._last_s - time_s
        if self._trusted and slipped_s < 1.5 * self._frame_s:
            self._trusted = False
            return round(self._last_s + 0.5 * self._frame_s, 9)
        return self.end_s
