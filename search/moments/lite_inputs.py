"""What the lite moment head is shown of a segment and a sentence; numpy only.

Beside the clips' vectors the network reads the curve of similarity itself, in scales that mean
the same for every sentence, film and archive, and where the film was cut. Training and search
both come through here, so that the head meets at a search what it learnt from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.moments.bank import Bank, Chance
from search.moments.base import SegmentView
from search.moments.qd_detr_inputs import TEF_DIM, tef
from search.text.base import EncodedQuery
from storage.records import CLIP_S, SEGMENT_CLIPS

CHANNELS = (
    "against_bank",
    "against_bank_top",
    "against_archive",
    "against_sentences",
    "against_sentences_top",
    "scene_against_archive",
    "rank",
    "best_clip_likeness",
    "continuity",
    "cut",
    "cut_place",
    "archive_against_bank",
    "bank_top",
    "length",
)
"""Numbers of a clip beside its vector and its place in the segment, in this order."""

INPUT_NAMES = ("src_txt", "src_txt_mask", "src_vid", "src_vid_mask")
OUTPUT_NAMES = ("pred_logits", "pred_spans", "saliency_scores", "exists")
"""Of the ONNX graph, in this order; `exists` (B,) is the logit that the segment shows it."""

MAX_TOKENS = 32
_SURE_DEVIATION = 0.03
"""Stands in where an archive is too small to tell how similarities stray."""
_LIMIT = 8.0
"""Standard scores beyond it mean no more."""


@dataclass(frozen=True, repr=False)
class Curves:
    """A segment as one sentence sees it; all (clips,) float32 unless said otherwise."""

    similarity: NDArray[np.float32]
    """Cosine with the sentence."""
    against_bank: NDArray[np.float32]
    """The same in standard deviations above what the sentence reaches on the bank's photos."""
    against_archive: NDArray[np.float32]
    """The same above clips all over the archive."""
    against_sentences: NDArray[np.float32]
    """The same above what the clip reaches with the bank's sentences on average."""
    channels: NDArray[np.float32]
    """(clips, len(CHANNELS))"""
    scenes_against_bank: NDArray[np.float32]
    """(scenes,): the scenes' own vectors, measured as the clips are."""
    scenes_against_archive: NDArray[np.float32]
    """(scenes,)"""


def width(dim: int) -> int:
    """Numbers per clip that the network reads, for vectors of `dim` numbers."""
    return dim + TEF_DIM + len(CHANNELS)


def curves(segment: SegmentView, query: EncodedQuery, bank: Bank, asked: Chance) -> Curves:
    """Hold a segment against a sentence, the bank and the archive.

    `asked` is `bank.of_sentences` of the sentence, which all segments share.
    """
    similarity = segment.vectors @ query.pooled
    mean, deviation, top = (float(part[0]) for part in (asked.mean, asked.deviation, asked.top))
    seen = bank.of_clips(segment.vectors)
    stray = max(segment.background_deviation, _SURE_DEVIATION)
    against_bank = _limited((similarity - mean) / deviation)
    against_archive = _limited((similarity - segment.background) / stray)
    # By the sentence's own measure: a dark or empty frame is as far from all sentences, and to
    # divide by how little they differ for it would make much of nothing.
    against_sentences = _limited((similarity - seen.mean) / deviation)
    of_scenes = segment.scene_vectors @ query.pooled
    scenes_against_archive = _limited((of_scenes - segment.background) / stray)
    cut, place = _cuts(segment)
    rows = len(similarity)
    order = np.argsort(np.argsort(similarity, kind="stable"), kind="stable")
    best = segment.vectors[int(similarity.argmax())]
    before = segment.vectors[np.maximum(np.arange(rows) - 1, 0)]
    constant = np.ones(rows, np.float32)
    columns = {
        "against_bank": against_bank,
        "against_bank_top": _limited((similarity - top) / deviation),
        "against_archive": against_archive,
        "against_sentences": against_sentences,
        "against_sentences_top": _limited((similarity - seen.top) / deviation),
        "scene_against_archive": scenes_against_archive[_scene_of_clips(segment)],
        "rank": 2.0 * order / max(1, rows - 1) - 1.0,
        "best_clip_likeness": 4.0 * (segment.vectors @ best) - 2.0,
        "continuity": 4.0 * (segment.vectors * before).sum(axis=1) - 2.0,
        "cut": cut,
        "cut_place": place,
        "archive_against_bank": _limited(constant * (segment.background - mean) / deviation),
        "bank_top": _limited(constant * (top - mean) / deviation) - 2.0,
        "length": constant * (2.0 * rows / SEGMENT_CLIPS - 1.0),
    }
    channels = np.stack([columns[name] for name in CHANNELS], axis=1).astype(np.float32)
    return Curves(
        similarity=similarity,
        against_bank=against_bank,
        against_archive=against_archive,
        against_sentences=against_sentences,
        channels=channels,
        scenes_against_bank=_limited((of_scenes - mean) / deviation),
        scenes_against_archive=scenes_against_archive,
    )


def video_input(segment: SegmentView, seen: Curves) -> NDArray[np.float32]:
    """(clips, width(dim)): vector, place in time, channels."""
    rows = [segment.vectors, tef(len(segment.vectors)), seen.channels]
    return np.concatenate(rows, axis=1, dtype=np.float32)


def text_input(query: EncodedQuery) -> NDArray[np.float32]:
    """(1 + tokens, dim), unit length: the sentence as a whole, then its tokens."""
    rows = np.concatenate([query.pooled[np.newaxis], query.tokens[: MAX_TOKENS - 1]])
    unit: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return unit.astype(np.float32)


def _cuts(segment: SegmentView) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For each clip whether a scene begins in it, and where in it: 0 at its start, 1 at its end."""
    starts_s, ends_s = segment.times_s.T
    cut = np.zeros(len(starts_s), np.float32)
    place = np.zeros(len(starts_s), np.float32)
    begins_s = np.unique(segment.scenes_s[:, 0])
    for time_s in begins_s[(begins_s >= starts_s[0]) & (begins_s < ends_s[-1])].tolist():
        clip = int(np.searchsorted(starts_s, time_s, side="right")) - 1
        cut[clip], place[clip] = 1.0, (time_s - starts_s[clip]) / CLIP_S
    return cut, place


def _scene_of_clips(segment: SegmentView) -> NDArray[np.int64]:
    """Row of the scene in which the middle of each clip lies."""
    middles_s = segment.times_s.mean(axis=1)
    rows = np.searchsorted(segment.scenes_s[:, 0], middles_s, side="right") - 1
    clipped: NDArray[np.int64] = rows.clip(0, len(segment.scenes_s) - 1)
    return clipped


def _limited(scores: NDArray[np.floating]) -> NDArray[np.float32]:
    limited: NDArray[np.float32] = np.clip(scores, -_LIMIT, _LIMIT).astype(np.float32)
    return limited
