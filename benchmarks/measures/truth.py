"""What is true of a question in one archive, and whether a hit is right.

The rule of the measuring set's README: a hit is right when it overlaps a true window with
IoU >= 0.3, or when its middle lies in one. A hit that lies rather in an arguable window than in a
true one counts neither way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.footage import Question, Window

RIGHT_IOU = 0.3


@dataclass(frozen=True)
class Found:
    """A hit: where it lies, and what the search says of it."""

    file: str
    start_s: float
    end_s: float
    score: float
    probability: float | None = None
    """Chance that it is right, as the search says; None from a head that cannot tell."""

    @property
    def window(self) -> Window:
        return self.start_s, self.end_s


@dataclass(frozen=True)
class Answer:
    """All that a search brings for a question, and what it says of it by default."""

    hits: tuple[Found, ...]
    """Best first, also those that a user sees only with `--all`."""
    refused: bool
    """Whether a user is told that nothing in the archive matches."""
    understood: bool = True
    """False where the question was turned down, for example for its language."""


@dataclass(frozen=True)
class Case:
    """A question that was put to one archive: what is true there, and what was answered."""

    question: Question
    truths: Mapping[str, tuple[Window, ...]]
    """File to windows; empty where the question is true nowhere in this archive."""
    answer: Answer
    maybes: Mapping[str, tuple[Window, ...]] = field(default_factory=dict)

    @property
    def is_absent(self) -> bool:
        """Nothing in this archive is right, and nothing arguably so."""
        return not self.truths and not self.maybes

    def hits(self) -> list[Found]:
        """The hits that count, best first: those in arguable windows are passed over."""
        return [hit for hit in self.answer.hits if not self._is_arguable(hit)]

    def is_right(self, hit: Found) -> bool:
        """Whether a user who asked the question would be content with the hit."""
        middle_s = (hit.start_s + hit.end_s) / 2
        windows = self.truths.get(hit.file, ())
        inside = any(start_s <= middle_s <= end_s for start_s, end_s in windows)
        return inside or best_iou(hit.window, windows) >= RIGHT_IOU

    def _is_arguable(self, hit: Found) -> bool:
        maybe = best_iou(hit.window, self.maybes.get(hit.file, ()))
        return maybe > best_iou(hit.window, self.truths.get(hit.file, ()))


def best_iou(window: Window, others: Sequence[Window]) -> float:
    """The highest IoU of a window with one of the others; 0 without any."""
    return max((iou(window, other) for other in others), default=0.0)


def iou(one: Window, other: Window) -> float:
    """Length of the intersection over that of the union."""
    shared_s = min(one[1], other[1]) - max(one[0], other[0])
    if shared_s <= 0:
        return 0.0
    return shared_s / (max(one[1], other[1]) - min(one[0], other[0]))
