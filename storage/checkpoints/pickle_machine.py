"""Pickles read as data: each instruction, done without Python's pickle module.

The instructions are those of Lib/pickletools.py, protocols 0 to 5. A name is looked up in
`vocabulary` and nowhere else; calling it builds plain data. Not carried out at all: copyreg's
extension numbers and out-of-band buffers.
"""

from __future__ import annotations

import pickle  # for the names of the instructions; nothing is read with it
import struct
import warnings
from collections.abc import Callable

from storage.checkpoints import vocabulary
from storage.checkpoints.errors import Forbidden, Malformed
from storage.checkpoints.pickle_state import PickleState, append_all, set_items
from storage.checkpoints.values import Inert, Name, TensorRef

MAX_PICKLE = 32 * 2**20
"""Bytes of a pickle that are looked at; the one of CLIP's ViT-L/14 has less than 100 KB."""

_MAX_INT = 255
"""Bytes of an integer: all that LONG1 can hold, and quick to print."""

Instruction = Callable[[PickleState], None]
_INSTRUCTIONS: dict[int, Instruction] = {}


def run_pickle(
    data: bytes, at: int = 0, persistent: Callable[[object], object] | None = None
) -> tuple[object, int]:
    """Read the pickle that begins at an offset: its value, and the offset behind it.

    Values are str, bytes, int, float, bool, None, dict, list, tuple, and those of `values`. Sets
    become lists; dict keys that are neither strings nor numbers become stand-ins. `persistent`
    makes something of torch's storage descriptions.

    Raises:
        Forbidden: it asks for a name that is not in the vocabulary.
        Malformed: it is no pickle, or not one that describes weights.
    """
    state = PickleState(data, at, persistent or _no_storages)
    try:
        while state.at < len(data):
            code = data[state.at]
            state.at += 1
            state.spend(1)
            if code == _STOP:
                return state.pop(), state.at
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                raise Malformed(f"its pickle has an instruction 0x{code:02x}, which is not known")
            instruction(state)
    except (UnicodeError, ValueError, struct.error):
        raise Malformed("its pickle is damaged") from None
    raise Malformed("its pickle is cut short")


_STOP = pickle.STOP[0]


def _no_storages(persistent_id: object) -> object:
    raise Malformed("its pickle refers to something outside of it")


def _on(code: bytes) -> Callable[[Instruction], Instruction]:
    def register(instruction: Instruction) -> Instruction:
        _INSTRUCTIONS[code[0]] = instruction
        return instruction

    return register


def _push(code: bytes, make: Callable[[PickleState], object]) -> None:
    _INSTRUCTIONS[code[0]] = lambda state: state.push(make(state))


# Constants, containers, numbers.
_push(pickle.NONE, lambda state: None)
_push(pickle.NEWTRUE, lambda state: True)
_push(pickle.NEWFALSE, lambda state: False)
_push(pickle.EMPTY_TUPLE, lambda state: ())
_push(pickle.EMPTY_LIST, lambda state: [])
_push(pickle.EMPTY_DICT, lambda state: {})
_push(pickle.EMPTY_SET, lambda state: [])  # as a list, so that nothing gets hashed
_push(pickle.BININT1, lambda state: state.take_number(1))
_push(pickle.BININT2, lambda state: state.take_number(2))
_push(pickle.BININT, lambda state: int.from_bytes(state.take(4), "little", signed=True))
_push(pickle.BINFLOAT, lambda state: struct.unpack(">d", state.take(8))[0])
_push(pickle.LONG1, lambda state: _long(state, state.take_number(1)))
_push(pickle.LONG4, lambda state: _long(state, state.take_number(4)))
_push(pickle.INT, lambda state: _decimal(state))
_push(pickle.LONG, lambda state: _decimal(state))
_push(pickle.FLOAT, lambda state: float(_short_line(state)))

