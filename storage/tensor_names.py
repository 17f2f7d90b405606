"""How the tensors of a file differ from those that a network has, in words for one sentence."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

Shape = tuple[int, ...]

_NAMED_AT_MOST = 3
"""So many names of one kind; the rest is counted."""

_LONGEST_NAME = 100


def differences(
    found: Mapping[str, Shape], wanted: Mapping[str, Shape], may_lack: Collection[str] = ()
) -> str:
    """What is missing, surplus or of another shape; empty where nothing is.

    E.g. "missing fc1.bias; misshapen fc1.weight (4, 2) instead of (4, 4)". `may_lack` names those
    that need not be there.
    """
    faults = {
        "missing": [name for name in wanted if name not in found and name not in may_lack],
        "surplus": [name for name in found if name not in wanted],
        "misshapen": [
            f"{name} {tuple(found[name])} instead of {tuple(shape)}"
            for name, shape in wanted.items()
            if name in found and tuple(found[name]) != tuple(shape)
        ],
    }
    return "; ".join(f"{kind} {listed(names)}" for kind, names in faults.items() if names)


def listed(names: Iterable[str]) -> str:
    """The first few of some names, escaped and cut: a stranger's file may have made them up."""
    every = list(names)
    first = ", ".join(ascii(name)[1:-1][:_LONGEST_NAME] for name in every[:_NAMED_AT_MOST])
    more = len(every) - _NAMED_AT_MOST
    return f"{first} and {more} more" if more > 0 else first
