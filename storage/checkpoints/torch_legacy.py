"""What torch.save wrote before torch 1.6: five pickles in a row, then the numbers.

The pickles are a magic number, a protocol number, facts of the machine, the object, and the list of
storage keys. Then follows each storage in the order of that list: the number of its elements
as int64, and the elements, always little-endian (torch/serialization.py, `_legacy_save`).
"""

from __future__ import annotations

from storage.checkpoints.contents import Contents
from storage.checkpoints.dtypes import item_size
from storage.checkpoints.errors import SAVE_AGAIN, Malformed
from storage.checkpoints.pickle_machine import MAX_PICKLE, run_pickle
from storage.checkpoints.state_dict import split_checkpoint
from storage.checkpoints.tensors import place, storage_size
from storage.checkpoints.values import Storage
from storage.checkpoints.vocabulary import storage

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_COUNT_BYTES = 8


def read_torch_legacy(data: memoryview) -> Contents:
    """Read a file of torch.save from before 1.6.

    Raises:
        Forbidden: it asks for something that no weights file needs.
        Malformed: it is damaged, or a pickle of another kind.
    """
    pickles = bytes(data[:MAX_PICKLE])
    try:
        magic, at = run_pickle(pickles)
    except Malformed:
        raise Malformed(
            "it is a file neither of torch nor of safetensors, or damaged",
            "name a weights file (.pt, .pth, .ckpt, .bin, .safetensors), or fetch it again",
        ) from None
    if magic != _MAGIC:
        raise Malformed("it is a bare pickle, in which torch stores no tensors", SAVE_AGAIN)
    protocol, at = run_pickle(pickles, at)
    if protocol != _PROTOCOL:
        raise Malformed("it is written in a format of torch that is not known", SAVE_AGAIN)
    _, at = run_pickle(pickles, at)
    known = _Storages()
    root, at = run_pickle(pickles, at, known.remember)
    keys, at = run_pickle(pickles, at)
    known.lay_out(keys, data, at)
    tensors, options = split_checkpoint(root)
    return Contents("torch legacy", place(tensors, known.find), options)


class _Storages:
    """The storages that the object's pickle names, and where they turn out to lie."""

    def __init__(self) -> None:
        self._named: dict[str, Storage] = {}
        self._found: dict[str, memoryview] = {}

    def remember(self, persistent_id: object) -> Storage:
        described = storage(persistent_id)
        self._named.setdefault(described.key, described)
        return described

    def lay_out(self, keys: object, data: memoryview, at: int) -> None:
        """Walk over the storages behind the pickles."""
        if not isinstance(keys, list):
            raise Malformed("its list of storages is damaged")
        for key in keys:
            described = self._named.get(key) if isinstance(key, str) else None
            if described is None or key in self._found:
                raise Malformed("its list of storages is damaged")
            elements = int.from_bytes(data[at : at + _COUNT_BYTES], "little", signed=True)
            start = at + _COUNT_BYTES
            at = start + max(elements, 0) * item_size(described.dtype)
            if elements < 0 or at > len(data):
                raise Malformed("the numbers at its end are missing")
            self._found[key] = data[start:at]

    def find(self, storage: Storage) -> memoryview:
        content = self._found.get(storage.key)
        if content is None:
            raise Malformed("lacks its numbers")
        if storage_size(storage) > len(content):
            raise Malformed("has fewer numbers than it says")
        return content[: storage_size(storage)]
