"""What a search hands out: moments and whole videos, ready to be shown."""

from __future__ import annotations

from dataclasses import dataclass

from storage.records import VideoRecord


@dataclass(frozen=True)
class Hit:
    """A moment, ready to be shown."""

    rank: int
    """Place among all moments, 1 the best."""
    score: float
    video: VideoRecord
    start_s: float
    end_s: float
    scene: int
    """Number of the scene that the moment lies in, or most of it."""
    found_by: tuple[str, ...]
    """What speaks for it: "picture", "sound", or both."""
    stages: dict[str, float]
    """What each stage of the search found, by name."""
    probability: float | None = None
    """How likely it shows what the sentence says, 0 to 1; None from a head that cannot tell."""
    curve: tuple[float, ...] = ()
    """Saliency of each clip that it touches, in order, on the head's own scale."""
    video_row: int = -1
    """Row of the video in the snapshot that was searched."""


@dataclass(frozen=True)
class VideoHit:
    """A whole video, ranked by the mean similarity of its scenes, and by what is heard in it."""

    rank: int
    score: float
    video: VideoRecord
    best_scene: int
    best_scene_score: float
    start_s: float
    end_s: float
    heard: float
    """How surely a sound that the sentence names is heard in it, 0 to 1."""
    seen: float = 0.0
    """Mean similarity of its scenes: the score before sound lifted it."""
    scenes: int = 0
    """How many scenes that is the mean of."""
