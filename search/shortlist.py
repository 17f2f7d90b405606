"""From a query vector to the segments worth a closer look, by way of clips and scenes."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.view import FaissFile, Snapshot

CLIPS_PER_SEGMENT = 32
"""How many nearest clips and scenes are fetched for each segment wanted: one long take can hold
many clips that all match, and must not crowd out the other segments."""

_BLOCK_ROWS = 65_536


@dataclass(frozen=True)
class SegmentHit:
    """A shortlisted segment."""

    row: int
    """Row of the segment table."""
    clip_score: float
    """Highest similarity of a clip in it that was among the nearest; -1 where none was."""
    scene_score: float
    """The same of a scene that overlaps it."""

    @property
    def score(self) -> float:
        return max(self.clip_score, self.scene_score)


def shortlist(
    snapshot: Snapshot,
    query: NDArray[np.float32],
    videos: NDArray[np.bool_] | None,
    limit: int,
) -> list[SegmentHit]:
    """The segments with the most similar clips and scenes, best first, `limit` at most.

    `query` is (dim,) of unit length; `videos` is a mask over video rows, None for all of them.
    """
    wanted = limit * CLIPS_PER_SEGMENT
    segments = snapshot.segment_table
    first = segments["first_clip"].astype(np.int64)
    end = first + segments["clip_count"]
    clip_best = np.full(len(segments), -1.0, dtype=np.float32)
    scene_best = np.full(len(segments), -1.0, dtype=np.float32)

    rows, scores = nearest_clips(snapshot, query, videos, wanted)
    for row, score in zip(rows.tolist(), scores.tolist(), strict=True):
        holding = _covering(first, end, row, row + 1)
        clip_best[holding] = np.maximum(clip_best[holding], score)

    rows, scores = nearest_scenes(snapshot, query, videos, wanted)
    clip_starts = snapshot.clip_table["start_s"]
    for row, score in zip(rows.tolist(), scores.tolist(), strict=True):
        scene = snapshot.scene_table[row]
        clips = snapshot.video_rows[scene["video"]].clips
        low, starts = clips.start, clip_starts[clips]
        begin = low + max(0, int(np.searchsorted(starts, scene["start_s"], side="right")) - 1)
        until = low + int(np.searchsorted(starts, scene["end_s"], side="left"))
        overlapping = _covering(first, end, begin, max(until, begin + 1))
        scene_best[overlapping] = np.maximum(scene_best[overlapping], score)

    best = np.maximum(clip_best, scene_best)
    found = np.flatnonzero((best > -1.0) & snapshot.segment_alive)
    order = found[np.argsort(-best[found], kind="stable")][:limit]
    return [SegmentHit(int(row), float(clip_best[row]), float(scene_best[row])) for row in order]


def nearest_clips(
    snapshot: Snapshot,
    query: NDArray[np.float32],
    videos: NDArray[np.bool_] | None,
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows and similarities of the clips nearest to `query`, best first, removed ones left out."""
    wanted = snapshot.clip_alive
    if videos is not None:
        wanted = wanted & videos[snapshot.clip_table["video"]]
    index = snapshot.clip_index if videos is None else None
    return _nearest(snapshot.clip_vectors, wanted, index, query, count)


def nearest_scenes(
    snapshot: Snapshot,
    query: NDArray[np.float32],
    videos: NDArray[np.bool_] | None,
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows and similarities of the scenes nearest to `query`, best first, removed ones left out."""
    wanted = snapshot.scene_alive
    if videos is not None:
        wanted = wanted & videos[snapshot.scene_table["video"]]
    index = snapshot.scene_index if videos is None else None
    return _nearest(snapshot.scene_vectors, wanted, index, query, count)


def similarities(
    vectors: NDArray[np.float16], rows: NDArray[np.int64], query: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Cosine of each of the given rows with `query`, computed exactly, block by block."""
    scores = np.empty(len(rows), dtype=np.float32)
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS]
        scores[start : start + len(block)] = vectors[block].astype(np.float32) @ query
    return scores


def _nearest(
    vectors: NDArray[np.float16],
    wanted: NDArray[np.bool_],
    index: FaissFile | None,
    query: NDArray[np.float32],
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """FAISS where it covers the rows, an exact scan of the rest.

    With a filter on videos everything wanted is scanned: an index would return mostly rows that
    the filter then drops.
    """
    covered = 0
    rows = np.empty(0, dtype=np.int64)
    if index is not None:
        removed = index.rows - int(np.count_nonzero(wanted[: index.rows]))
        with contextlib.suppress(RuntimeError):  # a writer cleared it away: scan everything
            rows = _indexed(index, query, min(index.rows, count + removed))
            rows = rows[wanted[rows]]
            covered = index.rows
    tail = covered + np.flatnonzero(wanted[covered:])
    rows = np.concatenate([rows, tail])
    scores = similarities(vectors, rows, query)
    order = np.argsort(-scores, kind="stable")[:count]
    return rows[order], scores[order]


def _indexed(index: FaissFile, query: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Rows that FAISS finds nearest, in its own order."""
    import faiss

    opened = faiss.read_index(str(index.path), faiss.IO_FLAG_MMAP)
    _, found = opened.search(query[np.newaxis], count)
    rows: NDArray[np.int64] = found[0]
    return rows[rows >= 0]


def _covering(
    first: NDArray[np.int64], end: NDArray[np.int64], begin: int, until: int
) -> NDArray[np.int64]:
    """Rows of the segments that share a clip with [begin, until); `first` and `end` ascend."""
    low = int(np.searchsorted(end, begin, side="right"))
    high = int(np.searchsorted(first, until, side="left"))
    return np.arange(low, high)
