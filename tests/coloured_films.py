"""Films whose shots are plain colours, and a head that says how sure it is of each shot."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from fakes import COLOURS, STAMP, ColourWords, unit
from numpy.typing import NDArray
from strategies import make_video

from search.answer import DEFAULT_MIN_CONFIDENCE, Answer, answer
from search.moments.base import MomentHead, SegmentView, Span
from search.searcher import Searcher
from search.text.base import EncodedQuery
from storage.archive import Archive, open_snapshot
from storage.records import CLIP_S, SEGMENT_CLIPS, IndexedVideo, Scene, Segment

Shot = tuple[str, float]
"""A colour, and how many seconds it is on screen."""


def colour(name: str) -> NDArray[np.float32]:
    return unit(np.array([*COLOURS[name], 0.05], np.float32))


def film(name: str, *shots: Shot, grain: float = 0.0) -> IndexedVideo:
    """A film of these shots; grain is how far each of its vectors strays, by name of the film."""
    random = np.random.default_rng(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))
    cuts_s = np.concatenate([[0.0], np.cumsum([length_s for _, length_s in shots])])
    end_s = float(cuts_s[-1])
    starts_s = np.arange(0.0, end_s, CLIP_S)
    ends_s = np.minimum(starts_s + CLIP_S, end_s)
    shown = np.searchsorted(cuts_s, (starts_s + ends_s) / 2, side="right") - 1
    colours = np.stack([colour(shot) for shot, _ in shots])

    def printed(vectors: NDArray[np.float32]) -> NDArray[np.float16]:
        strayed = vectors + grain * random.standard_normal(vectors.shape).astype(np.float32)
        return unit(strayed).astype(np.float16)

    clips = len(starts_s)
    made = make_video(name, clips=clips, dim=STAMP.dim)
    return replace(
        made,
        video=replace(made.video, end_s=end_s),
        clip_times_s=np.stack([starts_s, ends_s], axis=1),
        clip_vectors=printed(colours[shown]),
        scenes=tuple(
            Scene(number + 1, float(cuts_s[number]), float(cuts_s[number + 1]))
            for number in range(len(shots))
        ),
        scene_vectors=printed(colours),
        segments=tuple(
            Segment(number, first, min(SEGMENT_CLIPS, clips - first))
            for number, first in enumerate(range(0, clips, SEGMENT_CLIPS))
        ),
    )


class SureHead:
    """Every shot is a moment; as sure as its similarity to the sentence."""

    head_id = "sure-1"

    def __init__(self, min_confidence: float | None = None) -> None:
        self.min_confidence = min_confidence

    def find_all(self, segments: Sequence[SegmentView], query: EncodedQuery) -> list[list[Span]]:
        return [self._find(segment, query) for segment in segments]

    def _find(self, segment: SegmentView, query: EncodedQuery) -> list[Span]:
        similarities = segment.vectors @ query.pooled
        spans = []
        for (start_s, end_s), vector in zip(
            segment.scenes_s.tolist(), segment.scene_vectors, strict=True
        ):
            sure = float(np.clip(vector @ query.pooled, 0, 1))
            touched = (segment.times_s[:, 1] > start_s) & (segment.times_s[:, 0] < end_s)
            curve = tuple(similarities[touched].tolist())
            spans.append(Span(start_s, end_s, sure, {"existence": sure}, sure, curve))
        return spans


def searcher(folder: Path, films: Sequence[IndexedVideo], head: MomentHead) -> Searcher:
    archive = Archive.create_or_open(folder / "dbs", STAMP)
    for made in films:
        archive.add(made)
    return Searcher(open_snapshot(archive.path), ColourWords(), head)


def ask(
    folder: Path,
    films: Sequence[IndexedVideo],
    sentence: str,
    *,
    head: MomentHead | None = None,
    top: int = 10,
    min_confidence: float = DEFAULT_MIN_CONFIDENCE,
    everything: bool = False,
) -> Answer:
    """The answer of an archive of these films."""
    opened = searcher(folder, films, SureHead() if head is None else head)
    return answer(opened, sentence, top, None, min_confidence, everything)
