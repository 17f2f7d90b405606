"""Archives composed of test photos go through a head as the quality benchmark asks it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import photo_set
from benchmarks.contenders import Skipped
from search.moments.base import SegmentView, Span
from search.text.base import EncodedQuery
from storage.bundles import load_encoder

IMAGES = Path(os.environ.get("REELSEEK_IMAGES", Path(__file__).parents[2] / "shared" / "images"))


class Whole:
    """A head that takes every segment whole, as surely as it is told."""

    head_id = "whole"
    min_confidence = 0.5

    def __init__(self, probability: float | None) -> None:
        self._probability = probability

    def find_all(self, segments: Sequence[SegmentView], query: EncodedQuery) -> list[list[Span]]:
        borders = [(float(s.times_s[0, 0]), float(s.times_s[-1, 1])) for s in segments]
        return [[Span(*border, 0.5, {}, self._probability)] for border in borders]


def test_figures_of_heads_that_always_or_never_refuse(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="composing tapes needs training/requirements.txt")
    composed = pytest.importorskip("benchmarks.composed")
    try:
        photos = photo_set.test_photos(IMAGES, most=24)
        captioned = [photo for photo in photos if photo.captions]
        archives = composed.Composed(load_encoder(), IMAGES, captioned, tmp_path, trials=40)
    except Skipped as reason:
        pytest.skip(str(reason))
    never, always, blunt = (archives.figures(Whole(p)) for p in (0.9, 0.1, None))
    assert never["refusal recall"].value() == blunt["refusal recall"].value() == 0
    assert always["refusal recall"].value() == 1
    assert 0 < always["refusal precision"].value() < 1  # some questions are true, some are not
    assert never["mIoU"].value() == always["mIoU"].value() == blunt["mIoU"].value() > 0
    assert never["mIoU"].units < never["refusal F1"].units == 40
    assert "ECE" not in blunt
    assert never["ECE"].value() > 0.3  # it is far too sure
