"""What goes into QD-DETR, and what its numbers mean; numpy only.

The official code has two ways for most steps, the demo's (`run_on_video/run.py`) and the training
data set's and evaluation's (`qd_detr/start_end_dataset.py`, `qd_detr/inference.py`,
`qd_detr/postprocessing_moment_detr.py`, `standalone_eval`); they differ in decimals and borders,
so each has a name of its own here. All of it: wjun0830/QD-DETR.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_TOKENS = 32
"""Text tokens that the published networks read, start and end included; the rest is cut."""
TEF_DIM = 2
"""Numbers of the temporal endpoint feature (`tef`)."""

INPUT_NAMES = ("src_txt", "src_txt_mask", "src_vid", "src_vid_mask")
"""Inputs of the network and of its ONNX graph, in this order."""
OUTPUT_NAMES = ("pred_logits", "pred_spans", "saliency_scores")
"""Outputs of the ONNX graph, in this order."""

_NORM_EPS = 1e-5
_EVALUATED_S = 150.0
_EVALUATED_STEP_S = 2.0
_NMS_CANDIDATES = 10


def tef(clips: int) -> NDArray[np.float32]:
    """Temporal endpoint feature: start and end of each clip as parts of the video, (clips, 2)."""
    starts = np.arange(clips, dtype=np.float32) / np.float32(clips)
    return np.stack([starts, starts + np.float32(1) / np.float32(clips)], axis=1)


def normalised_as_demo(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    """Scale each row (..., dim) to length 1, as torch's `normalize` does with eps 1e-5."""
    rows = rows.astype(np.float32)
    unit: NDArray[np.float32] = rows / _norms(rows).clip(min=_NORM_EPS)
    return unit


def normalised_as_dataset(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    """Scale each row (..., dim) to just below length 1, as the training data set does."""
    rows = rows.astype(np.float32)
    nearly_unit: NDArray[np.float32] = rows / (_norms(rows) + np.float32(_NORM_EPS))
    return nearly_unit


def video_input(
    clips: NDArray[np.float32], sound: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Put a video's features side by side: picture, start, end, and with sound: sound, start, end.

    Args:
        clips: float32 (n, d), normalised.
        sound: float32 (n, a), normalised, of the same clips; None for a network that hears nothing.

    Returns:
        float32 (n, d + 2), or (n, d + 2 + a + 2).

    Raises:
        ValueError: clips and sound differ in number.
    """
    endpoints = tef(len(clips))
    parts = [clips, endpoints] if sound is None else [clips, endpoints, sound, endpoints]
    return np.concatenate(parts, axis=1, dtype=np.float32)


def padded(
    rows: Sequence[NDArray[np.float32]],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Stack sequences (n_i, d) of different lengths.

    Returns:
        float32 (B, L, d) with zeros behind each shorter one, and the mask float32 (B, L): 1 where
        it is real. L is the longest n_i.
    """
    longest = max(len(row) for row in rows)
    stacked = np.zeros((len(rows), longest, rows[0].shape[1]), np.float32)
    mask = np.zeros((len(rows), longest), np.float32)
    for index, row in enumerate(rows):
        stacked[index, : len(row)] = row
        mask[index, : len(row)] = 1
    return stacked, mask


def foreground(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probability (..., Q) that a query is a moment, from logits (..., Q, 2)."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probability: NDArray[np.float32] = shifted[..., 0] / shifted.sum(axis=-1)
    return probability


def spans(
    logits: NDArray[np.float32], centres_widths: NDArray[np.float32], duration_s: float
) -> NDArray[np.float32]:
    """Read the moments off a video's outputs, as the demo does.

    Args:
        logits: `pred_logits`, float32 (Q, 2).
        centres_widths: `pred_spans`, float32 (Q, 2), parts of the video.
        duration_s: clips × 2 s; the evaluation takes the annotated duration.

    Returns:
        float32 (Q, 3): start_s, end_s, score; best first, equal ones in the order of the queries.
        Neither clipped nor rounded: a moment may begin before 0 and end after the video.
    """
    scores = foreground(logits)
    centres, half_widths = centres_widths[:, 0], centres_widths[:, 1] / 2
    times_s = np.stack([centres - half_widths, centres + half_widths], axis=1)
    found = np.concatenate([times_s * np.float32(duration_s), scores[:, None]], axis=1)
    best_first: NDArray[np.float32] = found[np.argsort(-scores, kind="stable")]
    return best_first


def spans_as_evaluated(
    logits: NDArray[np.float32],
    centres_widths: NDArray[np.float32],
    duration_s: float,
    *,
    nms_threshold: float | None = None,
) -> NDArray[np.float64]:
    """Read the moments off a video's outputs, as they are handed to the evaluation.

    The arguments are those of `spans`; `nms_threshold` switches on the official suppression,
    which the published results do without.

    Returns:
        float64 (at most Q, 3): start_s, end_s, score; best first.
    """
    found = rounded_as_evaluated(four_decimals(spans(logits, centres_widths, duration_s)))
    return found if nms_threshold is None else without_repeats(found, nms_threshold)


def rounded_as_evaluated(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Clip (n, 3) start_s, end_s, score to 0…150 s, and round to multiples of 2 s.

    Always 150 s, whatever the video's length; halfway goes to the multiple of 4. Scores keep four
    decimals. A moment may end up with no length.
    """
    rounded = four_decimals(rows)
    times_s = np.clip(rows[:, :2].astype(np.float32), 0, _EVALUATED_S)
    rounded[:, :2] = np.round(times_s / _EVALUATED_STEP_S) * _EVALUATED_STEP_S
    return rounded


def without_repeats(
    rows: NDArray[np.floating], threshold: float, at_most: int = _NMS_CANDIDATES
) -> NDArray[np.float64]:
    """Drop what overlaps a better one: official temporal NMS of (n, 3) start_s, end_s, score.

    Overlap is the shared time over the time from the first start to the last end. Only the best
    ten are looked at, and at most `at_most` remain, best first.
    """
    best_first = np.argsort(-rows[:, 2], kind="stable")[:_NMS_CANDIDATES]
    kept: list[NDArray[np.float64]] = []
    for row in rows[best_first].astype(np.float64):
        if all(_overlap(row, better) <= threshold for better in kept):
            kept.append(row)
    return np.array(kept[:at_most]).reshape(-1, 3)


def saliency_as_evaluated(scores: NDArray[np.float32], clips: int) -> NDArray[np.float16]:
    """Saliency of the real clips, (clips,), from scores (V,); the demo rounds to 4 decimals too."""
    return scores[:clips].astype(np.float16)


def four_decimals(numbers: NDArray[np.floating]) -> NDArray[np.float64]:
    """Numbers as they are printed to four decimals, from float32 as the official code does."""
    printed = [float(f"{number:.4f}") for number in numbers.astype(np.float32).ravel().tolist()]
    return np.array(printed).reshape(numbers.shape)


def _norms(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    norms: NDArray[np.float32] = np.linalg.norm(rows, axis=-1, keepdims=True)
    return norms


def _overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    shared_s = min(one[1], other[1]) - max(one[0], other[0])
    hull_s = max(one[1], other[1]) - min(one[0], other[0])
    return float(max(shared_s, 0) / hull_s) if hull_s > 0 else 0.0
