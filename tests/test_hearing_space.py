"""A sound tower that shares a space with sentences: what is heard of them, clip by clip."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import DIM, STAMP, ColourWords
from numpy.typing import NDArray
from strategies import make_video

from search.footage import Background
from search.hearing import Heard
from search.hearing_asks import Asks
from search.hearing_moments import with_sound
from search.hearing_space import SpaceEars
from search.moments.base import Span
from search.ranking import Candidate
from search.text.base import EncodedQuery
from storage.archive import Archive
from storage.records import SoundFeatures, SoundStamp

EARS = SoundStamp("ears-1", "7063", dim=3, tags=0)
BARK, BELL, WIND = np.eye(3, dtype=np.float16)
CLIPS = 20


class Sentences:
    """Knows what a dog and a bell sound like; a cosine is as likely as it is high."""

    def encode(self, query: EncodedQuery) -> NDArray[np.float32]:
        known = {"dog barking": BARK, "bell": BELL}
        vector: NDArray[np.float32] = known.get(query.text, WIND).astype(np.float32)
        return vector

    def probability(
        self, cosines: NDArray[np.float32], query_vector: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        assert query_vector.shape == (3,)
        return np.clip(0.05 + 0.9 * cosines, 0, 1).astype(np.float32)


class Reader(ColourWords):
    """Takes any sentence."""

    def encode(self, sentence: str) -> EncodedQuery:
        return query(sentence)


def query(text: str) -> EncodedQuery:
    return replace(ColourWords().encode("red"), text=text)


def ears() -> SpaceEars:
    return SpaceEars(Sentences(), Reader(), Asks(), expected=0.0)


def archive(folder: Path, **tracks: dict[int, NDArray[np.float16]]) -> Archive:
    """Videos of 40 s by name, in which the wind blows but where something else is heard."""
    opened = Archive.create_or_open(folder / "dbs", STAMP, EARS)
    for name, clips in tracks.items():
        item = make_video(name, clips=CLIPS, scenes=2, dim=DIM, sound=EARS)
        vectors = np.tile(WIND + np.float16(0.01), (CLIPS, 1)).astype(np.float16)
        for clip, vector in clips.items():
            vectors[clip] = vector
        sound = SoundFeatures(vectors, np.zeros((CLIPS, 0), np.float16))
        opened.add(replace(item, sound=sound))
    return opened


def listened(opened: Archive, text: str) -> Heard:
    heard = ears().listen(opened.snapshot(), query(text))
    assert heard is not None
    return heard


def test_a_clip_is_heard_as_far_as_its_sound_is_near(tmp_path: Path) -> None:
    opened = archive(tmp_path, yard={5: BARK}, church={7: BELL})
    barks, bells = listened(opened, "dog barking"), listened(opened, "bell")
    assert barks.evidence[5] == pytest.approx(0.95) and barks.evidence.argmax() == 5
    assert bells.evidence.argmax() == CLIPS + 7
    assert np.sort(barks.evidence)[-2] < 0.1


def test_a_clip_without_sound_is_not_heard_and_a_removed_one_neither(tmp_path: Path) -> None:
    silence = np.zeros(3, np.float16)
    opened = archive(tmp_path, yard={5: BARK, 6: silence}, other={2: BARK})
    assert listened(opened, "dog barking").evidence[6] == 0.0
    opened.remove(make_video("yard").video.video_id)
    evidence = listened(opened, "dog barking").evidence
    alive = opened.snapshot().clip_alive
    assert np.count_nonzero(evidence > 0.9) == 1 and not evidence[~alive].any()


def test_a_clip_of_a_removed_video_is_not_heard_in_a_view_that_still_holds_it(
    tmp_path: Path,
) -> None:
    snapshot = archive(tmp_path, yard={5: BARK}, street={3: BARK}).snapshot()
    alive = np.arange(2 * CLIPS) >= CLIPS
    heard = ears().listen(replace(snapshot, clip_alive=alive), query("dog barking"))
    assert heard is not None
    assert not heard.evidence[:CLIPS].any() and heard.evidence[CLIPS + 3] > 0.9
    assert heard.chance == pytest.approx(float(heard.evidence[CLIPS:].mean()))


def test_the_part_of_a_sentence_that_asks_for_a_sound_is_listened_for_by_itself(
    tmp_path: Path,
) -> None:
    opened = archive(tmp_path, yard={5: BARK})
    both = listened(opened, "a man in a red coat and dog barking")
    assert both.part is not None and both.part.asked == 1.0 > both.asked
    assert both.part.evidence.argmax() == 5 and both.told is both.part
    alone = listened(opened, "dog barking")
    assert alone.part is None and alone.told is alone


def test_who_types_a_sentence_expects_it_and_silence_stays_silent(tmp_path: Path) -> None:
    opened = archive(tmp_path, yard={5: BARK, 6: np.zeros(3, np.float16)})
    wary = listened(opened, "dog barking").evidence
    hopeful = SpaceEars(Sentences(), Reader(), Asks(), expected=1.5)
    heard = hopeful.listen(opened.snapshot(), query("dog barking"))
    assert heard is not None and heard.evidence[6] == 0.0
    audible = wary > 0
    assert (heard.evidence[audible] > wary[audible]).all() and heard.evidence.max() < 1.0
    assert np.array_equal(np.argsort(heard.evidence), np.argsort(wary))


def test_what_is_only_heard_becomes_a_moment_and_what_is_seen_too_is_raised(tmp_path: Path) -> None:
    opened = archive(tmp_path, yard={5: BARK, 6: BARK}, street={3: BARK, 4: BARK})
    snapshot = opened.snapshot()
    seen = Candidate(1, Span(6.0, 10.0, 0.3, {"segment_rank": 1.0}, probability=0.3), 1)
    unheard = Candidate(1, Span(20.0, 30.0, 0.4, {"segment_rank": 1.0}, probability=0.4), 1)
    heard = listened(opened, "dog barking")
    made = with_sound(snapshot, [seen, unheard], heard, Background(0.0, 0.1), None)
    raised, same, *alone = made
    assert raised.span.probability is not None and raised.span.probability > 0.8
    assert raised.span.stages["heard"] == pytest.approx(0.95)
    assert raised.span.stages["picture"] == 0.3
    assert same.span.score == pytest.approx(unheard.span.score, abs=0.05)
    assert "heard" not in same.span.stages
    assert {(c.video_row, c.span.start_s, c.span.end_s) for c in alone} == {
        (0, 10.0, 14.0),
        (1, 6.0, 10.0),
    }
    assert all(c.span.probability == c.span.score for c in alone)


def test_a_filter_on_videos_holds_for_what_is_heard(tmp_path: Path) -> None:
    opened = archive(tmp_path, yard={5: BARK}, street={3: BARK})
    heard = listened(opened, "dog barking")
    only = np.array([False, True])
    made = with_sound(opened.snapshot(), [], heard, Background(0.0, 0.1), only)
    assert [candidate.video_row for candidate in made] == [1]


def test_a_million_clips_are_heard_in_bounded_memory() -> None:
    """1 million clips are 23 days of film; the column itself is not counted: it is mapped."""
    clips, dim = 1_000_000, 64
    rng = np.random.default_rng(0)
    vectors = np.tile(rng.standard_normal((1000, dim)).astype(np.float16), (clips // 1000, 1))

    class Wide(Sentences):
        def encode(self, query: EncodedQuery) -> NDArray[np.float32]:
            return np.full(dim, dim**-0.5, np.float32)

        def probability(
            self, cosines: NDArray[np.float32], query_vector: NDArray[np.float32]
        ) -> NDArray[np.float32]:
            return (1 / (1 + np.exp(-cosines))).astype(np.float32)

    tracemalloc.start()
    begun = time.process_time()
    heard = SpaceEars(Wide(), Reader(), Asks()).hear(vectors, query("bell"))
    seconds = time.process_time() - begun
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert heard.evidence.shape == (clips,)
    assert np.array_equal(heard.evidence[:1000], heard.evidence[-1000:])
    assert peak < 64 << 20
    assert seconds < 10, "row by row in Python it would take minutes"
