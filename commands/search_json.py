"""A search as one JSON object: docs/reference/search-json.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.answer import Answer, Row
from search.grouping import Copy
from search.hits import Hit, VideoHit
from storage.view import Snapshot


def moments_object(
    query: str, db: Path, snapshot: Snapshot, head: str, answer: Answer
) -> dict[str, Any]:
    """The answer of a search for moments."""
    return {
        **_facts(query, db, snapshot, head),
        "matched": answer.matched,
        "min_confidence": answer.min_confidence,
        "not_shown": answer.weaker,
        "background": {
            "mean": round(answer.background.mean, 4),
            "deviation": round(answer.background.deviation, 4),
        },
        "segments": answer.segments,
        "moments": answer.moments,
        "hits": [_row(row) for row in answer.rows],
    }


def videos_object(
    query: str, db: Path, snapshot: Snapshot, hits: Sequence[VideoHit]
) -> dict[str, Any]:
    """The answer of a search for whole videos."""
    return {**_facts(query, db, snapshot, None), "hits": [_video(hit) for hit in hits]}


def _facts(query: str, db: Path, snapshot: Snapshot, head: str | None) -> dict[str, Any]:
    return {
        "query": query,
        "database": str(db.absolute()),
        "encoder": snapshot.stamp.encoder_id,
        "sound": snapshot.sound_stamp and snapshot.sound_stamp.encoder_id,
        "head": head,
        "generation": snapshot.generation,
    }


def _row(row: Row) -> dict[str, Any]:
    place = row.group.place
    return {
        "rank": row.rank,
        **_moment(place.hit),
        "match": row.match,
        "stages": _rounded(place.hit.stages),
        "collapsed": [_moment(hit) for hit in place.in_scene],
        "copies": [_copy(copy) for copy in row.group.copies],
    }


def _copy(copy: Copy) -> dict[str, Any]:
    return {
        **_moment(copy.place.hit),
        "similarity": round(copy.similarity, 4),
        "collapsed": [_moment(hit) for hit in copy.place.in_scene],
    }


def _moment(hit: Hit) -> dict[str, Any]:
    return {
        "ranked": hit.rank,
        "score": round(hit.score, 4),
        "probability": None if hit.probability is None else round(hit.probability, 4),
        "video_id": hit.video.video_id,
        "path": hit.video.path,
        "start_s": round(hit.start_s, 3),
        "end_s": round(hit.end_s, 3),
        "scene": hit.scene,
        "found_by": list(hit.found_by),
        "curve": [round(value, 4) for value in hit.curve],
    }


def _video(hit: VideoHit) -> dict[str, Any]:
    stages = {
        "mean_scene_similarity": hit.seen,
        "best_scene_similarity": hit.best_scene_score,
        **({"heard": hit.heard} if hit.heard else {}),
    }
    return {
        "rank": hit.rank,
        "score": round(hit.score, 4),
        "video_id": hit.video.video_id,
        "path": hit.video.path,
        "start_s": round(hit.start_s, 3),
        "end_s": round(hit.end_s, 3),
        "scene": hit.best_scene,
        "scenes": hit.scenes,
        "stages": _rounded(stages),
    }


def _rounded(stages: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in stages.items()}
