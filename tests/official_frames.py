"""Which frames of a film run_on_video's VideoLoader takes, restated: ffmpeg's filter `fps`.

Read from QD-DETR's data_utils.py and measured on 105 videos; recordings say whether it is right.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeVar

from indexer.sampling import TimedFrame

FrameT = TypeVar("FrameT", bound=TimedFrame)


def official_rate(duration_s: float) -> float:
    """Frames that are taken per second of a stream that claims to last so long (-1: no claim)."""
    return 2 / max(int(duration_s), 1) if 0 < duration_s < 2.1 else 0.5


def official_count(duration_s: float, rate: float) -> int:
    return math.floor(duration_s * rate + 0.5)


def official_frames(frames: Iterable[FrameT], count: int, rate: float) -> list[FrameT]:
    """For each k the last frame before (k + ½) / rate; the first of them again where none is."""
    chosen: list[FrameT | None] = []
    shown: FrameT | None = None
    for frame in frames:
        while len(chosen) < count and frame.time_s >= (len(chosen) + 0.5) / rate:
            chosen.append(shown)
        shown = frame
    chosen += [shown] * (count - len(chosen))
    first = next((frame for frame in chosen if frame is not None), None)
    return [found for frame in chosen if (found := frame or first) is not None]
