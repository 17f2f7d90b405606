"""Running ahead changes neither the items nor how the iteration ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.prefetch import prefetched


@given(st.lists(st.integers()), st.integers(1, 5))
def test_the_items_are_the_same_in_the_same_order(items: list[int], ahead: int) -> None:
    assert list(prefetched(iter(items), ahead)) == items


def test_an_error_comes_after_the_items_before_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("disk gone")

    seen = []
    with pytest.raises(OSError, match="disk gone"):
        for item in prefetched(broken(), 3):
            seen.append(item)
    assert seen == [1]


def test_a_consumer_that_stops_early_leaves_no_thread_behind() -> None:
    made = []

    def endless() -> Iterator[int]:
        while True:
            made.append(1)
            yield len(made)

    items = prefetched(endless(), 3)
    assert next(items) == 1
    items.close()
    count = len(made)
    assert count <= 6
    assert not any(thread.name == "prefetch" for thread in threading.enumerate())
    assert len(made) == count
