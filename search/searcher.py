"""The way through: a sentence in, ranked moments (or whole videos) out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from search import hearing
from search.moments.base import MomentHead, SegmentView, Span
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
class Hit:
    """A moment, ready to be shown."""

    rank: int
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

    def moments(self, sentence: str, top: int, video_glob: str | None = None) -> list[Hit]:
        """The best `top` moments, best first.

        Raises:
            QueryError: the sentence is empty or too long.
            VideoNotFound: no video matches `video_glob`.
        """
        query = self._encoder.encode(sentence)
        videos = self._matching(video_glob)
        segments = shortlist(self.snapshot, query.pooled, videos, max(SHORTLIST_SEGMENTS, top))
        candidates = self._seen(segments, query)
        heard = hearing.evidence(self.snapshot, sentence)
        if heard is not None:
            candidates = self._heard(candidates, heard, videos)
        return [
            self._hit(number, candidate)
            for number, candidate in enumerate(rank(candidates, top), start=1)
        ]

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
        evidence = hearing.evidence(snapshot, sentence)
        groups = _groups(snapshot.scene_table["video"][rows])
        most = max((float(scores[own].mean()) for _, own in groups), default=0.0)
        hits = []
        for video_row, own in groups:
            best = int(own[np.argmax(scores[own])])
            scene = snapshot.scene_table[rows[best]]
            heard = self._heard_in(video_row, evidence)
            score = float(scores[own].mean())
            if heard:
                score = max(hearing.lifted(score, heard), hearing.alone(most, heard))
            hits.append((score, float(scores[best]), video_row, scene, heard))
        hits.sort(key=lambda hit: (-hit[0], hit[2]))
        return [
            VideoHit(
                number,
                score,
                self._video(video_row),
                int(scene["number"]),
                best_score,
                float(scene["start_s"]),
                float(scene["end_s"]),
                heard,
            )
            for number, (score, best_score, video_row, scene, heard) in enumerate(
                hits[:top], start=1
            )
        ]

    def _matching(self, video_glob: str | None) -> NDArray[np.bool_] | None:
        """Mask over video rows of the videos whose path, file name or id fits the pattern."""
        if video_glob is None:
            return None
        mask = np.zeros(len(self.snapshot.videos), dtype=np.bool_)
        mask[[row for row, _ in matching_videos(self.snapshot, video_glob)]] = True
        return mask

    def _background(self, query: EncodedQuery) -> tuple[float, float]:
        """Mean and standard deviation of the similarities of clips all over the archive."""
        rows = np.flatnonzero(self.snapshot.clip_alive)
        if len(rows) == 0:
            return 0.0, 0.0
        rows = rows[:: max(1, len(rows) // BACKGROUND_CLIPS)]
        found = similarities(self.snapshot.clip_vectors, rows, query.pooled)
        return float(found.mean()), float(found.std())

    def _seen(self, segments: list[SegmentHit], query: EncodedQuery) -> list[Candidate]:
        """What the moment head finds in the shortlisted segments."""
        background = self._background(query)
        rows = self.snapshot.segment_table[[segment.row for segment in segments]]
        found = self._head.find_all([self._view(row, background) for row in rows], query)
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

    def _heard(
        self,
        seen: list[Candidate],
        evidence: NDArray[np.float32],
        videos: NDArray[np.bool_] | None,
    ) -> list[Candidate]:
        """Lift what is heard as well as seen, and add what is heard alone."""
        best = max((candidate.span.score for candidate in seen), default=1.0)
        lifted = []
        for candidate in seen:
            span = candidate.span
            heard = hearing.audible(evidence[self._clips_of(candidate.video_row, span)])
            if heard:
                score = hearing.lifted(span.score, heard)
                span = replace(span, score=score, stages={**span.stages, "heard": heard})
            lifted.append(replace(candidate, span=span))
        for run in hearing.runs(self.snapshot, evidence, videos):
            clips = self.snapshot.clip_table[run.clips]
            span = Span(
                float(clips["start_s"][0]),
                float(clips["end_s"][-1]),
                hearing.alone(best, run.evidence),
                {"heard": run.evidence},
            )
            lifted.append(Candidate(run.video_row, span, -1))
        return lifted

    def _heard_in(self, video_row: int, evidence: NDArray[np.float32] | None) -> float:
        if evidence is None:
            return 0.0
        return hearing.audible(evidence[self.snapshot.video_rows[video_row].clips])

    def _clips_of(self, video_row: int, span: Span) -> slice:
        """Rows of the clips that a span shares time with."""
        clips = self.snapshot.video_rows[video_row].clips
        table = self.snapshot.clip_table[clips]
        begin = int(np.searchsorted(table["end_s"], span.start_s, side="right"))
        until = int(np.searchsorted(table["start_s"], span.end_s, side="left"))
        return slice(clips.start + begin, clips.start + until)

    def _view(self, segment: np.void, background: tuple[float, float]) -> SegmentView:
        snapshot = self.snapshot
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
            background=background[0],
            background_deviation=background[1],
            sound=None if sound is None else sound[clips].astype(np.float32),
        )

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
        by = {"picture": "segment_rank" in span.stages, "sound": "heard" in span.stages}
        return Hit(
            number,
            span.score,
            self._video(candidate.video_row),
            span.start_s,
            span.end_s,
            int(scenes["number"][int(shared_s.argmax())]),
            tuple(name for name, found in by.items() if found),
            span.stages,
        )


def _groups(keys: NDArray[np.uint32]) -> list[tuple[int, NDArray[np.int64]]]:
    """Positions of each distinct key, keys ascending."""
    order = np.argsort(keys, kind="stable")
    values, firsts = np.unique(keys[order], return_index=True)
    return [
        (int(value), own) for value, own in zip(values, np.split(order, firsts[1:]), strict=True)
    ]
