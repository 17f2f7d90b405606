"""One video through all of it: decode once, find scenes, sample, encode, and make the record."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from indexer import timeline
from indexer.encoders.base import ImageEncoder
from indexer.encoding import EncodingThread
from indexer.listening import ListeningThread, SoundEncoder
from indexer.media import Film, Frame, Hear, Sound
from indexer.prefetch import prefetched
from indexer.sampling import ClipSampler, Sample, SceneSampler
from indexer.scenes import SceneCutter, SceneSettings
from storage.records import IndexedVideo, Location, Scene, VideoRecord

Progress = Callable[[float], None]
"""Called now and then with the position reached, in seconds since the first frame."""

_PROGRESS_EVERY_S = 1.0

_FRAMES_AHEAD = 8
"""Decoded frames that may wait for the scene detector: 25 MB at 1080p, 100 MB at 2160p."""


@dataclass(frozen=True)
class IndexSettings:
    """How videos are cut up; the same for all videos of a run."""

    scenes: SceneSettings
    segment_overlap_s: float = timeline.DEFAULT_OVERLAP_S


@dataclass(frozen=True)
class Fixity:
    """Which file this is: its place and the checksum of its content."""

    location: Location
    sha256: str

    @property
    def video_id(self) -> str:
        return self.sha256[:32]


def index_film(
    film: Film,
    fixity: Fixity,
    encoder: ImageEncoder,
    settings: IndexSettings,
    progress: Progress,
    sound: SoundEncoder | None = None,
) -> IndexedVideo:
    """Read a film from start to end, once, and return all that the archive keeps of it.

    Decoding, scene detection and encoding run side by side, in threads with short queues between
    them. Memory does not grow with the film but for its vectors: one float16 row for each clip and
    scene. With a `sound` encoder the film must have been opened with its sound.
    """
    encoding = EncodingThread(encoder)
    listening = ListeningThread(sound, film.may_jump) if sound else None
    try:
        passed = _FilmPass(film, encoding, settings.scenes)
        passed.run(progress, partial(_let_hear, listening, film) if listening else None)
        vectors = encoding.finish()
        heard = listening.finish(len(passed.clip_frames_s)) if listening else None
    except BaseException:
        encoding.cancel()
        if listening is not None:
            listening.cancel()
        raise
    return replace(_record(film, fixity, settings, passed, vectors), sound=heard)


def _let_hear(listening: ListeningThread, film: Film, block: Sound) -> None:
    listening.put(block, film.start_s)


class _FilmPass:
    """The loop over a film's frames: what it found is read off its attributes afterwards."""

    def __init__(self, film: Film, encoding: EncodingThread, scenes: SceneSettings) -> None:
        self.start_s: float = 0.0
        self.end_s: float = 0.0
        self.cuts_s: list[float] = []
        self.clip_frames_s: list[float] = []
        """For each clip the time of the frame that stands for it."""
        self.extra_frames_s: list[float] = []
        """Times of the frames that only stand for their scene."""
        self._film = film
        self._encoding = encoding
        self._cutter = SceneCutter(scenes, film.info.frame_rate)
        self._clips: ClipSampler[Frame] = ClipSampler()
        self._scenes: SceneSampler[Frame] = SceneSampler()

    def run(self, progress: Progress, hear: Hear | None) -> None:
        """Decode the film, queue the chosen frames for encoding, and let its sound be heard."""
        with closing(prefetched(self._film.frames(hear), _FRAMES_AHEAD)) as frames:
            reported_s = self.start_s = self._take(next(frames))
            for frame in frames:
                time_s = self._take(frame)
                if time_s - reported_s >= _PROGRESS_EVERY_S:
                    progress(time_s - self.start_s)
                    reported_s = time_s
        self.end_s = self._film.end_s
        for sample in self._clips.finish(timeline.clip_count(self.start_s, self.end_s)):
            self._encode(sample)
        for cut_s in self._cutter.finish():
            self._cut(cut_s)
        for sample in self._scenes.close(self.end_s):
            self._encode(sample)
        progress(self.end_s - self.start_s)

    def _take(self, frame: Frame) -> float:
        """Show one frame to samplers and detector; its time."""
        self._scenes.push(frame)
        for sample in self._clips.push(frame):
            self._encode(sample)
        for cut_s in self._cutter.push(frame.time_s, frame.thumbnail_bgr()):
            self._cut(cut_s)
        return frame.time_s

    def _cut(self, cut_s: float) -> None:
        previous_s = self.cuts_s[-1] if self.cuts_s else self.start_s
        if not previous_s < cut_s < self._film.end_s:
            return
        self.cuts_s.append(cut_s)
        for sample in self._scenes.close(cut_s):
            self._encode(sample)

    def _encode(self, sample: Sample[Frame]) -> None:
        time_s = sample.frame.time_s
        chosen = self.extra_frames_s if sample.clip is None else self.clip_frames_s
        if not chosen or chosen[-1] != time_s:  # a frame held for several clips is encoded once
            self._encoding.put(time_s, sample.frame)
        chosen.append(time_s)
        self._scenes.sampled(time_s)


def _record(
    film: Film,
    fixity: Fixity,
    settings: IndexSettings,
    passed: _FilmPass,
    vectors: dict[float, NDArray[np.float16]],
) -> IndexedVideo:
    info = film.info
    clip_times_s = timeline.clip_times(passed.start_s, passed.end_s)
    borders_s = [passed.start_s, *passed.cuts_s, passed.end_s]
    scenes = tuple(
        Scene(number, start_s, end_s)
        for number, (start_s, end_s) in enumerate(pairwise(borders_s), start=1)
    )
    return IndexedVideo(
        video=VideoRecord(
            video_id=fixity.video_id,
            sha256=fixity.sha256,
            locations=(fixity.location,),
            start_s=passed.start_s,
            end_s=passed.end_s,
            width=info.width,
            height=info.height,
            frame_rate=f"{info.frame_rate.numerator}/{info.frame_rate.denominator}",
            container=info.container,
            codec=info.codec,
            pixel_format=info.pixel_format,
            rotation=info.rotation,
            interlaced=info.interlaced,
            has_audio=info.has_audio,
            start_timecode=info.start_timecode,
            unreadable_packets=film.unreadable_packets,
            notes=film.notes,
            indexed_at=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
        clip_times_s=clip_times_s,
        clip_vectors=np.stack([vectors[time_s] for time_s in passed.clip_frames_s]),
        scenes=scenes,
        scene_vectors=_scene_vectors(scenes, vectors),
        segments=timeline.segments(
            len(clip_times_s), timeline.overlap_clips(settings.segment_overlap_s)
        ),
    )


def _scene_vectors(
    scenes: tuple[Scene, ...], vectors: dict[float, NDArray[np.float16]]
) -> NDArray[np.float16]:
    """Mean of each scene's sampled vectors, unit length again, (scenes, dim)."""
    times_s = np.array(sorted(vectors), dtype=np.float64)
    rows = np.stack([vectors[time_s] for time_s in times_s.tolist()]).astype(np.float32)
    means = []
    for scene in scenes:
        first, last = np.searchsorted(times_s, [scene.start_s, scene.end_s])
        if first == last:  # no frame was left for it: the nearest one must do
            first = int(np.abs(times_s - scene.start_s).argmin())
            last = first + 1
        mean = rows[first:last].mean(axis=0)
        means.append(mean / np.linalg.norm(mean))
    return np.stack(means).astype(np.float16)
