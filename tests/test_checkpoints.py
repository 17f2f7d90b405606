"""Weight files give the tensors that were saved in them, and say what else they hold."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from recordings import (
    Container,
    case_files,
    cases_or_skip,
    containers,
    folders_or_skip,
    read_case,
)
from weight_files import (
    GOOD_FILES,
    MODEL,
    call,
    mapping,
    name,
    new,
    number,
    safetensors,
    state_dict,
    storage,
    tensor,
    text,
    torch_zip,
)

from storage.checkpoints import Checkpoint, WeightsUnreadable, read_checkpoint
from storage.checkpoints.pickle_machine import run_pickle

# -- recordings ------------------------------------------------------------------------------------


RECORDED = containers()
REFERENCE = next((c.path for c in RECORDED.values() if c.facts["expect"] == "reference"), None)


def recorded(family: str, pattern: str, what: str) -> list[Any]:
    """Recorded files at places that match a pattern, as parameters."""
    return folders_or_skip(case_files(family, pattern), what, family)


@pytest.mark.parametrize(
    "container",
    cases_or_skip(
        {name: c for name, c in RECORDED.items() if c.is_good}, "good containers", "containers"
    ),
)
def test_every_wrapping_gives_the_same_tensors(container: Container) -> None:
    if REFERENCE is None:
        pytest.skip(f"the tensors to compare with are not recorded beside {container.path}")
    checkpoint = read_checkpoint(container.path)
    assert_same(checkpoint, reference(REFERENCE))
    assert checkpoint.sha256 == container.facts["sha256"]


@pytest.mark.parametrize("file", recorded("clip_towers", "*.pt", "TorchScript archives"))
def test_a_torchscript_archive_gives_the_names_of_its_state_dict(file: Path) -> None:
    official = next(file.parent.glob("*.safetensors"), None)
    if official is None:
        pytest.skip(f"its state dict is not recorded beside {file}")
    checkpoint = read_checkpoint(file)
    expected = reference(official)
    sizes = {key: checkpoint.tensors[key] for key in set(checkpoint.tensors) - set(expected)}
    assert set(sizes) <= {"input_resolution", "context_length", "vocab_size"}
    assert_same(checkpoint, expected | sizes)
    config = read_case(file.parent)["config"]
    assert int(sizes["vocab_size"]) == config["vocab_size"]
    assert checkpoint.container == "TorchScript archive"


@pytest.mark.parametrize("config", recorded("clip_towers", "*/config.json", "Hugging Face folders"))
def test_a_folder_of_transformers_gives_its_config(config: Path) -> None:
    checkpoint = read_checkpoint(config.parent)
    weights = config.with_name("model.safetensors")
    assert_same(checkpoint, reference(weights))
    assert checkpoint.options == json.loads(config.read_text())
    assert checkpoint.sha256 == sha256(weights)
    assert (checkpoint.container, checkpoint.git_blob) == ("Hugging Face folder", "")


@pytest.mark.parametrize("file", recorded("qddetr", "*.ckpt", "training checkpoints"))
def test_a_training_checkpoint_gives_its_network_and_its_options(file: Path) -> None:
    case, checkpoint = read_case(file.parent), read_checkpoint(file)
    shapes = {key: array.shape for key, array in checkpoint.tensors.items()}
    assert_same(checkpoint, recipe_weights(case["weight_seed"], shapes))
    options = checkpoint.options["opt"]
    assert isinstance(options, dict)
    assert options.items() >= case["config"].items()
    assert str(options["device"]).startswith(("cpu", "cuda"))
    assert isinstance(checkpoint.options["epoch"], int)


def recipe_weights(seed: int, shapes: dict[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    """The weights that the recordings describe by a recipe (README.qddetr.md)."""
    weights = {}
    for key, shape in shapes.items():
        r = np.random.RandomState(zlib.crc32(f"{seed}:{key}".encode())).standard_normal(shape)
        if re.search(r"(LayerNorm|norm\d?)\.weight$", key):
            r = 1 + 0.1 * r
        elif key.endswith("activation.weight"):
            r = 0.25 + 0.1 * r
        elif key in ("global_rep_token", "global_rep_pos", "query_embed.weight"):
            pass
        elif len(shape) == 2:
            r = r * 1.5 / np.sqrt(shape[-1])
        else:
            r = 0.1 * r
        weights[key] = np.asarray(r, np.float32)
    return weights


# -- files made here -------------------------------------------------------------------------------


@pytest.mark.parametrize("container", GOOD_FILES)
def test_each_container_is_told_by_its_content(container: str, tmp_path: Path) -> None:
    checkpoint = read(GOOD_FILES[container], tmp_path)
    assert checkpoint.container == container
    assert_same(checkpoint, MODEL)
    assert repr(checkpoint) == f"Checkpoint({str(checkpoint.path)!r}, {container}, 3 tensors)"


@pytest.mark.parametrize("key", ["model", "state_dict", "model_state_dict"])
def test_the_state_dict_may_lie_under_three_names(key: str, tmp_path: Path) -> None:
    checkpoint = read(torch_zip(mapping({"epoch": number(3), key: state_dict()})), tmp_path)
    assert_same(checkpoint, MODEL)
    assert checkpoint.options == {"epoch": 3}


def test_the_state_dict_may_be_the_checkpoint_itself(tmp_path: Path) -> None:
    assert_same(read(torch_zip(state_dict()), tmp_path), MODEL)


def test_a_namespace_becomes_a_dict_and_what_is_not_plain_is_left_out(tmp_path: Path) -> None:
    fields = {
        "device": call(name("torch", "device"), text("cuda"), number(0)),
        "lr": b"G\x3f\xe0\0\0\0\0\0\0",
        "sizes": b"](" + number(1) + number(2) + b"e",
        "home": call(name("pathlib", "PosixPath"), text("/"), text("root")),
        "nested": new(name("argparse", "Namespace"), {"deep": b"\x88"}),
        "mean": tensor(storage("0", 6), (2,), (1,)),
    }
    option = new(name("argparse", "Namespace"), fields)
    checkpoint = read(torch_zip(mapping({"model": state_dict(), "opt": option})), tmp_path)
    expected = {"device": "cuda:0", "lr": 0.5, "sizes": [1, 2], "nested": {"deep": True}}
    assert checkpoint.options == {"opt": expected}


def test_options_that_contain_themselves_are_left_out(tmp_path: Path) -> None:
    loop = b"]q\x07h\x07a"
    value = mapping({"model": state_dict(), "loop": loop, "epoch": number(1)})
    assert read(torch_zip(value), tmp_path).options == {"epoch": 1}


def test_a_big_endian_archive_gives_the_same_numbers(tmp_path: Path) -> None:
    swapped = {
        str(place): array.astype(array.dtype.newbyteorder(">")).tobytes()
        for place, array in enumerate(MODEL.values())
    }
    file = torch_zip(storages=swapped, others={"archive/byteorder": b"big"})
    assert_same(read(file, tmp_path), MODEL)


def test_bfloat16_becomes_float32_exactly_and_says_so(tmp_path: Path) -> None:
    bits = np.array([0x3F80, 0xC049, 0x7F80, 0x0001], np.uint16)
    entry = {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}
    checkpoint = read(safetensors({"w": entry}, bits.tobytes()), tmp_path)
    assert checkpoint.original_dtypes == {"w": "bfloat16"}
    assert checkpoint.tensors["w"].dtype == np.float32
    assert checkpoint.tensors["w"].tolist() == [1.0, -3.140625, np.inf, 2.0**-133]


def test_numbers_stay_in_the_file_until_they_are_looked_at(tmp_path: Path) -> None:
    size = 16 * 2**20
    content = safetensors(
        {"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}, bytes(size)
    )
    (tmp_path / "large.safetensors").write_bytes(content)
    del content
    tracemalloc.start()
    checkpoint = read_checkpoint(tmp_path / "large.safetensors")
    assert checkpoint.tensors["w"].nbytes == size
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < size / 4


@pytest.mark.parametrize("container", GOOD_FILES)
def test_tensors_cannot_be_written(container: str, tmp_path: Path) -> None:
    for array in read(GOOD_FILES[container], tmp_path).tensors.values():
        assert array.flags.aligned
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_checksums_are_those_of_sha256sum_and_git(tmp_path: Path) -> None:
    checkpoint = read(GOOD_FILES["torch zip"], tmp_path)
    assert checkpoint.sha256 == sha256(checkpoint.path)
    try:
        git = subprocess.run(
            ["git", "hash-object", "--no-filters", checkpoint.path],
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError:
        pytest.skip("git is not installed")
    assert checkpoint.git_blob == git.stdout.strip()


def test_reading_weights_imports_neither_torch_nor_safetensors(tmp_path: Path) -> None:
    paths = []
    for place, content in enumerate(GOOD_FILES.values()):
        paths.append(str(tmp_path / f"{place}.bin"))
        Path(paths[-1]).write_bytes(content)
    program = (
        "import sys; from pathlib import Path; from storage.checkpoints import read_checkpoint\n"
        "for path in sys.argv[1:]: dict(read_checkpoint(Path(path)).tensors)\n"
        "print(sorted({'torch', 'safetensors', 'transformers', 'zipfile'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, *paths]
    root = Path(__file__).parents[1]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert run.stdout.strip() in ("[]", "['zipfile']")  # numpy may bring zipfile


# -- folders ---------------------------------------------------------------------------------------


def test_shards_are_put_together_by_their_index(tmp_path: Path) -> None:
    write_shards(tmp_path)
    checkpoint = read_checkpoint(tmp_path)
    assert set(checkpoint.tensors) == {"a", "b"}
    assert checkpoint.tensors["b"].tolist() == [2.0]
    lines = [
        f"{sha256(tmp_path / shard)}  {shard}\n" for shard in ("1.safetensors", "2.safetensors")
    ]
    assert checkpoint.sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_a_shard_without_its_tensor_is_named(tmp_path: Path) -> None:
    write_shards(tmp_path, weight_map={"a": "1.safetensors", "b": "1.safetensors"})
    with pytest.raises(WeightsUnreadable, match=r"1\.safetensors lacks the tensor 'b'"):
        read_checkpoint(tmp_path)


def test_a_folder_may_hold_a_pickled_file(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(torch_zip(state_dict()))
    checkpoint = read_checkpoint(tmp_path)
    assert_same(checkpoint, MODEL)
    assert checkpoint.container == "Hugging Face folder"


def test_safetensors_are_preferred_to_a_pickled_file(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"damaged")
    (tmp_path / "model.safetensors").write_bytes(safetensors())
    assert_same(read_checkpoint(tmp_path), MODEL)


def test_the_links_of_hugging_faces_cache_are_followed(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "revision"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    (blobs / "abc").write_bytes(safetensors())
    try:
        (snapshot / "model.safetensors").symlink_to(Path("..", "..", "blobs", "abc"))
    except OSError:
        pytest.skip("this system allows no links")
    assert_same(read_checkpoint(snapshot), MODEL)


def write_shards(folder: Path, weight_map: dict[str, str] | None = None) -> None:
    for shard, (key, value) in enumerate({"a": 1.0, "b": 2.0}.items(), start=1):
        entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
        content = safetensors({key: entry}, np.float32(value).tobytes())
        (folder / f"{shard}.safetensors").write_bytes(content)
    weight_map = weight_map or {"a": "1.safetensors", "b": "2.safetensors"}
    index = json.dumps({"metadata": {}, "weight_map": weight_map})
    (folder / "model.safetensors.index.json").write_text(index)


# -- what torch itself writes ----------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_torch_saves_is_read_as_torch_loads_it(
    zipped: bool, protocol: int, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: it writes these files")
    grid = torch.arange(24.0).reshape(4, 6)
    names = ["float64", "float16", "int32", "int16", "int8", "uint8", "bool", "complex64"]
    saved = {
        "grid": grid,
        "transposed": grid.t(),
        "part": grid[1:3, ::2],
        "tied": grid,
        "parameter": torch.nn.Parameter(torch.ones(2, 2)),
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 5),
        **{dtype: torch.tensor([0, 1, 1, 0]).to(getattr(torch, dtype)) for dtype in names},
    }
    path = tmp_path / "saved.pth"
    torch.save(
        {"state_dict": saved},
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=zipped,
    )
    checkpoint = read_checkpoint(path)
    assert_same(checkpoint, {key: value.detach().numpy() for key, value in saved.items()})
    assert checkpoint.container == ("torch zip" if zipped else "torch legacy")


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_scripted_module_is_read_as_its_state_dict(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: it writes this file")
    network = torch.nn.Sequential(
        torch.nn.Linear(3, 4).half(), torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.ReLU())
    )
    network.register_buffer("resolution", torch.tensor(224))
    torch.jit.script(network).save(tmp_path / "scripted.pt")
    checkpoint = read_checkpoint(tmp_path / "scripted.pt")
    expected = {key: value.numpy() for key, value in network.state_dict().items()}
    assert_same(checkpoint, expected)
    assert checkpoint.container == "TorchScript archive"


@pytest.mark.parametrize(
    ("kind", "words"),
    [("sparse", "is sparse"), ("meta", "is without numbers"), ("conjugate", "conjugated")],
)
def test_tensors_that_are_more_than_numbers_are_named(
    kind: str, words: str, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: it writes these files")
    tensors = {
        "sparse": lambda: torch.eye(3).to_sparse(),
        "meta": lambda: torch.zeros(2, device="meta"),
        "conjugate": lambda: torch.ones(2, dtype=torch.complex64).conj(),
    }
    torch.save({"good": torch.ones(1), "odd": tensors[kind]()}, tmp_path / "saved.pth")
    with pytest.raises(WeightsUnreadable, match=words):
        read_checkpoint(tmp_path / "saved.pth")


def test_a_file_saved_without_checksums_is_read(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: it writes this file")
    if not hasattr(torch.serialization, "set_crc32_options"):
        pytest.skip("this torch always writes checksums")
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"w": torch.arange(3.0)}, tmp_path / "saved.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    assert read_checkpoint(tmp_path / "saved.pth").tensors["w"].tolist() == [0, 1, 2]


# -- pickles ---------------------------------------------------------------------------------------

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**300), 2**300)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
)
plain_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=5) | st.integers(-(2**63), 2**63 - 1), inner, max_size=5)
        | st.tuples(inner, inner)
        | st.tuples(inner, inner, inner, inner)
    ),
    max_leaves=30,
)


@given(plain_values, st.integers(0, pickle.HIGHEST_PROTOCOL))
@settings(max_examples=150, deadline=None)
def test_plain_values_are_read_as_pickle_reads_them(value: object, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    assert run_pickle(data + b"behind") == (value, len(data))


@given(st.binary(max_size=300), st.integers(3, pickle.HIGHEST_PROTOCOL))
def test_bytes_are_read_as_pickle_reads_them(value: bytes, protocol: int) -> None:
    assert run_pickle(pickle.dumps([value, value], protocol))[0] == [value, value]


# -- helpers ---------------------------------------------------------------------------------------


def read(content: bytes, folder: Path) -> Checkpoint:
    path = folder / "weights.bin"
    path.write_bytes(content)
    return read_checkpoint(path)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def reference(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a safetensors file, as the library of that name reads them."""
    library = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    tensors: dict[str, NDArray[Any]] = library.load_file(path)
    return tensors


def assert_same(checkpoint: Checkpoint, expected: dict[str, NDArray[Any]]) -> None:
    """Same names, shapes, formats and bytes."""
    assert set(checkpoint.tensors) == set(expected)
    for key, array in checkpoint.tensors.items():
        assert (array.shape, array.dtype) == (expected[key].shape, expected[key].dtype), key
        assert array.tobytes() == expected[key].tobytes(), key
        assert checkpoint.original_dtypes[key] == str(expected[key].dtype)
