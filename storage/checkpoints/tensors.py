"""Tensors as views of a file, after every number that describes them has been checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.checkpoints.dtypes import AS_STORED, decode, item_size
from storage.checkpoints.errors import SAVE_AGAIN, Malformed, shown
from storage.checkpoints.values import Storage, TensorRef

MAX_DIMENSIONS = 32
"""What numpy 1.26 can hold; networks use up to 5."""
_MAX_EMPTY = 2**40
"""Bound on the other dimensions of a tensor without elements, which cost nothing."""
_MAX_SHARING = 4
"""Tied weights may be listed more than once; a file that lists them without end is a bomb."""

StorageBytes = Callable[[Storage], memoryview]
"""Where the bytes of a storage lie: raises Malformed if they are missing or too few."""


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """One tensor, still as it lies in the file."""

    stored: NDArray[Any]
    dtype: str


class LazyTensors(Mapping[str, NDArray[Any]]):
    """Name to array; an array is made when it is asked for, and is a view of the file if it can be.

    Whoever needs a converted one (bfloat16, big-endian, unaligned) twice should keep it.
    """

    def __init__(self, tensors: Mapping[str, StoredTensor]) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> NDArray[Any]:
        tensor = self._tensors[name]
        return decode(tensor.stored, tensor.dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        return f"<{len(self)} tensors>"


def place(
    tensors: Mapping[str, TensorRef], storage_bytes: StorageBytes, big_endian: bool = False
) -> dict[str, StoredTensor]:
    """Lay every tensor over its storage.

    Raises:
        Malformed: a tensor reaches beyond its storage, repeats it, or has a format we cannot read.
    """
    placed = {}
    for name, tensor in tensors.items():
        try:
            placed[name] = _place_one(tensor, storage_bytes(tensor.storage), big_endian)
        except Malformed as error:
            raise Malformed(f"its tensor {shown(name)} {error}", error.advice) from None
    return placed


def check_sharing(tensors: Mapping[str, StoredTensor], file_size: int) -> None:
    """Refuse a list of tensors that would unfold to many times the file they lie in."""
    if sum(tensor.stored.nbytes for tensor in tensors.values()) > _MAX_SHARING * file_size:
        raise Malformed("its tensors repeat the same numbers over and over", SAVE_AGAIN)


def _place_one(tensor: TensorRef, data: memoryview, big_endian: bool) -> StoredTensor:
    if tensor.dtype not in AS_STORED:
        raise Malformed(f"has the number format {tensor.dtype}", f"{SAVE_AGAIN}, as float32")
    dtype = AS_STORED[tensor.dtype]
    if big_endian:
        dtype = dtype.newbyteorder(">")
    shape, strides = _sizes(tensor.shape, "shape"), _sizes(tensor.strides, "strides")
    (offset,) = _sizes((tensor.offset,), "offset")
    if len(shape) != len(strides):
        raise Malformed("has a shape and strides of different lengths")
    offset += tensor.storage.start
    if 0 in shape:
        return StoredTensor(_empty(shape, dtype), tensor.dtype)
    elements = len(data) // dtype.itemsize
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if last >= elements:
        raise Malformed("reaches beyond its storage")
    if math.prod(shape) > elements:
        raise Malformed("repeats the numbers of its storage", SAVE_AGAIN)
    view: NDArray[Any] = np.ndarray(
        shape,
        dtype,
        buffer=data,
        offset=offset * dtype.itemsize,
        strides=tuple(stride * dtype.itemsize for stride in strides),
    )
    return StoredTensor(view, tensor.dtype)


def _sizes(numbers: object, what: str) -> tuple[int, ...]:
    if not isinstance(numbers, tuple | list) or len(numbers) > MAX_DIMENSIONS:
        raise Malformed(f"has no usable {what}")
    for number in numbers:
        if type(number) is not int or not 0 <= number < 2**62:
            raise Malformed(f"has no usable {what}")
    return tuple(numbers)


def _empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    if math.prod(size for size in shape if size) > _MAX_EMPTY:
        raise Malformed("has no usable shape")
    return np.empty(shape, dtype)


def storage_size(storage: Storage) -> int:
    """Bytes that a storage says it has."""
    return storage.elements * item_size(storage.dtype)
