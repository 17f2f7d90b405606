"""Where a pickle's instructions keep their things: input, stack, marks, memo, and a budget."""

from __future__ import annotations

from collections.abc import Callable

from storage.checkpoints.errors import Malformed
from storage.checkpoints.values import Inert

MAX_INSTRUCTIONS = 2_000_000
"""A tensor takes some 37, so CLIP's ViT-L/14 about 20,000; memory and time stay in proportion."""

_CHEAP_KEYS = (str, bytes, float, bool, type(None))


class PickleState:
    """The stack machine's data; every way to misuse it raises Malformed."""

    def __init__(self, data: bytes, at: int, persistent: Callable[[object], object]) -> None:
        self.data = data
        self.at = at
        self.persistent = persistent
        self.stack: list[object] = []
        self.memo: dict[int, object] = {}
        self._below: list[list[object]] = []
        """Stacks that lie below the open marks."""
        self._left = MAX_INSTRUCTIONS

    def spend(self, work: int) -> None:
        """Count work that grows with the size of what an instruction touches."""
        self._left -= work
        if self._left < 0:
            raise Malformed("its pickle is longer than any that describes weights")

    def take(self, size: int) -> bytes:
        """The next bytes of the input; a claim beyond its end costs nothing."""
        end = self.at + size
        if end > len(self.data):
            raise Malformed("its pickle is cut short")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def take_number(self, size: int) -> int:
        """An unsigned little-endian number of so many bytes."""
        return int.from_bytes(self.take(size), "little")

    def take_line(self) -> bytes:
        """Up to the next line feed, without it."""
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise Malformed("its pickle is cut short")
        line = self.data[self.at : end]
        self.at = end + 1
        return line

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> object:
        if not self.stack:
            raise Malformed("its pickle is damaged")
        return self.stack.pop()

    def top(self) -> object:
        if not self.stack:
            raise Malformed("its pickle is damaged")
        return self.stack[-1]

    def mark(self) -> None:
        self._below.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[object]:
        """What was pushed since the last mark."""
        if not self._below:
            raise Malformed("its pickle is damaged")
        above, self.stack = self.stack, self._below.pop()
        return above

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise Malformed("its pickle is damaged")
        self.push(self.memo[index])


def set_items(target: object, keys_and_values: list[object]) -> None:
    """`target[key] = value` for a dict; other mappings are inert and take nothing."""
    if len(keys_and_values) % 2:
        raise Malformed("its pickle is damaged")
    if isinstance(target, dict):
        pairs = zip(keys_and_values[::2], keys_and_values[1::2], strict=True)
        target.update((_cheap_key(key), value) for key, value in pairs)
    elif not isinstance(target, Inert):
        raise Malformed("its pickle is damaged")


def append_all(target: object, items: list[object]) -> None:
    """Extend a list; other sequences are inert and take nothing."""
    if isinstance(target, list):
        target.extend(items)
    elif not isinstance(target, Inert):
        raise Malformed("its pickle is damaged")


def _cheap_key(key: object) -> object:
    """The key itself, if hashing it takes no time worth mentioning; else a stand-in.

    Nested tuples that share their parts take exponential time to hash, and huge integers can be
    chosen to collide. No state dict has such keys.
    """
    if isinstance(key, _CHEAP_KEYS) or (type(key) is int and -(2**63) <= key < 2**63):
        return key
    return Inert(type(key).__name__)
