"""The way through: a sentence in, ranked moments (or whole videos) out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search.copies import Footage, chance_similarity
from search.footage import Background, footage, segment_view, unit
from search.fusion import found_by
from search.hearing import Heard, open_ears
from search.hearing_moments import video_score, with_sound
from search.hits import Hit as Hit
from search.hits import VideoHit as VideoHit
from search.moments.base import MomentHead
from search.ranking import Candidate, rank
from search.shortlist import SegmentHit, shortlist, similarities
from search.text.base import EncodedQuery, TextEncoder
from storage.errors import EncoderMismatch
from storage.lookup import matching_videos
from storage.records import VideoRecord
from storage.view import Snapshot

BACKGROUND_CLIPS = 2048
"""Clips, evenly spaced over the archive, whose mean similarity says what chance looks like."""

SHORTLIST_SEGMENTS = 64
"""Segments that the moment head looks at: 2 h of film, however large the archive is."""


@dataclass(frozen=True)
class Found:
    """All moments that a search found, best first, and what they were measured against."""

    hits: tuple[Hit, ...]
    background: Background
    segments: int
    """How many segments were shortlisted for the moment head."""


class Searcher:
    """Answers sentences from one generation of an archive."""

    def __init__(self, snapshot: Snapshot, encoder: TextEncoder, head: MomentHead) -> None:
        """
        Raises:
            EncoderMismatch: the archive's vectors come from another encoder.
        """
        if snapshot.stamp != encoder.stamp:
            raise EncoderMismatch(
                f"{snapshot.path} was indexed with the encoder {snapshot.stamp.encoder_id} "
                f"({snapshot.stamp.fingerprint[:8]}), this search would use "
                f"{encoder.stamp.encoder_id} ({encoder.stamp.fingerprint[:8]}): bring "
                "the weights that made the archive under that name, or index into a new --db."
            )
        self.snapshot = snapshot
        """The generation that is searched."""
        self._encoder = encoder
        self._head = head
        self._ears = open_ears(snapshot, encoder)

    def moments(self, sentence: str, top: int, video_glob: str | None = None) -> list[Hit]:
        """The best `top` moments, best first.

        Raises:
            QueryError: the sentence is empty or too long.
            VideoNotFound: no video matches `video_glob`.
        """
        return list(self.found(sentence, top, video_glob, top).hits)

    def found(
        self, sentence: str, top: int, video_glob: str | None = None, most: int | None = None
    ) -> Found:
        """What `moments` takes the best from: everything that was found on the way to `top` moments
        (`most` of it, if given), and what it was measured against.

        Raises as `moments`.
        """
        query = self._encoder.encode(sentence)
        videos = self._matching(video_glob)
        segments = shortlist(self.snapshot, query.pooled, videos, max(SHORTLIST_SEGMENTS, top))
        background = self._background(query)
        candidates = self._seen(segments, query, background)
        heard = self._listen(query)
        if heard is not None:
            candidates = with_sound(self.snapshot, candidates, heard, background, videos)
        ranked = rank(candidates, len(candidates) if most is None else most)
        hits = (self._hit(number, candidate) for number, candidate in enumerate(ranked, start=1))
        return Found(tuple(hits), background, len(segments))

    def footage(self, hit: Hit) -> Footage:
        """What a moment shows, for comparing it with others."""
        return footage(self.snapshot, hit)

    @cached_property
    def chance(self) -> float:
        """Mean cosine of two clips of the archive."""
        return chance_similarity(unit(self.snapshot.clip_vectors[self._sample]))

    def videos(self, sentence: str, top: int, video_glob: str | None = None) -> list[VideoHit]:
        """The best `top` videos by the mean similarity of their scenes, best first.

        A video in which a sound is heard that the sentence names is lifted as its moments are.

        Raises:
            QueryError: the sentence is empty or too long.
            VideoNotFound: no video matches `video_glob`.
        """
        snapshot = self.snapshot
        query = self._encoder.encode(sentence)
        wanted = snapshot.scene_alive
        matching = self._matching(video_glob)
        if matching is not None:
            wanted = wanted & matching[snapshot.scene_table["video"]]
        rows = np.flatnonzero(wanted)
        scores = similarities(snapshot.scene_vectors, rows, query.pooled)
        background = self._background(query)
        heard = self._listen(query)
        groups = _groups(snapshot.scene_table["video"][rows])
        hits = []
        for video_row, own in groups:
            best = int(own[np.argmax(scores[own])])
            scene = snapshot.scene_table[rows[best]]
            seen = float(scores[own].mean())
            clips = snapshot.video_rows[video_row].clips
            score, sure = video_score(seen, float(scores[best]), heard, clips, background)
            hit = VideoHit(
                0,
                score,
                self._video(video_row),
                int(scene["number"]),
                float(scores[best]),
                float(scene["start_s"]),
                float(scene["end_s"]),
                sure,
                seen,
                len(own),
            )
            hits.append((-score, video_row, hit))
        hits.sort(key=lambda found: found[:2])
        return [replace(hit, rank=rank) for rank, (_, _, hit) in enumerate(hits[:top], start=1)]

    def _matching(self, video_glob: str | None) -> NDArray[np.bool_] | None:
        """Mask over video rows of the videos whose path, file name or id fits the pattern."""
        if video_glob is None:
            return None
        mask = np.zeros(len(self.snapshot.videos), dtype=np.bool_)
        mask[[row for row, _ in matching_videos(self.snapshot, video_glob)]] = True
        return mask

    @cached_property
    def _sample(self) -> NDArray[np.int64]:
        """Rows of clips all over the archive."""
        rows = np.flatnonzero(self.snapshot.clip_alive)
        return rows[:: max(1, len(rows) // BACKGROUND_CLIPS)]

    def _background(self, query: EncodedQuery) -> Background:
        if len(self._sample) == 0:
            return Background(0.0, 0.0)
        found = similarities(self.snapshot.clip_vectors, self._sample, query.pooled)
        return Background(float(found.mean()), float(found.std()))

    def _seen(
        self, segments: Sequence[SegmentHit], query: EncodedQuery, background: Background
    ) -> list[Candidate]:
        """What the moment head finds in the shortlisted segments."""
        rows = self.snapshot.segment_table[[segment.row for segment in segments]]
        views = [segment_view(self.snapshot, row, background) for row in rows]
        found = self._head.find_all(views, query)
        return [
            Candidate(
                int(row["video"]),
                replace(
                    span,
                    stages={
                        "segment_rank": float(place),
                        "clip_similarity": segment.clip_score,
                        "scene_similarity": segment.scene_score,
                        **span.stages,
                    },
                ),
                segment.row,
            )
            for place, (segment, row, spans) in enumerate(
                zip(segments, rows, found, strict=True), start=1
            )
            for span in spans
        ]

    def _listen(self, query: EncodedQuery) -> Heard | None:
        return None if self._ears is None else self._ears.listen(self.snapshot, query)

    def _video(self, row: int) -> VideoRecord:
        video = self.snapshot.videos[row]
        assert video is not None, "removed videos are not shortlisted"
        return video

    def _hit(self, number: int, candidate: Candidate) -> Hit:
        span = candidate.span
        scenes = self.snapshot.scene_table[self.snapshot.video_rows[candidate.video_row].scenes]
        shared_s = np.minimum(scenes["end_s"], span.end_s) - np.maximum(
            scenes["start_s"], span.start_s
        )
        return Hit(
            number,
            span.score,
            self._video(candidate.video_row),
            span.start_s,
            span.end_s,
            int(scenes["number"][int(shared_s.argmax())]),
            found_by(span.stages),
            span.stages,
            span.probability,
            span.curve,
            candidate.video_row,
        )


def _groups(keys: NDArray[np.uint32]) -> list[tuple[int, NDArray[np.int64]]]:
    """Positions of each distinct key, keys ascending."""
    order = np.argsort(keys, kind="stable")
    values, firsts = np.unique(keys[order], return_index=True)
    return [
        (int(value), own) for value, own in zip(values, np.split(order, firsts[1:]), strict=True)
    ]
