"""Where one shot ends and the next begins: PySceneDetect's detectors, fed frame by frame.

The detectors are PySceneDetect's own classes (scenedetect 0.7); only the comparison of two frames
is done in fewer steps, with the same numbers coming out (`_QuickScore`). The frames come from the
one decode pass, with their presentation times, so variable frame rates need no special care.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect.common import FrameTimecode, Timecode  # type: ignore[import-untyped]
from scenedetect.detectors import (  # type: ignore[import-untyped]
    AdaptiveDetector,
    ContentDetector,
)

_TICKS_PER_S = 1_000_000
_TICK = Fraction(1, _TICKS_PER_S)
_RATE_IF_UNKNOWN = Fraction(25)


@dataclass(frozen=True)
class SceneSettings:
    """Which detector, and how easily it cuts."""

    detector: str
    """``content`` (threshold on the change) or ``adaptive`` (change beside its neighbours')."""
    threshold: float
    """content: mean change per pixel in HSV (0 to 255); adaptive: times the neighbours' mean."""
    min_length: float | int
    """Shortest scene: seconds if a float, frames if an int (PySceneDetect's own default is 15)."""
    window: int = 2
    """adaptive: neighbours on each side."""

    PRESETS: ClassVar[dict[str, SceneSettings]]

    @classmethod
    def parse(cls, text: str) -> SceneSettings:
        """Read what a user typed: a preset's name, or a detector with a threshold.

        ``adaptive`` and ``content`` alone are the best published settings of that detector;
        ``content:31`` and ``adaptive:3`` set its threshold.

        Raises:
            ValueError: with a sentence for the user.
        """
        name, colon, threshold = text.strip().lower().partition(":")
        if not colon and name in cls.PRESETS:
            return cls.PRESETS[name]
        try:
            base = {"content": CONTENT_31, "adaptive": ADAPTIVE}[name]
            value = float(threshold)
        except (KeyError, ValueError):
            raise ValueError(_what_is_known(text)) from None
        if not 0.0 < value < 256.0:
            raise ValueError(_what_is_known(text))
        return cls(base.detector, value, base.min_length, base.window)

    def __str__(self) -> str:
        return f"{self.detector}:{self.threshold:g}"


def _what_is_known(text: str) -> str:
    names = ", ".join(SceneSettings.PRESETS)
    return (
        f"{text!r} is no scene detector: use one of {names}, or a detector with a threshold "
        "between 0 and 256, such as content:31 or adaptive:3.5."
    )


CONTENT_27 = SceneSettings("content", 27.0, 15)
"""PySceneDetect's own default."""

CONTENT_31 = SceneSettings("content", 31.0, 0.6)
"""Best ContentDetector of PySceneDetect's published sweep (0.7.1)."""

ADAPTIVE = SceneSettings("adaptive", 3.5, 0.6, window=3)
"""Best AdaptiveDetector of PySceneDetect's published sweep (0.7.1)."""

SceneSettings.PRESETS = {
    "adaptive": ADAPTIVE,
    "content": CONTENT_31,
    "content27": CONTENT_27,
    "content31": CONTENT_31,
}

DEFAULT = CONTENT_31


class SceneCutter:
    """Takes a film's frames one by one and says where cuts are, once they are certain."""

    def __init__(self, settings: SceneSettings, frame_rate: Fraction) -> None:
        """
        Arguments:
            settings: detector and threshold.
            frame_rate: of the film, an average where it varies, 0 if unknown; only used where
                lengths are counted in frames.
        """
        self._detector = _detector(settings)
        self._rate = frame_rate or _RATE_IF_UNKNOWN
        self._size: tuple[int, int] | None = None
        self._last: _Moment | None = None
        self.max_lag_s = self._lag_s(settings)
        """After ``push(t, …)`` every cut up to ``t - max_lag_s`` has been returned (exactly so at
        an even frame rate; where the rate varies, adaptive waits for its window of frames)."""

    def push(self, time_s: float, thumbnail: NDArray[np.uint8]) -> list[float]:
        """Take the next frame.

        Arguments:
            time_s: its presentation time, later than that of the frame before.
            thumbnail: (height, width, 3) uint8, blue first; a few hundred pixels wide.

        Returns:
            Times of cuts that became certain: each is the time, exactly as given, of the first
            frame after a cut, and lies at or before `time_s`.
        """
        size = (thumbnail.shape[1], thumbnail.shape[0])
        if self._size is None:
            self._size = size
        elif size != self._size:
            thumbnail = cv2.resize(thumbnail, self._size).astype(np.uint8, copy=False)
        self._last = _Moment(time_s, self._rate)
        return _seconds(self._detector.process_frame(self._last, thumbnail))

    def finish(self) -> list[float]:
        """End of the film: cuts that were still held back."""
        return [] if self._last is None else _seconds(self._detector.post_process(self._last))

    def _lag_s(self, settings: SceneSettings) -> float:
        frame_s = float(1 / self._rate)
        if settings.detector == "adaptive":
            return settings.window * frame_s
        if isinstance(settings.min_length, int):
            return (settings.min_length + 1) * frame_s
        return settings.min_length


class _Moment(FrameTimecode):  # type: ignore[misc]
    """A time that a detector gives back as the very object that it was given."""

    def __init__(self, time_s: float, rate: Fraction) -> None:
        super().__init__(Timecode(round(time_s * _TICKS_PER_S), _TICK), rate)
        self.time_s = time_s


def _seconds(cuts: list[FrameTimecode]) -> list[float]:
    return [cut.time_s if isinstance(cut, _Moment) else cut.seconds for cut in cuts]


class _QuickScore(ContentDetector):  # type: ignore[misc]
    """The stock score with fewer passes over the pixels; bit-equal, as tests/test_scenes.py shows.

    Stock: split HSV in three, widen each to int32, subtract, take absolutes, sum. Here: one
    absolute difference of all three and one exact integer sum.
    """

    _last_hsv: NDArray[np.uint8] | None = None

    def _calculate_frame_score(
        self, timecode: FrameTimecode, frame_img: NDArray[np.uint8]
    ) -> float:
        hsv = cv2.cvtColor(frame_img, cv2.COLOR_BGR2HSV).astype(np.uint8, copy=False)
        last, self._last_hsv = self._last_hsv, hsv
        if last is None:
            return 0.0
        pixels = float(hsv.shape[0] * hsv.shape[1])
        sums = cv2.sumElems(cv2.absdiff(hsv, last))
        changes = (sums[0] / pixels, sums[1] / pixels, sums[2] / pixels, 0.0)  # no edges
        weights = self._weights
        weighted = 0.0
        for change, weight in zip(changes, weights, strict=True):
            weighted += change * weight  # from Python 3.12 on sum() would round unlike stock
        return float(weighted / sum(abs(weight) for weight in weights))


class _QuickAdaptive(_QuickScore, AdaptiveDetector):  # type: ignore[misc]
    pass


def _detector(settings: SceneSettings) -> ContentDetector:
    if settings.detector == "adaptive":
        return _QuickAdaptive(
            adaptive_threshold=settings.threshold,
            min_scene_len=settings.min_length,
            window_width=settings.window,
        )
    return _QuickScore(threshold=settings.threshold, min_scene_len=settings.min_length)
