"""Batches, read ahead by threads.

What is random about an example and about the order follows from seed, epoch and number alone: a run
that is resumed sees the same batches as one that was never stopped, with any number of threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

from training.moment_retrieval.dataset import Batch, MomentDataset, collate

BATCHES_AHEAD = 3


@dataclass(frozen=True)
class Loader:
    """Reads a data set in batches."""

    dataset: MomentDataset
    batch_size: int
    seed: int
    threads: int

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def shuffled(self, epoch: int) -> Iterator[Batch]:
        """All examples in the random order of an epoch; the last batch may be smaller."""
        order = list(range(len(self.dataset)))
        Random(f"{self.seed} order of epoch {epoch}").shuffle(order)
        return self._batches(order, epoch)

    def in_order(self) -> Iterator[Batch]:
        """All examples in the order of the annotations."""
        return self._batches(range(len(self.dataset)), 0)

    def _batches(self, order: Sequence[int], epoch: int) -> Iterator[Batch]:
        chunks = (
            order[start : start + self.batch_size]
            for start in range(0, len(order), self.batch_size)
        )
        with ThreadPoolExecutor(self.threads, thread_name_prefix="features") as pool:
            waiting: deque[Future[Batch]] = deque()
            try:
                for chunk in chunks:
                    waiting.append(pool.submit(self._batch, chunk, epoch))
                    if len(waiting) > BATCHES_AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _batch(self, indices: Sequence[int], epoch: int) -> Batch:
        return collate(
            [
                self.dataset.example(index, Random(f"{self.seed} epoch {epoch} example {index}"))
                for index in indices
            ]
        )