# Text and bytes. A `str` of Python 2 is kept as Latin-1; which it was, bytes or text, is not told.
_push(pickle.BINUNICODE, lambda state: state.take(state.take_number(4)).decode("utf-8"))
_push(pickle.SHORT_BINUNICODE, lambda state: state.take(state.take_number(1)).decode("utf-8"))
_push(pickle.BINUNICODE8, lambda state: state.take(state.take_number(8)).decode("utf-8"))
_push(pickle.BINBYTES, lambda state: state.take(state.take_number(4)))
_push(pickle.SHORT_BINBYTES, lambda state: state.take(state.take_number(1)))
_push(pickle.BINBYTES8, lambda state: state.take(state.take_number(8)))
_push(pickle.BYTEARRAY8, lambda state: state.take(state.take_number(8)))
_push(pickle.BINSTRING, lambda state: state.take(state.take_number(4)).decode("latin-1"))
_push(pickle.SHORT_BINSTRING, lambda state: state.take(state.take_number(1)).decode("latin-1"))
_push(pickle.UNICODE, lambda state: state.take_line().decode("raw-unicode-escape"))
_push(pickle.STRING, lambda state: _quoted(state.take_line()))

# Tuples, lists and dicts of what lies on the stack.
_push(pickle.TUPLE, lambda state: tuple(state.pop_mark()))
_push(pickle.LIST, lambda state: state.pop_mark())
_push(pickle.FROZENSET, lambda state: tuple(state.pop_mark()))
_push(pickle.DICT, lambda state: _filled({}, state.pop_mark()))
_push(pickle.TUPLE1, lambda state: (state.pop(),))
_push(pickle.TUPLE2, lambda state: (state.pop(), state.pop())[::-1])
_push(pickle.TUPLE3, lambda state: (state.pop(), state.pop(), state.pop())[::-1])
_push(pickle.DUP, lambda state: state.top())

# Names, calls, and what lies outside of the pickle.
_push(pickle.GLOBAL, lambda state: vocabulary.look_up(_name_line(state), _name_line(state)))
_push(pickle.STACK_GLOBAL, lambda state: _stack_global(state))
_push(pickle.REDUCE, lambda state: _called(state, state.pop(), state.pop()))
_push(pickle.NEWOBJ, lambda state: _called(state, state.pop(), state.pop()))
_push(pickle.BINPERSID, lambda state: state.persistent(state.pop()))
_push(pickle.PERSID, lambda state: state.persistent(state.take_line().decode("utf-8")))


@_on(pickle.NEWOBJ_EX)
def _new_object_with_keywords(state: PickleState) -> None:
    state.pop()
    _INSTRUCTIONS[pickle.NEWOBJ[0]](state)


@_on(pickle.INST)
def _instance(state: PickleState) -> None:
    name = vocabulary.look_up(_name_line(state), _name_line(state))
    arguments = tuple(state.pop_mark())
    state.push(_called(state, arguments, name))


@_on(pickle.OBJ)
def _object(state: PickleState) -> None:
    function, *arguments = state.pop_mark() or [None]
    state.push(_called(state, tuple(arguments), function))


@_on(pickle.BUILD)
def _build(state: PickleState) -> None:
    """Give an object its attributes. Only inert ones have any; a dict or tensor drops them."""
    attributes, target = state.pop(), state.top()
    if isinstance(target, Inert):
        parts = attributes if isinstance(attributes, tuple) else (attributes,)
        for part in parts[:2]:  # __dict__, then __slots__
            if isinstance(part, dict):
                state.spend(len(part))
                named = {name: value for name, value in part.items() if isinstance(name, str)}
                target.fields.update(named)
    elif not isinstance(target, dict | list | tuple | TensorRef):
        raise Malformed("its pickle is damaged")


@_on(pickle.APPEND)
def _append(state: PickleState) -> None:
    item = state.pop()
    append_all(state.top(), [item])


@_on(pickle.APPENDS)
def _appends(state: PickleState) -> None:
    items = state.pop_mark()
    append_all(state.top(), items)


