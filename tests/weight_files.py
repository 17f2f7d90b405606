"""Weight files written byte by byte, without torch: good ones, and the parts to make bad ones."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}
MODEL: dict[str, NDArray[Any]] = {
    "layer.weight": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "layer.bias": np.array([0.5, -2], dtype=np.float16),
    "steps": np.array(12, dtype=np.int64),
}

# Values, as the instructions that push them.


def text(value: str) -> bytes:
    encoded = value.encode("utf-8", "surrogatepass")
    return b"X" + len(encoded).to_bytes(4, "little") + encoded


def number(value: int) -> bytes:
    encoded = value.to_bytes(9, "little", signed=True)
    return b"\x8a\x09" + encoded


def group(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def mapping(entries: Mapping[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in entries.items()) + b"u"


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + group(*arguments) + b"R"


def new(kind: bytes, fields: Mapping[str, bytes]) -> bytes:
    """An object of a class, with attributes."""
    return kind + b")\x81" + mapping(fields) + b"b"


def storage(key: str, elements: int, kind: str = "FloatStorage") -> bytes:
    described = (text("storage"), name("torch", kind), text(key), text("cuda:0"), number(elements))
    return group(*described) + b"Q"


def tensor(
    place: bytes, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0
) -> bytes:
    return call(
        name("torch._utils", "_rebuild_tensor_v2"),
        place,
        number(offset),
        group(*map(number, shape)),
        group(*map(number, strides)),
        b"\x89",
        call(name("collections", "OrderedDict")),
    )


def state_dict(model: Mapping[str, NDArray[Any]] = MODEL) -> bytes:
    """Each array in a storage of its own, whose key is the array's place in the dict."""
    return mapping(
        {
            key: tensor(
                storage(str(place), array.size, STORAGES[str(array.dtype)]),
                array.shape,
                tuple(stride // array.itemsize for stride in array.strides),
            )
            for place, (key, array) in enumerate(model.items())
        }
    )


# Files.


def pickled(value: bytes) -> bytes:
    return b"\x80\x02" + value + b"."


def torch_zip(
    value: bytes | None = None,
    storages: Mapping[str, bytes] | None = None,
    others: Mapping[str, bytes] | None = None,
    compression: int = zipfile.ZIP_STORED,
) -> bytes:
    """What torch.save writes; by default `{"model": MODEL, "epoch": 84}`."""
    members = {"archive/data.pkl": pickled(value or checkpoint())}
    for key, content in (storages or numbers()).items():
        members[f"archive/data/{key}"] = content
    members |= others or {"archive/byteorder": b"little", "archive/version": b"3\n"}
    return zipped(members, compression)


def zipped(members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for member, content in members.items():
            archive.writestr(zipfile.ZipInfo(member), content, compression)
    return file.getvalue()


def script_zip() -> bytes:
    """A TorchScript archive of MODEL: a module `layer`, and `steps` beside it."""
    parts = {key: tensor_of(key) for key in MODEL}
    layer = {"weight": parts["layer.weight"], "bias": parts["layer.bias"]}
    module = {
        "training": b"\x89",
        "layer": new(name("__torch__.torch.nn", "Linear"), layer),
        "steps": parts["steps"],
    }
    root = new(name("__torch__", "Net"), module)
    return torch_zip(root, others={"archive/constants.pkl": b"\x80\x02)."})


def tensor_of(key: str) -> bytes:
    """The instructions for one tensor of MODEL."""
    place, array = list(MODEL).index(key), MODEL[key]
    strides = tuple(stride // array.itemsize for stride in array.strides)
    kind = STORAGES[str(array.dtype)]
    return tensor(storage(str(place), array.size, kind), array.shape, strides)


def torch_legacy(value: bytes | None = None) -> bytes:
    """What torch.save wrote before torch 1.6."""
    magic = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
    legacy_ids = (value or checkpoint()).replace(b"tQ", b"NtQ")
    keys = b"](" + b"".join(text(key) for key in numbers()) + b"e"
    head = [
        b"\x8a\x0a" + magic,
        number(1001),
        mapping({"little_endian": b"\x88"}),
        legacy_ids,
        keys,
    ]
    file = b"".join(map(pickled, head))
    for array in MODEL.values():
        file += array.size.to_bytes(8, "little") + array.tobytes()
    return file


def safetensors(header: Mapping[str, Any] | None = None, content: bytes | None = None) -> bytes:
    """By default MODEL, with a line of metadata."""
    if header is None:
        codes, at, entries = {"float32": "F32", "float16": "F16", "int64": "I64"}, 0, {}
        for key, array in MODEL.items():
            span = [at, at + array.nbytes]
            dtype, at = codes[str(array.dtype)], span[1]
            entries[key] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": span}
        header = {"__metadata__": {"format": "pt"}} | entries
    raw = json.dumps(header).encode()
    if content is None:
        content = b"".join(numbers().values())
    return len(raw).to_bytes(8, "little") + raw + content


def checkpoint() -> bytes:
    return mapping({"model": state_dict(), "epoch": number(84)})


def numbers() -> dict[str, bytes]:
    return {str(place): array.tobytes() for place, array in enumerate(MODEL.values())}


GOOD_FILES = {
    "torch zip": torch_zip(),
    "TorchScript archive": script_zip(),
    "torch legacy": torch_legacy(),
    "safetensors": safetensors(),
}
