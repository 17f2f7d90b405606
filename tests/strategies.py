"""Hypothesis strategies, and plain makers of made-up videos, for the tests of storage."""

from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from storage.records import (
    CLIP_S,
    SEGMENT_CLIPS,
    EncoderStamp,
    IndexedVideo,
    Location,
    Scene,
    Segment,
    SoundFeatures,
    SoundStamp,
    VideoRecord,
)

DIM = 8
STAMP = EncoderStamp("fake-1.0", hashlib.sha256(b"fake").hexdigest(), DIM)
SOUND = SoundStamp("fake-ears-1.0", hashlib.sha256(b"fake ears").hexdigest(), dim=5, tags=20)


def make_video(
    name: str,
    clips: int = 6,
    scenes: int = 2,
    dim: int = DIM,
    sound: SoundStamp | None = None,
) -> IndexedVideo:
    """A video whose content follows from its name: the same name gives the same video."""
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    numbers = np.random.default_rng(int(sha256[:8], 16))
    end_s = clips * CLIP_S
    starts = np.arange(clips) * CLIP_S
    cuts = np.linspace(0.0, end_s, scenes + 1)
    return IndexedVideo(
        video=VideoRecord(
            video_id=sha256[:32],
            sha256=sha256,
            locations=(Location(f"/films/{name}.mp4", 1000 + clips, 1_700_000_000_123_456_789),),
            start_s=0.0,
            end_s=end_s,
            width=640,
            height=360,
            frame_rate="30000/1001",
            container="mov,mp4,m4a,3gp,3g2,mj2",
            codec="h264",
            pixel_format="yuv420p",
            rotation=0,
            interlaced=False,
            has_audio=True,
            start_timecode="10:00:00;00",
            unreadable_packets=0,
            notes=(),
            indexed_at="2025-05-01T12:00:00Z",
        ),
        clip_times_s=np.stack([starts, starts + CLIP_S], axis=1),
        clip_vectors=_unit_rows(numbers, clips, dim),
        scenes=tuple(Scene(k + 1, float(cuts[k]), float(cuts[k + 1])) for k in range(scenes)),
        scene_vectors=_unit_rows(numbers, scenes, dim),
        segments=tuple(
            Segment(k, first, min(SEGMENT_CLIPS, clips - first))
            for k, first in enumerate(range(0, clips, SEGMENT_CLIPS))
        ),
        sound=None if sound is None else _make_sound(numbers, clips, sound),
    )


def _make_sound(numbers: np.random.Generator, clips: int, sound: SoundStamp) -> SoundFeatures:
    """The last of several clips is silent, as the end of a film often is."""
    vectors = _unit_rows(numbers, clips, sound.dim)
    tags = (numbers.random((clips, sound.tags)) ** 4).astype(np.float16)
    if clips > 1:
        vectors[-1] = tags[-1] = 0
    return SoundFeatures(vectors, tags)


def _unit_rows(numbers: np.random.Generator, rows: int, dim: int) -> np.ndarray:
    vectors = numbers.standard_normal((rows, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
paths = st.one_of(
    texts.map("/films/".__add__),
    st.just("/films/caf\udce9.mp4"),  # a name that is not UTF-8, as os.fsdecode gives it
)
seconds = st.floats(0, 1e6, allow_nan=False)
locations = st.builds(
    Location, path=paths, size=st.integers(0, 2**50), mtime_ns=st.integers(-(2**62), 2**62)
)


@st.composite
def video_records(draw: st.DrawFn) -> VideoRecord:
    """Any record that indexing could produce, and some that it could not."""
    sha256 = draw(st.binary(min_size=32, max_size=32)).hex()
    return VideoRecord(
        video_id=sha256[:32],
        sha256=sha256,
        locations=tuple(draw(st.lists(locations, min_size=1, max_size=3))),
        start_s=draw(seconds),
        end_s=draw(seconds),
        width=draw(st.integers(1, 16384)),
        height=draw(st.integers(1, 16384)),
        frame_rate=draw(st.sampled_from(["25/1", "30000/1001", "0/1"])),
        container=draw(texts),
        codec=draw(texts),
        pixel_format=draw(texts),
        rotation=draw(st.sampled_from([0, 90, 180, 270])),
        interlaced=draw(st.booleans()),
        has_audio=draw(st.booleans()),
        start_timecode=draw(st.none() | st.just("01:02:03:04")),
        unreadable_packets=draw(st.integers(0, 10**6)),
        notes=tuple(draw(st.lists(texts, max_size=3))),
        indexed_at="2025-05-01T12:00:00Z",
    )


@st.composite
def indexed_videos(
    draw: st.DrawFn, dim: int = DIM, sound: SoundStamp | None = None
) -> IndexedVideo:
    """A record with clips, scenes, segments and float16 vectors of any finite value."""
    clips, scenes = draw(st.integers(1, 12)), draw(st.integers(1, 4))

    def vectors(rows: int) -> np.ndarray:
        count = rows * dim
        values = draw(st.lists(st.floats(-1, 1, width=16), min_size=count, max_size=count))
        return np.array(values, np.float16).reshape(rows, dim)

    times = draw(st.lists(seconds, min_size=2 * clips, max_size=2 * clips))
    spans = draw(st.lists(st.tuples(seconds, seconds), min_size=scenes, max_size=scenes))
    firsts = draw(st.lists(st.integers(0, clips - 1), min_size=1, max_size=3))
    return IndexedVideo(
        video=draw(video_records()),
        clip_times_s=np.array(times, np.float64).reshape(clips, 2),
        clip_vectors=vectors(clips),
        scenes=tuple(Scene(k + 1, *span) for k, span in enumerate(spans)),
        scene_vectors=vectors(scenes),
        segments=tuple(Segment(k, first, clips - first) for k, first in enumerate(firsts)),
        sound=None if sound is None else draw(sounds(clips, sound)),
    )


@st.composite
def sounds(draw: st.DrawFn, clips: int, sound: SoundStamp) -> SoundFeatures:
    """Any finite vectors; tags with many equals among them, and zeros of either sign."""
    return SoundFeatures(
        draw(arrays(np.float16, (clips, sound.dim), elements=st.floats(-1, 1, width=16))),
        draw(probabilities((clips, sound.tags))),
    )


def probabilities(shape: tuple[int, int]) -> st.SearchStrategy[np.ndarray]:
    """float16 from 0 to 1."""
    return arrays(np.float16, shape, elements=st.floats(0, 1, width=16) | st.just(-0.0))


def same(one: IndexedVideo, other: IndexedVideo) -> bool:
    """Whether two videos agree in every field and every bit of their arrays."""
    return (
        one.video == other.video
        and one.scenes == other.scenes
        and one.segments == other.segments
        and all(
            getattr(one, name).dtype == getattr(other, name).dtype
            and np.array_equal(getattr(one, name), getattr(other, name))
            for name in ("clip_times_s", "clip_vectors", "scene_vectors")
        )
        and _same_sound(one.sound, other.sound)
    )


def _same_sound(one: SoundFeatures | None, other: SoundFeatures | None) -> bool:
    if one is None or other is None:
        return one is other
    return (
        one.vectors.tobytes() == other.vectors.tobytes()
        and one.tags.tobytes() == other.tags.tobytes()
        and (one.vectors.shape, one.tags.shape) == (other.vectors.shape, other.tags.shape)
    )
