"""Archives composed of test photos, which nothing was trained on, put to the moment heads.

A photo becomes an event of moving shots, events become tapes, tapes become small and large
archives (`training.composed`, the style that the head is judged on, not the one that it learns
from). Each is asked one question: a caption, a shortened one, a label or a noun, which is true here
and there, or surely nowhere. What a search does before and after the head is imitated: segments
come ranked by their best clip, and of moments that repeat one another the better one stays.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.contenders import Skipped
from benchmarks.footage import Question
from benchmarks.measures import calibration, moments, refusal
from benchmarks.measures import truth as truths
from benchmarks.measures.bootstrap import Figure
from benchmarks.measures.truth import Case, Found
from search.answer import least_confidence
from search.moments.base import MomentHead
from storage.bundles import EncoderBundle
from storage.errors import ReelseekError

if TYPE_CHECKING:
    from training.composed.archives import Trial
    from training.composed.judging import Answer
    from training.composed.stock import Stock
    from training.photos import Photo

PHOTOS = 300
"""Test photos that are composed: all would take minutes to encode, seven looks each."""
TRIALS = 300
PRESENT = 0.65
"""Share of the archives that hold an answer, as the recipe of the head judges it."""
SEED = 2


class Composed:
    """Archives of one encoder's vectors, the same for all heads."""

    def __init__(
        self,
        bundle: EncoderBundle,
        images: Path,
        photos: Sequence[Photo],
        cache: Path,
        trials: int = TRIALS,
    ) -> None:
        """Encode the looks of the photos, which are kept in the folder `cache`, and compose.

        Raises:
            Skipped: what composes tapes is not installed, or takes other encoders than this one.
        """
        try:
            from training.composed.archives import Archives
            from training.composed.assemble import Assembly
            from training.composed.draws import judging_style
        except ImportError as error:
            raise Skipped(
                f"Composing needs {error.name}: install training/requirements.txt."
            ) from error
        rows = np.random.default_rng(SEED).permutation(len(photos))[:PHOTOS]
        chosen = [photos[row] for row in sorted(rows.tolist())]
        try:
            with redirect_stdout(sys.stderr):
                self._stock: Stock = Assembly(bundle, images, cache, SEED).judging(chosen)
        except ReelseekError as error:
            raise Skipped(str(error)) from error
        archives = Archives(self._stock, judging_style, SEED)
        self._trials: list[Trial] = list(archives.trials(trials, PRESENT))

    def figures(self, head: MomentHead) -> dict[str, Figure]:
        """Moments of the questions that are true somewhere; refusals and probabilities of all."""
        from training.composed.judging import answers

        found = answers(head, self._stock, self._trials)
        cases = [self._case(answer, least_confidence(None, head)) for answer in found]
        said, right = calibration.said_and_right(cases, first=1)
        return {
            **moments.figures([case for case in cases if case.truths]),
            **refusal.figures(cases),
            **calibration.figures(said, right),
        }

    def _case(self, answer: Answer, least: float) -> Case:
        asked = self._stock.questions[answer.trial.question].text
        hits = tuple(
            Found(
                str(hit.video_row),
                hit.span.start_s,
                hit.span.end_s,
                hit.span.score,
                hit.span.probability,
            )
            for hit in answer.hits
        )
        said = [hit.probability for hit in hits if hit.probability is not None]
        refused = bool(said) and max(said) < least
        return Case(
            Question(asked, "visual", "keywords", "en", {}, {}, {}, {}),
            {str(tape): tuple(own) for tape, own in answer.trial.windows_s.items() if own},
            truths.Answer(hits, refused or not hits),
        )
