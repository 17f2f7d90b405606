"""Chooses the constants of the watershed head on composed tapes: python -m training.watershed

Two tasks on the photos of the validation split: find an event's moment on a tape of 40 (R1 at
several IoU, mIoU), and find the right one among 300 short films of one event each (R@1, R@5).
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.encoders.lite import LiteImageEncoder
from search.moments.base import Span
from search.moments.watershed import Watershed, WatershedSettings
from search.ranking import temporal_iou
from search.text.base import EncodedQuery
from search.text.lite import LiteTextEncoder
from storage.bundles import load_encoder
from training import tapes
from training.photos import Photo, read_pictures, read_table

EVENTS_PER_TAPE = 40
FILMS = 300


@dataclass(frozen=True, repr=False)
class Task:
    """One tape with its scenes' vectors and a query for each of its events."""

    tape: tapes.Tape
    of_scenes: NDArray[np.float32]
    queries: tuple[EncodedQuery, ...]

    def best(self, head: Watershed, query: EncodedQuery) -> Span:
        """The head's first answer on the whole tape."""
        background = float((self.tape.vectors @ query.pooled).mean())
        return self.best_against(head, query, background)

    def best_against(self, head: Watershed, query: EncodedQuery, background: float) -> Span:
        """The same with the background of a larger archive."""
        views = tapes.views(self.tape, self.of_scenes, background)
        spans = (head.find(view, query)[0] for view in views)
        return max(spans, key=lambda span: span.score)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, default=Path("../shared/images"))
    parser.add_argument("--cache", type=Path, help="keep the vectors of the crops in this file")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    photos = [p for p in read_table(arguments.images) if p.split == "val" and p.captions]
    vectors = _vectors(arguments.images, photos, arguments.cache, arguments.seed)
    long = list(_tasks(photos, vectors, EVENTS_PER_TAPE, arguments.seed))
    short = list(_tasks(photos[:FILMS], vectors[:FILMS], 1, arguments.seed))
    for settings in _grid():
        head = Watershed(settings)
        print(_moments(head, long), _films(head, short), settings, flush=True)


def _grid() -> Iterator[WatershedSettings]:
    for prior, contrast in itertools.product((0.0, 0.5, 1.0, 2.0), (0.0, 0.25, 0.5, 1.0)):
        yield WatershedSettings(prior_clips=prior, contrast=contrast)


def _vectors(
    images: Path, photos: list[Photo], cache: Path | None, seed: int
) -> NDArray[np.float32]:
    """(photos, LOOKS, dim)"""
    if cache is not None and cache.exists():
        kept: NDArray[np.float32] = np.load(cache)
        return kept
    encoder = LiteImageEncoder(load_encoder())
    vectors = np.zeros((len(photos), tapes.LOOKS, encoder.stamp.dim), np.float32)
    for position, picture in read_pictures(images, photos):
        vectors[position] = encoder.encode(tapes.looks(picture, photos[position], seed))
    if cache is not None:
        np.save(cache, vectors)
    return vectors


def _tasks(
    photos: list[Photo], vectors: NDArray[np.float32], events: int, seed: int
) -> Iterator[Task]:
    """Tapes of `events` photos each, in a random order; each event is asked for by a caption."""
    rng = np.random.default_rng(seed)
    words = LiteTextEncoder(load_encoder())
    order = rng.permutation(len(photos))
    for first in range(0, len(order) - events + 1, events):
        tape = tapes.compose(vectors, order[first : first + events], rng)
        captions = [rng.choice(np.array(photos[event.photo].captions)) for event in tape.events]
        queries = tuple(words.encode(str(caption)) for caption in captions)
        yield Task(tape, tapes.scene_vectors(tape), queries)


def _moments(head: Watershed, tasks: list[Task]) -> str:
    ious = []
    for task in tasks:
        for event, query in zip(task.tape.events, task.queries, strict=True):
            truth = Span(event.start_s, event.end_s, 0.0, {})
            ious.append(temporal_iou(task.best(head, query), truth))
    measured = np.array(ious)
    recall = " ".join(f"{100 * (measured >= at).mean():5.1f}" for at in (0.3, 0.5, 0.7))
    return f"R1@0.3/0.5/0.7 {recall} mIoU {100 * measured.mean():5.1f}"


def _films(head: Watershed, films: list[Task]) -> str:
    clips = np.concatenate([film.tape.vectors for film in films])
    places = []
    for number, asked in enumerate(films):
        (query,) = asked.queries
        background = float((clips @ query.pooled).mean())
        scores = [film.best_against(head, query, background).score for film in films]
        places.append(sum(score > scores[number] for score in scores))
    recall = " ".join(f"{100 * np.mean([place < k for place in places]):5.1f}" for k in (1, 5))
    return f"films R@1/5 {recall}"


if __name__ == "__main__":
    main()
