"""Zip archives: what torch.save writes since torch 1.6, and TorchScript's archives.

Layout (torch/serialization.py, caffe2/serialize/inline_container.cc): one top folder with
`data.pkl`, a member `data/KEY` for each storage, `byteorder`; TorchScript adds `constants.pkl` and
`code/`, neither of which is looked at.
"""

from __future__ import annotations

from storage.checkpoints.contents import Contents
from storage.checkpoints.errors import SAVE_AGAIN, Malformed, shown
from storage.checkpoints.pickle_machine import MAX_PICKLE, run_pickle
from storage.checkpoints.state_dict import split_checkpoint, split_module_tree
from storage.checkpoints.tensors import place, storage_size
from storage.checkpoints.values import Storage
from storage.checkpoints.vocabulary import storage
from storage.checkpoints.zip_directory import Member, read_directory

SIGNATURE = b"PK\3\4"


def read_torch_zip(data: memoryview) -> Contents:
    """Read an archive of torch.save or TorchScript.

    Raises:
        Forbidden: it asks for something that no weights file needs.
        Malformed: it is damaged, or not an archive of torch.
    """
    members = _inside_top_folder(read_directory(data))
    if "data.pkl" not in members:
        raise Malformed("it is a zip archive, but not one that torch writes", SAVE_AGAIN)
    pickled = members["data.pkl"]
    if pickled.size > MAX_PICKLE:
        raise Malformed("its pickle is longer than any that describes weights", SAVE_AGAIN)
    root, _ = run_pickle(bytes(pickled.read(data)), persistent=storage)
    script = "constants.pkl" in members
    tensors, options = split_module_tree(root) if script else split_checkpoint(root)
    stored = place(tensors, _StorageMembers(members, data), _is_big_endian(members, data))
    return Contents("TorchScript archive" if script else "torch zip", stored, options)


class _StorageMembers:
    """Finds the bytes of a storage, and checks each member once."""

    def __init__(self, members: dict[str, Member], data: memoryview) -> None:
        self._members = members
        self._data = data
        self._checked: dict[str, memoryview] = {}

    def __call__(self, storage: Storage) -> memoryview:
        name = f"data/{storage.key}"
        if name not in self._checked:
            if name not in self._members:
                raise Malformed(f"lacks its numbers: there is no member {shown(name)}")
            self._checked[name] = self._members[name].read(self._data)
        content = self._checked[name]
        if storage_size(storage) > len(content):
            raise Malformed("has fewer numbers than it says")
        return content[: storage_size(storage)]


def _inside_top_folder(members: dict[str, Member]) -> dict[str, Member]:
    """Members by their names inside of the one folder that holds them all."""
    tops = {name.partition("/")[0] for name in members}
    if len(tops) != 1:
        raise Malformed("it is a zip archive, but not one that torch writes", SAVE_AGAIN)
    return {name.partition("/")[2]: member for name, member in members.items()}


def _is_big_endian(members: dict[str, Member], data: memoryview) -> bool:
    """Archives from before torch 2.1 say nothing and are little-endian."""
    if "byteorder" not in members:
        return False
    order = bytes(members["byteorder"].read(data)[:16])
    if order not in (b"little", b"big"):
        raise Malformed("it names a byte order that does not exist")
    return order == b"big"
