"""Where the tensors lie in what a checkpoint's pickle describes, and what else it says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from storage.checkpoints.errors import SAVE_AGAIN, Malformed, shown
from storage.checkpoints.values import Inert, TensorRef
from storage.checkpoints.vocabulary import UNREADABLE_TENSORS

STATE_DICT_KEYS = ("model", "state_dict", "model_state_dict")
_MAX_DEPTH = 64
_MAX_MODULES = 100_000
_MAX_PLAIN_VALUES = 100_000
_MAX_ENTRY_VALUES = 10_000
_LINE = 100
"""Characters that count as one more value."""


def split_checkpoint(root: object) -> tuple[dict[str, TensorRef], dict[str, object]]:
    """Tensors of the state dict by name, and everything else in plain values.

    The state dict lies under one of `STATE_DICT_KEYS`, or is the checkpoint itself.

    Raises:
        Malformed: there is none, or one of its tensors is of a kind we cannot read.
    """
    if isinstance(root, dict):
        for key in STATE_DICT_KEYS:
            if _has_tensors(root.get(key)):
                return _tensors_of(root[key]), plain_fields(root, leave_out=key)
        if _has_tensors(root):
            return _tensors_of(root), plain_fields(root)
    raise Malformed(
        f"no state dict lies under {', '.join(map(repr, STATE_DICT_KEYS))} or at its top level",
        SAVE_AGAIN,
    )


def split_module_tree(root: object) -> tuple[dict[str, TensorRef], dict[str, object]]:
    """The same of a TorchScript archive: tensors by the path of attributes that leads to them.

    Parameters and buffers are not told apart; the names are those of the module's state dict.

    Raises:
        Malformed: it holds no module, or one that contains itself.
    """
    if not isinstance(root, Inert):
        raise Malformed("it is an archive of TorchScript without a module", SAVE_AGAIN)
    tensors: dict[str, TensorRef] = {}
    for name, tensor in _walk(root, (), [_MAX_MODULES]):
        if name in tensors:
            raise Malformed(f"it has two tensors named {shown(name)}", SAVE_AGAIN)
        tensors[name] = tensor
    if not tensors:
        raise Malformed("it is an archive of TorchScript without tensors", SAVE_AGAIN)
    return tensors, plain_fields(root.fields)


def plain_fields(fields: Mapping[Any, object], leave_out: str = "") -> dict[str, object]:
    """The entries that say something in plain values; tensors and objects are dropped.

    An entry that goes too deep, refers to itself or has more than 10,000 values (a line of text
    counts as one) is dropped whole, and so is what follows after 100,000 values.
    """
    told: dict[str, object] = {}
    left = _MAX_PLAIN_VALUES
    for key, value in fields.items():
        if isinstance(key, str) and key != leave_out and _is_text(key):
            budget = [min(left, _MAX_ENTRY_VALUES)]
            left -= budget[0]
            with contextlib.suppress(_TooMuch):
                told.update((key, plain) for plain in _plain(value, 0, budget))
            left += max(budget[0], 0)
    return told


class _TooMuch(Exception):
    pass


def _spend(left: list[int], text: str = "") -> None:
    left[0] -= 1 + len(text) // _LINE
    if left[0] < 0:
        raise _TooMuch


def _plain(value: object, depth: int, left: list[int]) -> Iterator[object]:
    """The value in plain form, or nothing if it is a tensor or an object."""
    _spend(left)
    if depth > _MAX_DEPTH:
        raise _TooMuch
    if isinstance(value, Inert) and value.kind == "argparse.Namespace":
        value = value.fields
    if value is None or type(value) in (bool, int, float):
        yield value
    elif isinstance(value, str):
        _spend(left, value)
        if _is_text(value):
            yield value
    elif isinstance(value, dict):
        told: dict[str, object] = {}
        for key, entry in value.items():
            if isinstance(key, str | int) and _is_text(str(key)):
                _spend(left, str(key))
                told.update((str(key), plain) for plain in _plain(entry, depth + 1, left))
        yield told
    elif isinstance(value, list | tuple):
        yield [plain for entry in value for plain in _plain(entry, depth + 1, left)]


def _has_tensors(candidate: object) -> bool:
    return isinstance(candidate, dict) and any(
        isinstance(value, TensorRef) for value in candidate.values()
    )


def _tensors_of(state_dict: dict[object, object]) -> dict[str, TensorRef]:
    tensors = {}
    for name, value in state_dict.items():
        if isinstance(value, Inert):
            kind = UNREADABLE_TENSORS.get(value.kind.removeprefix("torch._utils."))
            if kind is not None:
                raise Malformed(f"its tensor {shown(str(name))} is {kind}", SAVE_AGAIN)
        if isinstance(value, TensorRef):
            if not isinstance(name, str) or not _is_text(name):
                raise Malformed("one of its tensors has no readable name", SAVE_AGAIN)
            tensors[name] = value
    return tensors


def _walk(module: Inert, path: tuple[str, ...], left: list[int]) -> Iterator[tuple[str, TensorRef]]:
    left[0] -= 1
    if len(path) > _MAX_DEPTH or left[0] < 0:
        raise Malformed("its modules contain each other without end", SAVE_AGAIN)
    for name, value in module.fields.items():
        if isinstance(value, TensorRef):
            if not _is_text(name):
                raise Malformed("one of its tensors has no readable name", SAVE_AGAIN)
            yield ".".join((*path, name)), value
        elif isinstance(value, Inert) and value.kind.startswith("__torch__."):
            yield from _walk(value, (*path, name), left)


def _is_text(text: str) -> bool:
    """Whether it can be written as UTF-8: half a surrogate pair cannot."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)
