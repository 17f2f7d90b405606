"""The names that a checkpoint's pickle may use, and what each stands for here.

Whatever is not listed is refused by name. Nothing listed is ever imported: a name stands for one
of the small functions below, which build plain data.
"""

from __future__ import annotations

from collections.abc import Callable

from storage.checkpoints.dtypes import TORCH_DTYPES, TORCH_STORAGES
from storage.checkpoints.errors import SAVE_AGAIN, Forbidden, Malformed, shown
from storage.checkpoints.values import Inert, Name, Storage, TensorRef

Arguments = tuple[object, ...]
Constructor = Callable[[Name, Arguments], object]

UNREADABLE_TENSORS = {
    "_rebuild_qtensor": "quantised",
    "_rebuild_sparse_tensor": "sparse",
    "_rebuild_nested_tensor": "nested",
    "_rebuild_meta_tensor_no_storage": "without numbers (on torch's meta device)",
}


def look_up(module: str, name: str) -> Name:
    """Admit a name that a pickle asks for.

    Raises:
        Forbidden: the name is not in the vocabulary.
    """
    if (module, name) not in _CONSTRUCTORS and module.partition(".")[0] != "__torch__":
        raise Forbidden(f"asks Python for {shown(f'{module}.{name}')[1:-1]}")
    return Name(module, name)


def construct(name: Name, arguments: Arguments) -> object:
    """What calling a name of the vocabulary gives."""
    return _CONSTRUCTORS.get((name.module, name.name), _inert)(name, arguments)


def storage(persistent_id: object) -> Storage:
    """The storage that torch names by a persistent id.

    ("storage", class, key, device, elements), in files from before torch 1.6 with a sixth: None,
    or (key, start, elements) of a view. The device ("cuda:0") says nothing about the numbers.
    """
    if not isinstance(persistent_id, tuple) or len(persistent_id) not in (5, 6):
        raise Malformed("it holds something else than tensors (a whole model?)", SAVE_AGAIN)
    tag, kind, key, _device, elements, *rest = persistent_id
    start: object = 0
    if rest and rest[0] is not None:
        view = rest[0]
        if not isinstance(view, tuple) or len(view) != 3:
            raise Malformed("one of its storages is not described as torch does")
        _, start, elements_of_view = view
        if type(elements_of_view) is not int or elements_of_view < 0:
            raise Malformed("one of its storages is not described as torch does")
    if (
        tag != "storage"
        or not isinstance(kind, Name)
        or kind.name not in TORCH_STORAGES
        or not isinstance(key, str)
        or type(elements) is not int
        or type(start) is not int
        or not 0 <= elements < 2**62
        or not 0 <= start < 2**62
    ):
        raise Malformed("one of its storages is not described as torch does")
    return Storage(key, TORCH_STORAGES[kind.name], elements, start)


def _inert(name: Name, arguments: Arguments) -> Inert:
    return Inert(str(name))


def _ordered_dict(name: Name, arguments: Arguments) -> dict[object, object]:
    """`OrderedDict()`, or of a list of pairs as Python 2 wrote it."""
    if not arguments:
        return {}
    pairs = arguments[0]
    built: dict[object, object] = {}
    if not isinstance(pairs, list):
        raise Malformed("one of its dicts is not made of pairs")
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[0], str):
            raise Malformed("one of its dicts is not made of pairs")
        built[pair[0]] = pair[1]
    return built


def _counting_dict(name: Name, arguments: Arguments) -> object:
    """`Counter(dict)` and `defaultdict(factory)`: the dict."""
    if arguments and isinstance(arguments[0], dict):
        return arguments[0]
    return {}


def _sequence(name: Name, arguments: Arguments) -> object:
    """Sets become the list that they are made from: nothing gets hashed. `torch.Size` likewise."""
    if not arguments:
        return []
    if len(arguments) != 1 or not isinstance(arguments[0], list | tuple):
        raise Malformed(f"it makes a {name} from something else than a list")
    return arguments[0]


def _first(name: Name, arguments: Arguments) -> object:
    """Functions that mark or annotate their first argument, of which we keep only that."""
    if not arguments:
        raise Malformed(f"it calls {name} without arguments")
    return arguments[0]


def _device(name: Name, arguments: Arguments) -> str:
    return ":".join(str(part) for part in arguments[:2] if type(part) in (str, int))