_INSTRUCTIONS[pickle.ADDITEMS[0]] = _appends  # ADDITEMS: sets are lists here


@_on(pickle.SETITEM)
def _set_item(state: PickleState) -> None:
    value, key = state.pop(), state.pop()
    set_items(state.top(), [key, value])


@_on(pickle.SETITEMS)
def _set_items(state: PickleState) -> None:
    items = state.pop_mark()
    set_items(state.top(), items)


# Stack, memo, framing.
@_on(pickle.MARK)
def _mark(state: PickleState) -> None:
    state.mark()


@_on(pickle.POP)
def _pop(state: PickleState) -> None:
    if state.stack:
        state.pop()
    else:
        state.pop_mark()


@_on(pickle.POP_MARK)
def _pop_mark(state: PickleState) -> None:
    state.pop_mark()


@_on(pickle.BINPUT)
def _put(state: PickleState) -> None:
    state.memo[state.take_number(1)] = state.top()


@_on(pickle.LONG_BINPUT)
def _long_put(state: PickleState) -> None:
    state.memo[state.take_number(4)] = state.top()


@_on(pickle.PUT)
def _decimal_put(state: PickleState) -> None:
    state.memo[int(_short_line(state))] = state.top()


@_on(pickle.MEMOIZE)
def _memoize(state: PickleState) -> None:
    state.memo[len(state.memo)] = state.top()


@_on(pickle.BINGET)
def _get(state: PickleState) -> None:
    state.recall(state.take_number(1))


@_on(pickle.LONG_BINGET)
def _long_get(state: PickleState) -> None:
    state.recall(state.take_number(4))


@_on(pickle.GET)
def _decimal_get(state: PickleState) -> None:
    state.recall(int(_short_line(state)))


@_on(pickle.PROTO)
def _protocol(state: PickleState) -> None:
    if state.take_number(1) > 5:
        raise Malformed("its pickle has a protocol newer than 5", "save it again with torch.save")


@_on(pickle.FRAME)
def _frame(state: PickleState) -> None:
    state.take(8)  # frames help to read from a stream; here all bytes are at hand


def _extension(state: PickleState) -> None:
    raise Forbidden("asks Python for a number of copyreg's extension registry")


for _code in (pickle.EXT1, pickle.EXT2, pickle.EXT4):
    _INSTRUCTIONS[_code[0]] = _extension


def _called(state: PickleState, arguments: object, function: object) -> object:
    if not isinstance(function, Name) or not isinstance(arguments, tuple):
        raise Malformed("its pickle is damaged")
    # Building from a list costs as much as the list is long, each time it is done.
    state.spend(sum(len(part) for part in arguments if isinstance(part, list | dict)))
    return vocabulary.construct(function, arguments)


def _stack_global(state: PickleState) -> Name:
    name, module = state.pop(), state.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise Malformed("its pickle is damaged")
    return vocabulary.look_up(module, name)


def _name_line(state: PickleState) -> str:
    return state.take_line().decode("utf-8")


def _short_line(state: PickleState) -> bytes:
    line = state.take_line()
    if len(line) > 2 * _MAX_INT:
        raise Malformed("its pickle holds a number without end")
    return line


def _long(state: PickleState, size: int) -> int:
    if size > _MAX_INT:
        raise Malformed("its pickle holds a number without end")
    return int.from_bytes(state.take(size), "little", signed=True)


def _decimal(state: PickleState) -> int | bool:
    line = _short_line(state)
    if line in (b"00", b"01"):
        return line == b"01"
    return int(line.rstrip(b"L"))


def _quoted(line: bytes) -> str:
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise Malformed("its pickle is damaged")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unknown escapes are kept as they are
        return line[1:-1].decode("unicode-escape")


def _filled(target: dict[object, object], items: list[object]) -> dict[object, object]:
    set_items(target, items)
    return target
