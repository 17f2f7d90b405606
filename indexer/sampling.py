"""Which frames of a film get a vector: one for each clip, at least one for each scene.

Both samplers look at frames as they come, in order, and hold on to a bounded number of them:
the film's length does not matter.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from storage.records import CLIP_S


class TimedFrame(Protocol):
    """What sampling needs to know of a frame."""

    @property
    def time_s(self) -> float: ...


FrameT = TypeVar("FrameT", bound=TimedFrame)


@dataclass(frozen=True)
class Sample(Generic[FrameT]):
    """A frame chosen for a vector."""

    frame: FrameT
    clip: int | None
    """Index of the clip that it stands for; None where it only stands for its scene."""


class ClipSampler(Generic[FrameT]):
    """Chooses for each clip the last frame before its centre (see indexer/timeline.py)."""

    def __init__(self, clip_s: float = CLIP_S) -> None:
        self._clip_s = clip_s
        self._shown: FrameT | None = None
        self._next_clip = 0
        self._start_s = 0.0

    def push(self, frame: FrameT) -> list[Sample[FrameT]]:
        """Take the next frame; returns the samples that it settles, none for most frames."""
        samples = []
        if self._shown is None:
            self._start_s = frame.time_s
        else:
            while self._centre_s() <= frame.time_s:
                samples.append(self._sample(self._shown))
        self._shown = frame
        return samples

    def finish(self, clips: int) -> list[Sample[FrameT]]:
        """The samples still due in a film of `clips` clips; the last frame stands for them."""
        assert self._shown is not None, "a film has at least one frame"
        return [self._sample(self._shown) for _ in range(self._next_clip, clips)]

    def _centre_s(self) -> float:
        return self._start_s + (self._next_clip + 0.5) * self._clip_s

    def _sample(self, frame: FrameT) -> Sample[FrameT]:
        sample = Sample(frame, self._next_clip)
        self._next_clip += 1
        return sample


class SceneSampler(Generic[FrameT]):
    """Sees to it that every scene has a sample: a short one may lie between two clip centres.

    A cut is reported a little after it happened, so the last frames are remembered, thinned out
    to `SPACING_S`, and one spare frame is kept for the scene that is running.
    """

    SPACING_S = 0.1
    REMEMBERED = 10
    SETTLED_S = 0.2
    """The spare is taken this long after a cut, past the blend that some cuts are."""

    def __init__(self) -> None:
        self._recent: deque[FrameT] = deque(maxlen=self.REMEMBERED)
        self._sampled_s: deque[float] = deque(maxlen=self.REMEMBERED)
        self._scene_start_s: float | None = None
        self._spare: FrameT | None = None

    def push(self, frame: FrameT) -> None:
        """Take the next frame."""
        if self._scene_start_s is None:
            self._scene_start_s = frame.time_s
        if not self._recent or frame.time_s - self._recent[-1].time_s >= self.SPACING_S:
            self._recent.append(frame)
        if self._spare is None and frame.time_s >= self._scene_start_s + self.SETTLED_S:
            self._spare = frame

    def sampled(self, time_s: float) -> None:
        """Note that the frame of `time_s` has a vector already."""
        self._sampled_s.append(time_s)

    def close(self, end_s: float) -> list[Sample[FrameT]]:
        """End the running scene at `end_s`, a cut or the film's end; a sample if it has none."""
        assert self._scene_start_s is not None, "a scene has at least one frame"
        start_s = self._scene_start_s
        samples = []
        if not any(start_s <= time_s < end_s for time_s in self._sampled_s):
            frame = self._spare
            if frame is None or frame.time_s >= end_s:
                inside = [known for known in self._recent if start_s <= known.time_s < end_s]
                frame = inside[0] if inside else self._nearest(start_s)
            samples.append(Sample(frame, None))
        self._scene_start_s = end_s
        self._spare = next(
            (frame for frame in self._recent if frame.time_s >= end_s + self.SETTLED_S), None
        )
        return samples

    def _nearest(self, time_s: float) -> FrameT:
        """For a scene of fewer frames than are remembered of it."""
        return min(self._recent, key=lambda known: abs(known.time_s - time_s))
