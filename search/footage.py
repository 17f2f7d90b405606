"""From rows of a snapshot to what a moment head looks at, and to what a moment shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.copies import Footage
from search.hits import Hit
from search.moments.base import SegmentView
from storage.view import Snapshot


@dataclass(frozen=True)
class Background:
    """What chance looks like: the similarities of a sentence to clips all over the archive."""

    mean: float
    deviation: float


def segment_view(snapshot: Snapshot, segment: np.void, background: Background) -> SegmentView:
    """A row of the segment table as a moment head sees it."""
    first = int(segment["first_clip"])
    clips = slice(first, first + int(segment["clip_count"]))
    times_s = np.stack(
        [snapshot.clip_table["start_s"][clips], snapshot.clip_table["end_s"][clips]], axis=1
    )
    own = snapshot.video_rows[segment["video"]].scenes
    scenes = snapshot.scene_table[own]
    begin = own.start + int(np.searchsorted(scenes["end_s"], times_s[0, 0], side="right"))
    until = own.start + int(np.searchsorted(scenes["start_s"], times_s[-1, 1], side="left"))
    overlapping = snapshot.scene_table[begin:until]
    sound = snapshot.sound_vectors
    return SegmentView(
        vectors=snapshot.clip_vectors[clips].astype(np.float32),
        times_s=times_s,
        scenes_s=np.stack([overlapping["start_s"], overlapping["end_s"]], axis=1),
        scene_vectors=snapshot.scene_vectors[begin:until].astype(np.float32),
        background=background.mean,
        background_deviation=background.deviation,
        sound=None if sound is None else sound[clips].astype(np.float32),
    )


def footage(snapshot: Snapshot, hit: Hit) -> Footage:
    """The clips whose centre lies in a moment; its scene's own vector where it has no centre."""
    rows = snapshot.video_rows[hit.video_row]
    scenes = snapshot.scene_table[rows.scenes]
    place = int(np.searchsorted(scenes["number"], hit.scene))
    start_s, end_s = float(scenes["start_s"][place]), float(scenes["end_s"][place])
    table = snapshot.clip_table[rows.clips]
    centres_s = (table["start_s"] + table["end_s"]) / 2
    first, end = np.searchsorted(centres_s, [hit.start_s, hit.end_s]).tolist()
    if first < end:
        vectors = snapshot.clip_vectors[rows.clips.start + first : rows.clips.start + end]
        times_s = centres_s[first:end] - start_s
    else:
        vectors = snapshot.scene_vectors[rows.scenes.start + place : rows.scenes.start + place + 1]
        times_s = np.array([(end_s - start_s) / 2])
    return Footage(end_s - start_s, times_s, unit(vectors))


def unit(vectors: NDArray[np.float16]) -> NDArray[np.float32]:
    """(rows, dim) at length 1: rounding to half precision cost them a little of it."""
    whole = vectors.astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", whole, whole))[:, np.newaxis]
    result: NDArray[np.float32] = whole / np.maximum(lengths, np.float32(1e-9))
    return result
