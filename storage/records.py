"""What the archive knows about a video: the dataclasses that cross the walls.

All times are seconds of the video's own presentation time (see indexer/media.py for its zero).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CLIP_S = 2.0
"""Length of a clip in seconds: one feature each 2 s, as QVHighlights and QD-DETR have it."""

SEGMENT_CLIPS = 75
"""Clips of a full segment: 75 x 2 s = 150 s, what QD-DETR sees at once."""


@dataclass(frozen=True)
class Location:
    """Where a video's file lay when it was last seen."""

    path: str
    """Absolute path."""
    size: int
    """Bytes."""
    mtime_ns: int
    """Modification time in nanoseconds, as os.stat gives it."""


@dataclass(frozen=True)
class VideoRecord:
    """One video of the archive."""

    video_id: str
    """First 32 hex digits of `sha256`: a renamed or moved file keeps its id."""
    sha256: str
    """SHA-256 of the whole file, in hex (also of use as a fixity value)."""
    locations: tuple[Location, ...]
    """Every path at which this very content was seen; the first is shown to users."""
    start_s: float
    """Presentation time of the first frame."""
    end_s: float
    """Presentation time at which the last frame has been shown."""
    width: int
    """Upright width in pixels, rotation applied."""
    height: int
    """Upright height in pixels, rotation applied."""
    frame_rate: str
    """Average frame rate as a fraction, e.g. "30000/1001"; "0/1" when the file does not say."""
    container: str
    """Short name of the container format as FFmpeg gives it, e.g. "mov,mp4,m4a,3gp,3g2,mj2"."""
    codec: str
    """Name of the picture codec, e.g. "h264"."""
    pixel_format: str
    """E.g. "yuv420p10le"."""
    rotation: int
    """Degrees (counterclockwise, 0, 90, 180 or 270) by which frames were turned upright."""
    interlaced: bool
    has_audio: bool
    start_timecode: str | None
    """Timecode of the first frame as the file records it, e.g. "10:00:00;00" (";" = drop-frame)."""
    unreadable_packets: int
    """Packets of the picture stream that could not be decoded."""
    notes: tuple[str, ...]
    """What a user should know about this file, one sentence each."""
    indexed_at: str
    """UTC time of indexing, ISO 8601 to the second."""

    @property
    def path(self) -> str:
        """The path shown to users."""
        return self.locations[0].path

    @property
    def duration_s(self) -> float:
        """Seconds between the first frame's start and the last frame's end."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Scene:
    """What lies between two cuts."""

    number: int
    """1 for the first scene of the video, as shown to users."""
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Segment:
    """A run of clips that the moment head sees at once; neighbours overlap."""

    number: int
    """0 for the first segment of the video."""
    first_clip: int
    """Index of the first clip, from 0."""
    clip_count: int
    """At most SEGMENT_CLIPS."""


@dataclass(frozen=True, repr=False)
class SoundFeatures:
    """What is heard in each clip of a video."""

    vectors: NDArray[np.float16]
    """(clips, dim): unit length before rounding; zeros for a clip without 2 s of sound."""
    tags: NDArray[np.float16]
    """(clips, tags): how likely each kind of sound is, 0 to 1; zeros as above. No columns from a
    tower that names nothing."""

    def __repr__(self) -> str:
        return f"SoundFeatures(vectors={self.vectors.shape}, tags={self.tags.shape})"


@dataclass(frozen=True, repr=False)
class IndexedVideo:
    """A video with all that indexing found out: what one atomic batch of the ledger holds."""

    video: VideoRecord
    clip_times_s: NDArray[np.float64]
    """(clips, 2): start and end of each clip; consecutive, the last may be shorter than 2 s."""
    clip_vectors: NDArray[np.float16]
    """(clips, dim): unit length before rounding to float16."""
    scenes: tuple[Scene, ...]
    """In order, without gaps, at least one."""
    scene_vectors: NDArray[np.float16]
    """(scenes, dim): normalised mean of the scene's sampled frames' normalised vectors."""
    segments: tuple[Segment, ...]
    """In order, at least one; together they cover all clips."""
    sound: SoundFeatures | None = None
    """None in an archive that keeps no sound; zeros for a silent film in one that does."""

    def __repr__(self) -> str:
        return (
            f"IndexedVideo({self.video.path!r}, clips={len(self.clip_times_s)}, "
            f"scenes={len(self.scenes)}, segments={len(self.segments)}, "
            f"dim={self.clip_vectors.shape[1]})"
        )


@dataclass(frozen=True)
class EncoderStamp:
    """Which encoder made the vectors of an archive; two stamps that differ must not be mixed."""

    encoder_id: str
    """E.g. "lite-1.0"."""
    fingerprint: str
    """Hex digest over the weights and the way pictures are prepared."""
    dim: int


@dataclass(frozen=True)
class SoundStamp:
    """Which sound tower made the sound vectors of an archive."""

    encoder_id: str
    """E.g. "cnn14-0dc499e4"."""
    fingerprint: str
    """Hex digest over the weights and the sizes."""
    dim: int
    tags: int
    """How many kinds of sound it names; 0 for a tower whose vectors are compared with sentences."""
