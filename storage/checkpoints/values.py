"""What the pickle of a checkpoint can turn into: plain values, and these four."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function that a pickle names. It is never looked up in Python."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Inert:
    """An object of some class, reduced to the name of the class and its attributes.

    Compared and hashed by identity, so that hashing costs the same however deep it is.
    """

    kind: str
    fields: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """A run of numbers outside of the pickle, which tensors are views of."""

    key: str
    dtype: str
    elements: int
    start: int = 0
    """Where a view of a storage begins, in elements (files from before torch 0.4)."""


@dataclass(frozen=True, slots=True, eq=False)
class TensorRef:
    """A tensor as the pickle describes it; nothing of it has been checked against its storage."""

    storage: Storage
    dtype: str
    offset: object
    """In elements, as `shape` and `strides`; untrusted, so of any type."""
    shape: object
    strides: object
