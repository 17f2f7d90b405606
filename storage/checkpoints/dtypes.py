"""Number formats: torch's and safetensors' names, how they lie in a file, what numpy gets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

AS_STORED: dict[str, np.dtype[Any]] = {
    "float64": np.dtype("<f8"),
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
    "int64": np.dtype("<i8"),
    "int32": np.dtype("<i4"),
    "int16": np.dtype("<i2"),
    "int8": np.dtype("i1"),
    "uint64": np.dtype("<u8"),
    "uint32": np.dtype("<u4"),
    "uint16": np.dtype("<u2"),
    "uint8": np.dtype("u1"),
    "bool": np.dtype("u1"),
    "complex64": np.dtype("<c8"),
    "complex128": np.dtype("<c16"),
}
"""Formats that numpy can hold, little-endian; bfloat16 and bool as the bits that they are."""

SAFETENSORS = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
}

TORCH_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "UntypedStorage": "uint8",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
}

_UNREADABLE_SIZES = {
    "qint8": 1,
    "quint8": 1,
    "qint32": 4,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "float8_e4m3fnuz": 1,
    "float8_e5m2fnuz": 1,
}
TORCH_DTYPES = frozenset(AS_STORED) | frozenset(_UNREADABLE_SIZES)


def item_size(dtype: str) -> int:
    """Bytes of one element of a format of `TORCH_DTYPES`."""
    size = _UNREADABLE_SIZES.get(dtype)
    return AS_STORED[dtype].itemsize if size is None else size


def decode(stored: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Numbers in native byte order, aligned and read-only; a view of `stored` where that is one.

    bfloat16 becomes float32, which holds each of its values exactly. A bool is True for any byte
    but 0.
    """
    if dtype == "bfloat16":
        numbers = (stored.astype(np.uint32) << 16).view(np.float32)
    elif dtype == "bool":
        numbers = stored != 0
    elif not stored.dtype.isnative or not stored.flags.aligned:
        numbers = stored.astype(stored.dtype.newbyteorder("="))
    else:
        numbers = stored
    numbers = np.asarray(numbers)
    numbers.flags.writeable = False
    return numbers
