"""How the quality benchmark puts questions to an archive: every hit, and the default's refusal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from fakes import STAMP, ColourWords
from strategies import make_video

from benchmarks.searches import Asker, RememberingEncoder, ThoroughSearcher
from search.moments.base import SegmentView, Span
from search.text.base import EncodedQuery
from storage.archive import Archive
from storage.bundles import load_encoder


class Sure:
    """A head that finds the first and the last clip of a segment, as surely as it is told."""

    head_id = "sure"
    min_confidence = 0.5

    def __init__(self, probability: float | None) -> None:
        self.probability = probability
        self.asked = 0

    def find_all(self, segments: Sequence[SegmentView], query: EncodedQuery) -> list[list[Span]]:
        self.asked += 1
        return [
            [
                Span(*segment.times_s[clip].tolist(), 0.5 + 0.1 * clip, {}, self.probability)
                for clip in (0, -1)
            ]
            for segment in segments
        ]


def asker(folder: Path, head: Sure) -> Asker:
    archive = Archive.create_or_open(folder, STAMP)
    for name in ("one", "two", "three"):
        archive.add(make_video(name, clips=9, scenes=3, dim=STAMP.dim))
    text = RememberingEncoder(ColourWords())
    searcher = ThoroughSearcher(archive.snapshot(), text, head)
    return Asker(searcher, head, load_encoder(), lambda path: Path(path).stem)


def test_all_hits_come_however_unsure_they_are(tmp_path: Path) -> None:
    answer = asker(tmp_path, Sure(0.1)).ask("red")
    assert {hit.file for hit in answer.hits} == {"one", "two", "three"}
    assert len(answer.hits) == 6
    assert [hit.score for hit in answer.hits] == sorted(
        (hit.score for hit in answer.hits), reverse=True
    )
    assert {hit.probability for hit in answer.hits} == {0.1}


@pytest.mark.parametrize(
    ("probability", "refused"), [(0.1, True), (0.49, True), (0.5, False), (None, False)]
)
def test_a_refusal_is_that_of_the_threshold_that_the_head_recommends(
    probability: float | None, refused: bool, tmp_path: Path
) -> None:
    assert asker(tmp_path, Sure(probability)).ask("red").refused is refused


def test_the_head_reads_a_question_once(tmp_path: Path) -> None:
    head = Sure(0.3)
    asking = asker(tmp_path, head)
    assert asking.ask("red") == asking.ask("red")
    assert head.asked == 1


def test_what_an_encoder_does_not_read_is_a_refusal_without_hits(tmp_path: Path) -> None:
    answer = asker(tmp_path, Sure(0.9)).ask("눈 속의 개")
    assert (answer.hits, answer.refused, answer.understood) == ((), True, False)
