"""From annotations in seconds and clips to the targets of the loss.

The rules are those of the official ``qd_detr/start_end_dataset.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from search.evaluation.records import Highlights
from storage.records import CLIP_S
from training.moment_retrieval.annotations import Annotation
from training.moment_retrieval.errors import TrainingError

MAX_WINDOWS = 5
"""Of a query with more windows, so many are drawn each time."""
TOLERATED_CLIPS = 1
"""So many clips may the features be shorter than the annotation: extractors round differently."""


@dataclass(frozen=True)
class SaliencyLabels:
    """Clip numbers and ratings of one video."""

    positive: tuple[int, int]
    """A clip that fits better than the negative one of the same place: the best, a random one."""
    negative: tuple[int, int]
    """The worst of the relevant clips, a random one beside the matter."""
    ratings: NDArray[np.float32]
    """(clips,): sum of the annotators' ratings, 0 for clips beside the matter."""


@dataclass(frozen=True)
class Labels:
    """What the network should have said about one video and sentence."""

    spans: NDArray[np.float32]
    """(windows, 2): centre and width in parts of the video; at most `MAX_WINDOWS`."""
    saliency: SaliencyLabels | None


def labels(annotation: Annotation, clips: int, random: Random) -> Labels:
    """The labels of a video of which there are features for ``clips`` clips.

    Raises `TrainingError` if windows or rated clips lie beyond the features.
    """
    _check_reach(annotation, clips)
    spans = _spans(annotation, clips, random)
    rated = annotation.highlights
    return Labels(spans, None if rated is None else _saliency(rated, clips, random))


def _spans(annotation: Annotation, clips: int, random: Random) -> NDArray[np.float32]:
    windows = list(annotation.windows_s)
    if len(windows) > MAX_WINDOWS:
        random.shuffle(windows)
    parts = np.array(windows[:MAX_WINDOWS], np.float32) / np.float32(clips * CLIP_S)
    start, end = parts[:, 0], parts[:, 1]
    return np.stack([(start + end) * np.float32(0.5), end - start], axis=1)


def _saliency(rated: Highlights, clips: int, random: Random) -> SaliencyLabels:
    relevant = np.minimum(rated.clip_ids, clips - 1).tolist()
    sums = rated.ratings.sum(axis=1).astype(np.float32)
    order = np.argsort(sums, kind="stable")  # numpy's default breaks ties by the processor's kind
    best, worst = relevant[order[-1]], relevant[order[0]]

    beside = sorted(set(range(clips)) - set(relevant))
    easy, beyond = best, worst
    if beside:
        easy, beyond = random.sample(relevant, 1)[0], random.sample(beside, 1)[0]
    ratings = np.zeros(clips, np.float32)
    ratings[relevant] = sums
    return SaliencyLabels((best, easy), (worst, beyond), ratings)


def _check_reach(annotation: Annotation, clips: int) -> None:
    reach = clips + TOLERATED_CLIPS
    last_s = max(end_s for _, end_s in annotation.windows_s)
    rated = annotation.highlights
    last_clip = -1 if rated is None else int(rated.clip_ids.max())
    if last_s > reach * CLIP_S or last_clip >= reach:
        raise TrainingError(
            f"qid {annotation.qid}: there are features for {clips} clips ({clips * CLIP_S:g} s) of "
            f"{annotation.vid}, but windows or rated clips up to "
            f"{max(last_s, (last_clip + 1) * CLIP_S):g} s: features and annotations do not belong "
            "together, or the video is longer than 150 s and has to be cut first."
        )
