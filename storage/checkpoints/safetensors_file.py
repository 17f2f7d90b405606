"""safetensors: a length, a JSON header, and the numbers (README.md of huggingface/safetensors).

The rules are the official reader's: the header names every byte of the rest exactly once. Only the
bound on the header is tighter (8 MB for 100 MB; each tensor needs about 120 bytes).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from storage.checkpoints.contents import Contents
from storage.checkpoints.dtypes import SAFETENSORS, item_size
from storage.checkpoints.errors import SAVE_AGAIN, Malformed, shown
from storage.checkpoints.tensors import MAX_DIMENSIONS, place
from storage.checkpoints.values import Storage, TensorRef

MAX_HEADER = 8 * 2**20
_LENGTH_BYTES = 8


def is_safetensors(data: memoryview) -> bool:
    """Whether a file begins like one: a length, and an opening brace behind it."""
    return bytes(data[_LENGTH_BYTES : _LENGTH_BYTES + 1]) == b"{"


def read_safetensors(data: memoryview) -> Contents:
    """Read a safetensors file; its metadata become the options.

    Raises:
        Malformed: the header is damaged, or does not fit the file.
    """
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    if length > min(MAX_HEADER, len(data) - _LENGTH_BYTES):
        raise Malformed("its header is cut short, or it is no safetensors file")
    header = _parse_header(bytes(data[_LENGTH_BYTES : _LENGTH_BYTES + length]))
    numbers = data[_LENGTH_BYTES + length :]
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise Malformed("its metadata are damaged")
    entries = {name: _checked(name, entry) for name, entry in header.items()}
    _check_cover([span for _, _, span in entries.values()], len(numbers))
    if not entries:
        raise Malformed("it holds no tensors", SAVE_AGAIN)
    spans = {name: numbers[slice(*span)] for name, (_, _, span) in entries.items()}
    tensors = {
        name: TensorRef(
            Storage(name, dtype, math.prod(shape)), dtype, 0, shape, _row_major_strides(shape)
        )
        for name, (dtype, shape, _) in entries.items()
    }
    stored = place(tensors, lambda storage: spans[storage.key])
    return Contents("safetensors", stored, metadata)


def _parse_header(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8")
        header = json.loads(text, object_pairs_hook=_without_duplicates)
        # Escapes in JSON can spell half a surrogate pair, which no UTF-8 can.
        json.dumps(header, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise Malformed("its header is damaged") from None
    if not isinstance(header, dict):
        raise Malformed("its header is damaged")
    return header


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("a name occurs twice")
    return entries


def _checked(name: str, entry: object) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    """Number format, shape, and first and last byte (exclusive) of an entry."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Malformed(f"its entry {shown(name)} is damaged")
    dtype, shape, span = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in SAFETENSORS:
        raise Malformed(
            f"its tensor {shown(name)} has the number format {shown(str(dtype))}",
            f"{SAVE_AGAIN}, as float32",
        )
    if not (_are_sizes(shape) and _are_sizes(span) and len(span) == 2):
        raise Malformed(f"its entry {shown(name)} is damaged")
    size = math.prod(shape) * item_size(SAFETENSORS[dtype])
    if len(shape) > MAX_DIMENSIONS or span[1] - span[0] != size:
        raise Malformed(f"its tensor {shown(name)} has not the size of its shape")
    return SAFETENSORS[dtype], tuple(shape), (span[0], span[1])


def _are_sizes(numbers: object) -> bool:
    return (
        isinstance(numbers, list)
        and len(numbers) <= MAX_DIMENSIONS
        and all(type(number) is int and 0 <= number < 2**62 for number in numbers)
    )


def _check_cover(spans: Sequence[tuple[int, int]], size: int) -> None:
    """Spans must follow each other without holes or overlap, and end with the file."""
    end = 0
    for span in sorted(spans):
        if span[0] != end:
            raise Malformed("its tensors overlap, or leave holes")
        end = span[1]
    if end != size:
        raise Malformed("it is cut short, or longer than its header says")


def _row_major_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
