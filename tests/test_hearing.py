"""A sentence that names a sound finds where it is heard; one that does not is left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import DIM, STAMP, ColourWords
from numpy.typing import NDArray
from strategies import make_video

from search.hearing import Heard
from search.hearing_tags import TagEars
from search.moments.watershed import Watershed
from search.searcher import Hit, Searcher
from search.text.base import EncodedQuery
from storage.archive import Archive, open_snapshot
from storage.audioset import labels
from storage.records import SoundFeatures, SoundStamp

EARS = SoundStamp("tones-1", "7063", dim=3, tags=527)
DOG = labels().index("Dog")
CLIPS = 20


class Words(ColourWords):
    """Any sentence looks for red."""

    def encode(self, sentence: str) -> EncodedQuery:
        return replace(super().encode("red"), text=sentence)


def tagged(label: int, clips: dict[int, float]) -> NDArray[np.float16]:
    tags = np.zeros((CLIPS, EARS.tags), np.float16)
    for clip, probability in clips.items():
        tags[clip, label] = probability
    return tags


def archive(folder: Path, **dogs: dict[int, float]) -> Path:
    """Videos of 40 s by name, with the clips in which a dog is heard, and how surely."""
    opened = Archive.create_or_open(folder / "dbs", STAMP, EARS)
    for name, clips in dogs.items():
        item = make_video(name, clips=CLIPS, dim=DIM, sound=EARS)
        assert item.sound is not None
        sound = SoundFeatures(item.sound.vectors, tagged(DOG, clips))
        opened.add(replace(item, sound=sound))
    return opened.path


def listened(path: Path, sentence: str) -> Heard | None:
    return TagEars().listen(open_snapshot(path), Words().encode(sentence))


def found(path: Path, sentence: str, **how: str) -> list[Hit]:
    searcher = Searcher(open_snapshot(path), Words(), Watershed())
    return searcher.moments(sentence, top=20, **how)


def test_a_bark_is_found_where_it_is_heard(tmp_path: Path) -> None:
    path = archive(tmp_path, yard={5: 0.9, 6: 0.7}, street={})
    heard = [hit for hit in found(path, "a dog") if "sound" in hit.found_by]
    alone = next(hit for hit in heard if hit.found_by == ("sound",))
    assert (Path(alone.video.path).stem, alone.start_s, alone.end_s) == ("yard", 10.0, 14.0)
    assert alone.stages["heard"] == pytest.approx(0.8, abs=1e-3), "the mean of its clips"
    assert alone.scene == 1


def test_what_is_seen_and_heard_ranks_before_what_is_only_seen(tmp_path: Path) -> None:
    silent = found(archive(tmp_path / "silent", yard={}), "a dog")
    last = silent[-1]
    clips = {clip: 1.0 for clip in range(CLIPS) if last.start_s <= 2 * clip < last.end_s}
    hits = found(archive(tmp_path / "heard", yard=clips), "a dog")
    lifted = next(hit for hit in hits if (hit.start_s, hit.end_s) == (last.start_s, last.end_s))
    assert lifted.rank < last.rank
    assert "heard" in lifted.stages


def test_a_sentence_that_names_no_sound_is_answered_by_pictures_alone(tmp_path: Path) -> None:
    path = archive(tmp_path, yard={5: 0.9})
    assert {hit.found_by for hit in found(path, "a goalkeeper misses")} == {("picture",)}
    assert listened(path, "a goalkeeper misses") is None


def test_a_filter_on_videos_holds_for_what_is_heard(tmp_path: Path) -> None:
    path = archive(tmp_path, yard={5: 0.9}, street={3: 0.8})
    hits = found(path, "a dog", video_glob="street.mp4")
    assert {Path(hit.video.path).stem for hit in hits} == {"street"}
    assert any("sound" in hit.found_by for hit in hits)


def test_a_video_in_which_it_is_heard_comes_first(tmp_path: Path) -> None:
    path = archive(tmp_path, one={}, two={5: 1.0}, three={})
    searcher = Searcher(open_snapshot(path), Words(), Watershed())
    first, *others = searcher.videos("a dog", top=10)
    assert Path(first.video.path).stem == "two" and first.heard == 1.0
    assert {hit.heard for hit in others} == {0.0}
    silent = searcher.videos("a goalkeeper", top=10)
    assert {hit.heard for hit in silent} == {0.0}


def test_a_removed_video_is_not_heard_any_more(tmp_path: Path) -> None:
    path = archive(tmp_path, yard={5: 0.9}, street={})
    Archive.open(path).remove(make_video("yard").video.video_id)
    assert all("sound" not in hit.found_by for hit in found(path, "a dog"))


def test_the_evidence_is_the_tags_probability(tmp_path: Path) -> None:
    path = archive(tmp_path, one={17: 0.5, 18: 0.25}, two={0: 0.75})
    heard = listened(path, "dog")
    assert heard is not None and heard.evidence.shape == (2 * CLIPS,)
    assert heard.evidence[[17, 18, 20]].tolist() == [0.5, 0.25, 0.75]
    assert np.count_nonzero(heard.evidence) == 3


def test_a_sentence_of_which_a_part_names_a_sound_asks_for_sound_in_part(tmp_path: Path) -> None:
    path = archive(tmp_path, yard={5: 0.9})
    whole, part = listened(path, "dog"), listened(path, "a dog in deep snow")
    assert whole is not None and part is not None
    assert whole.asked == 1.0 and part.asked == pytest.approx(1 / 3)
    sure = {hit.score for hit in found(path, "dog") if hit.found_by == ("sound",)}
    less = {hit.score for hit in found(path, "a dog in deep snow") if hit.found_by == ("sound",)}
    assert sure and less and max(less) < min(sure)
