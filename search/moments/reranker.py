"""A trained QD-DETR network as moment head, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.graph import open_graph
from search.moments.base import SegmentView, Span
from search.moments.qd_detr_inputs import (
    INPUT_NAMES,
    MAX_TOKENS,
    OUTPUT_NAMES,
    TEF_DIM,
    normalised_as_demo,
    padded,
    spans,
    video_input,
)
from search.text.base import EncodedQuery
from storage.errors import BundleError
from storage.records import CLIP_S

SEGMENTS_AT_ONCE = 16
"""Segments of one run: 40 min of film. More at once are no faster, and need more memory."""

COSINE_SCALE = 100.0
"""CLIP's published models turn cosines into odds by a softmax at this scale (`logit_scale`)."""

_SOUND_SHORTER_BY = 1
"""Clips by which a whole sound track may end earlier, because its last window is not whole."""


class QdDetrHead:
    """Reads a segment's clips (pictures, perhaps sound) and the words, and names its moments."""

    def __init__(
        self, file: Path, head_id: str, sound_dim: int, picture_dim: int, text_dim: int
    ) -> None:
        """Load the network.

        Args:
            file: the graph that `qd_detr_export.export_onnx` wrote.
            head_id: name shown to users.
            sound_dim: width of a clip's sound vector; 0 for a network that hears nothing.
            picture_dim: width of a clip's picture vector.
            text_dim: width of a word's vector.

        Raises:
            BundleError: the file cannot be loaded, or holds a network for other widths.
        """
        try:
            self._session = open_graph(file)
        except Exception as error:  # onnxruntime raises bare Exception subclasses
            raise BundleError(
                f"The moment head {head_id!r} cannot be loaded from {file} ({error}): import it "
                "again."
            ) from error
        self._head_id = head_id
        self._sound_dim = sound_dim
        clip_dim = picture_dim + TEF_DIM + (sound_dim + TEF_DIM if sound_dim else 0)
        self._check_widths(file, clip_dim, text_dim)

    @property
    def head_id(self) -> str:
        return self._head_id

    def find(self, segment: SegmentView, query: EncodedQuery) -> list[Span]:
        """The moments of one segment, best first."""
        return self.find_all([segment], query)[0]

    def find_all(self, segments: Sequence[SegmentView], query: EncodedQuery) -> list[list[Span]]:
        """The moments of each segment, best first, as the network proposes them.

        There are as many as the network has queries, many of which repeat one another; those that
        lie outside the segment are left out. The network was trained on videos that hold what is
        asked for; its probability is weighed by the odds of the segment (docs/adr/0015).
        """
        if not segments:
            return []
        words = normalised_as_demo(query.tokens[:MAX_TOKENS])
        found: list[list[Span]] = []
        for first in range(0, len(segments), SEGMENTS_AT_ONCE):
            found += self._run(segments[first : first + SEGMENTS_AT_ONCE], words)
        similarities = np.array([float((s.vectors @ query.pooled).max()) for s in segments])
        odds = np.exp(COSINE_SCALE * (similarities - similarities.max()))
        return [
            [_weighed(span, share) for span in spans]
            for spans, share in zip(found, odds.tolist(), strict=True)
        ]

    def _run(
        self, segments: Sequence[SegmentView], words: NDArray[np.float32]
    ) -> Iterable[list[Span]]:
        videos = [self._video(segment) for segment in segments]
        text, text_mask = padded([words] * len(videos))
        arrays = (text, text_mask, *padded(videos))
        outputs = self._session.run(OUTPUT_NAMES, dict(zip(INPUT_NAMES, arrays, strict=True)))
        for segment, video, logits, boxes, saliency in zip(segments, videos, *outputs, strict=True):
            found = spans(logits, boxes, duration_s=len(video) * CLIP_S)
            yield _moments(segment, found, saliency[: len(video)])

    def _video(self, segment: SegmentView) -> NDArray[np.float32]:
        """What the network sees and hears of a segment: (clips, width)."""
        pictures = normalised_as_demo(segment.vectors)
        if not self._sound_dim:
            return video_input(pictures, None)
        if segment.sound is None:
            return video_input(pictures, np.zeros((len(pictures), self._sound_dim), np.float32))
        # The official data set cuts both to the shorter, which is for the tail of a track. Where
        # the sound ends long before the picture, what is seen must stay findable.
        (audible,) = np.nonzero(segment.sound.any(axis=1))
        clips = int(audible[-1]) + 1 if len(audible) else len(pictures)
        if len(pictures) - clips > _SOUND_SHORTER_BY:
            clips = len(pictures)
        return video_input(pictures[:clips], normalised_as_demo(segment.sound[:clips]))

    def _check_widths(self, file: Path, clip_dim: int, text_dim: int) -> None:
        widths = {put.name: put.shape[-1] for put in self._session.get_inputs()}
        if (widths.get("src_vid"), widths.get("src_txt")) != (clip_dim, text_dim):
            raise BundleError(
                f"{file} is not the network that its manifest describes, for clips of {clip_dim} "
                f"and words of {text_dim} numbers: import the moment head {self._head_id!r} again."
            )


def _weighed(span: Span, odds: float) -> Span:
    return replace(span, score=span.score * odds, stages={**span.stages, "segment_odds": odds})


def _moments(
    segment: SegmentView, found: NDArray[np.float32], saliency: NDArray[np.float32]
) -> list[Span]:
    """Spans in the video's time, from (Q, 3) in seconds of the segment; saliency is (clips,)."""
    first_s, last_s = float(segment.times_s[0, 0]), float(segment.times_s[-1, 1])
    centres_s = segment.times_s[: len(saliency)].mean(axis=1)
    moments = []
    for start_s, end_s, score in found.tolist():
        start_s, end_s = max(first_s + start_s, first_s), min(first_s + end_s, last_s)
        if start_s < end_s:
            stages = {
                "head_probability": score,
                "saliency": _saliency_within(saliency, centres_s, start_s, end_s),
            }
            moments.append(Span(start_s, end_s, score, stages))
    return moments


def _saliency_within(
    saliency: NDArray[np.float32], centres_s: NDArray[np.float64], start_s: float, end_s: float
) -> float:
    """Mean over the clips whose centre lies in the span; without one, that of the nearest clip."""
    first, end = np.searchsorted(centres_s, [start_s, end_s]).tolist()
    if first < end:
        return float(saliency[first:end].mean())
    return float(saliency[np.abs(centres_s - (start_s + end_s) / 2).argmin()])