def _tensor(name: Name, arguments: Arguments) -> TensorRef:
    """(storage, offset, shape, strides, ...): `_rebuild_tensor`, `_rebuild_tensor_v2`, `..._v3`."""
    place, offset, shape, strides = (*arguments, None, None, None, None)[:4]
    if not isinstance(place, Storage):
        raise Malformed("one of its tensors has no storage")
    dtype = place.dtype
    if name.name == "_rebuild_tensor_v3":
        kind = arguments[6] if len(arguments) > 6 else None
        if not isinstance(kind, Name) or kind.name not in TORCH_DTYPES:
            raise Malformed("one of its tensors has no number format")
        dtype = kind.name
    marks = arguments[-1] if len(arguments) > 6 else None
    if isinstance(marks, dict) and (marks.get("conj") or marks.get("neg")):
        raise Malformed("one of its tensors is to be conjugated or negated when read", SAVE_AGAIN)
    return TensorRef(place, dtype, offset, shape, strides)


def _parameter(name: Name, arguments: Arguments) -> object:
    if not arguments or not isinstance(arguments[0], TensorRef | Inert):
        raise Malformed("one of its parameters has no tensor")
    return arguments[0]


def _tensor_with_attributes(name: Name, arguments: Arguments) -> object:
    """(function, type, its arguments, attributes): the tensor; attributes are dropped."""
    function, _, inner = (*arguments, None, None, None)[:3]
    if isinstance(function, Name) and isinstance(inner, tuple):
        rebuild = _TENSOR_FUNCTIONS.get(function.name)
        if rebuild is not None:
            return rebuild(function, inner)
    raise Malformed("one of its tensors has no storage")


_TENSOR_FUNCTIONS: dict[str, Constructor] = {
    "_rebuild_tensor": _tensor,
    "_rebuild_tensor_v2": _tensor,
    "_rebuild_tensor_v3": _tensor,
    "_rebuild_parameter": _parameter,
    "_rebuild_parameter_with_state": _parameter,
    **dict.fromkeys(UNREADABLE_TENSORS, _inert),
}
_TORCH_CONSTANTS = (
    *TORCH_DTYPES,
    *("strided", "sparse_coo", "contiguous_format", "preserve_format", "channels_last"),
    *("per_tensor_affine", "per_channel_affine", "Tensor"),
)
_BUILTINS = ("complex", "bytearray", "range", "slice", "object", "int", "long", "float", "bool")
_NUMPY_CORE = (
    *(("multiarray", name) for name in ("_reconstruct", "scalar")),
    *(("numeric", name) for name in ("_frombuffer",)),
)

_CONSTRUCTORS: dict[tuple[str, str], Constructor] = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("collections", "Counter"): _counting_dict,
    ("collections", "defaultdict"): _counting_dict,
    ("collections", "deque"): _inert,
    ("argparse", "Namespace"): _inert,
    ("_codecs", "encode"): _inert,
    **{(module, "set"): _sequence for module in ("builtins", "__builtin__")},
    **{(module, "frozenset"): _sequence for module in ("builtins", "__builtin__")},
    **{(module, name): _inert for module in ("builtins", "__builtin__") for name in _BUILTINS},
    **{("pathlib", name): _inert for name in ("Path", "PosixPath", "WindowsPath")},
    **{("pathlib", name): _inert for name in ("PurePosixPath", "PureWindowsPath")},
    # numpy's arrays in a checkpoint are the state of samplers and schedulers: not wanted.
    **{("numpy", name): _inert for name in ("ndarray", "dtype")},
    **{
        (f"numpy.{core}.{m}", name): _inert for core in ("core", "_core") for m, name in _NUMPY_CORE
    },
    ("torch", "Size"): _sequence,
    ("torch", "device"): _device,
    **{("torch", name): _inert for name in _TORCH_CONSTANTS},
    **{
        (module, name): _inert
        for module in ("torch", "torch.cuda", "torch.storage")
        for name in TORCH_STORAGES
    },
    ("torch.serialization", "_get_layout"): _inert,
    ("torch.nn.parameter", "Parameter"): _parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _tensor_with_attributes,
    **{("torch._utils", name): function for name, function in _TENSOR_FUNCTIONS.items()},
    ("torch.jit._pickle", "restore_type_tag"): _first,
    **{
        ("torch.jit._pickle", f"build_{kind}list"): _first
        for kind in ("int", "double", "bool", "tensor")
    },
}
