"""The shortlist holds what an exact comparison with every clip and scene would put there."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from strategies import DIM, STAMP, make_video

from search.shortlist import nearest_clips, nearest_scenes, shortlist
from storage.archive import Archive
from storage.view import Snapshot


def question(seed: int) -> NDArray[np.float32]:
    vector = np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)
    return vector / np.linalg.norm(vector)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Enough clips for a FAISS index and a tail behind it, and one video that was removed."""
    archive = Archive.create_or_open(tmp_path_factory.mktemp("a") / "dbs", STAMP)
    for name, clips in (("long", 1500), ("gone", 300), ("short", 7), ("middle", 200)):
        archive.add(make_video(name, clips=clips, scenes=max(1, clips // 5)))
    archive.remove(make_video("gone", clips=300).video.video_id)
    snapshot = archive.snapshot()
    assert snapshot.clip_index is not None
    assert 0 < snapshot.clip_index.rows < len(snapshot.clip_table)
    return snapshot


def exact(vectors: NDArray[np.float16], alive: NDArray[np.bool_], query: NDArray[np.float32]):  # type: ignore[no-untyped-def]
    scores = np.where(alive, np.asarray(vectors, np.float32) @ query, -2)
    return np.argsort(-scores, kind="stable"), np.sort(scores)[::-1]


@pytest.mark.parametrize("seed", range(5))
def test_index_and_tail_together_find_the_nearest_rows(snapshot: Snapshot, seed: int) -> None:
    query = question(seed)
    rows, scores = nearest_clips(snapshot, query, None, 50)
    _, right = exact(snapshot.clip_vectors, snapshot.clip_alive, query)
    assert np.allclose(scores, right[:50], atol=1e-3)
    assert snapshot.clip_alive[rows].all()
    _, scene_scores = nearest_scenes(snapshot, query, None, 20)
    _, right = exact(snapshot.scene_vectors, snapshot.scene_alive, query)
    assert np.allclose(scene_scores, right[:20], atol=1e-3)


def test_a_filter_on_videos_loses_no_match(snapshot: Snapshot) -> None:
    wanted = np.zeros(len(snapshot.videos), np.bool_)
    wanted[2] = True  # "short": 7 clips among two thousand
    rows, _ = nearest_clips(snapshot, question(0), wanted, 50)
    assert sorted(rows.tolist()) == list(range(*snapshot.video_rows[2].clips.indices(10**9)))


@pytest.mark.parametrize("seed", range(5))
def test_segments_come_in_the_order_of_their_best_clip_or_scene(
    snapshot: Snapshot, seed: int
) -> None:
    query = question(seed)
    found = shortlist(snapshot, query, None, limit=5)
    assert len(found) == 5
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    best_clip = exact(snapshot.clip_vectors, snapshot.clip_alive, query)[0][0]
    best_scene_score = exact(snapshot.scene_vectors, snapshot.scene_alive, query)[1][0]
    best_clip_score = float(snapshot.clip_vectors[best_clip].astype(np.float32) @ query)
    assert found[0].score == pytest.approx(max(best_clip_score, best_scene_score), abs=1e-3)
    holders = [
        hit
        for hit in found
        if snapshot.segment_table[hit.row]["first_clip"]
        <= best_clip
        < snapshot.segment_table[hit.row]["first_clip"]
        + snapshot.segment_table[hit.row]["clip_count"]
    ]
    assert holders and holders[0].clip_score == pytest.approx(best_clip_score, abs=1e-3)


def test_removed_videos_are_never_shortlisted(snapshot: Snapshot) -> None:
    for seed in range(10):
        for hit in shortlist(snapshot, question(seed), None, limit=1000):
            assert snapshot.videos[snapshot.segment_table[hit.row]["video"]] is not None


def test_an_empty_archive_has_no_segments(tmp_path: Path) -> None:
    archive = Archive.create_or_open(tmp_path / "dbs", STAMP)
    assert shortlist(archive.snapshot(), question(0), None, limit=5) == []


def test_an_index_that_a_writer_cleared_away_is_done_without(snapshot: Snapshot) -> None:
    assert snapshot.clip_index is not None
    gone = dataclasses.replace(snapshot.clip_index, path=snapshot.path / "gone.faiss")
    bereft = dataclasses.replace(snapshot, clip_index=gone)
    rows, _ = nearest_clips(bereft, question(1), None, 50)
    assert (
        rows.tolist()
        == exact(snapshot.clip_vectors, snapshot.clip_alive, question(1))[0][:50].tolist()
    )
