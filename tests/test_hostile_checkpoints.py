"""Files that want more than to be read are refused in a sentence, and nothing happens."""

from __future__ import annotations

import os
import pickle
import random
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from recordings import FIXTURES, Container, cases_or_skip, containers
from test_checkpoints import write_shards
from weight_files import (
    GOOD_FILES,
    MODEL,
    call,
    mapping,
    name,
    new,
    number,
    numbers,
    pickled,
    safetensors,
    state_dict,
    storage,
    tensor,
    tensor_of,
    text,
    torch_legacy,
    torch_zip,
    zipped,
)

from storage.checkpoints import Checkpoint, WeightsRefused, WeightsUnreadable, read_checkpoint
from storage.checkpoints.errors import Malformed
from storage.checkpoints.pickle_machine import run_pickle
from storage.checkpoints.values import Inert

FUZZ = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(autouse=True)
def empty_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test reads, no file may appear where it runs, nor above."""
    work = tmp_path / "above" / "work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    yield
    assert list(work.iterdir()) == []
    assert list(work.parent.iterdir()) == [work]


# -- recordings ------------------------------------------------------------------------------------


RECORDED = containers()


@pytest.mark.parametrize(
    "container",
    cases_or_skip(
        {name: c for name, c in RECORDED.items() if not c.is_good}, "bad containers", "containers"
    ),
)
def test_every_recorded_bad_file_is_refused(container: Container) -> None:
    folder = container.path.parent
    before = sorted(os.listdir(folder))
    expected = WeightsRefused if container.is_hostile else WeightsUnreadable
    with pytest.raises(expected) as refusal:
        read_checkpoint(container.path)
    assert sorted(os.listdir(folder)) == before
    assert_one_sentence(str(refusal.value))
    blocked = container.facts.get("torch_weights_only", "").partition("GLOBAL ")[2].split(" ")[0]
    assert blocked in str(refusal.value)  # names like posix.system


# -- what a pickle may ask for ---------------------------------------------------------------------

DANGEROUS = [
    ("posix", "system"),
    ("os", "system"),
    ("builtins", "eval"),
    ("builtins", "getattr"),
    ("__builtin__", "apply"),
    ("subprocess", "Popen"),
    ("torch.storage", "_load_from_bytes"),
    ("torch", "load"),
    ("torch.jit", "load"),
    ("torch.hub", "load"),
    ("copyreg", "_reconstructor"),
    ("functools", "partial"),
    ("operator", "attrgetter"),
    ("runpy", "run_path"),
    ("torch.nn.modules.linear", "Linear"),
    ("collections", "OrderedDict.__init__.__globals__"),
    ("argparse", "os.system"),
    ("numpy", "load"),
    ("numpy.core.multiarray", "fromfile"),
    ("__torch__evil", "Net"),
    ("", ""),
]


@pytest.mark.parametrize("how", ["call", "new", "stack", "instance", "unused", "copyreg"])
@pytest.mark.parametrize("wanted", DANGEROUS, ids=".".join)
def test_names_that_no_weights_need_are_refused_by_name(
    wanted: tuple[str, str], how: str, tmp_path: Path
) -> None:
    module, attribute = wanted
    command = text("touch PWNED")
    payload = {
        "call": call(name(module, attribute), command),
        "new": name(module, attribute) + group_of(command) + b"\x81",
        "stack": text(module) + text(attribute) + b"\x93" + group_of(command) + b"R",
        "instance": b"(" + command + f"i{module}\n{attribute}\n".encode(),
        "unused": name(module, attribute) + b"0N",
        "copyreg": b"(" + name(module, attribute) + command + b"o",
    }[how]
    for file in every_pickle_with(payload):
        with pytest.raises(WeightsRefused, match=r"was not opened") as refusal:
            read(file, tmp_path)
        assert f"{module}.{attribute}" in str(refusal.value)
        assert_one_sentence(str(refusal.value))


def every_pickle_with(payload: bytes) -> list[bytes]:
    """Files that carry a value where a reader might not look twice."""
    weights = {"model": state_dict()}
    in_tensors = mapping({"layer.weight": tensor(storage("0", 6), (2, 3), (3, 1)), "x": payload})
    option = new(name("argparse", "Namespace"), {"lr": payload})
    module = new(name("__torch__", "Net"), {"hook": payload})
    constants = {"archive/constants.pkl": pickled(b")")}
    return [
        pickled(payload),
        pickled(payload)[2:],
        torch_zip(payload),
        torch_zip(mapping(weights | {"opt": option})),
        torch_zip(mapping({"model": in_tensors})),
        torch_zip(module, others=constants),
        torch_legacy(mapping(weights | {"opt": option})),
    ]


def group_of(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def test_what_pickle_would_write_for_a_real_object_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, ("touch PWNED",)

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for file in (pickle.dumps({"model": Trap()}, protocol), pickle.dumps(Trap(), protocol)):
            with pytest.raises(WeightsRefused, match=f"{os.system.__module__}.system"):
                read(file, tmp_path)


@pytest.mark.parametrize("code", [b"\x82\x01", b"\x83\x01\0", b"\x84\x01\0\0\0"])
def test_numbers_of_the_extension_registry_are_refused(code: bytes, tmp_path: Path) -> None:
    with pytest.raises(WeightsRefused, match="copyreg"):
        read(torch_zip(mapping({"model": state_dict(), "x": code})), tmp_path)


def test_pickles_that_nobody_reads_are_not_even_looked_at(tmp_path: Path) -> None:
    trap = pickled(call(name("posix", "system"), text("touch PWNED")))
    others = {"archive/constants.pkl": trap, "archive/code/__torch__.py": b"import os"}
    root = new(name("__torch__", "Net"), {"w": tensor(storage("0", 6), (6,), (1,))})
    assert set(read(torch_zip(root, others=others), tmp_path).tensors) == {"w"}


def test_attributes_and_items_of_inert_objects_touch_nothing() -> None:
    namespace = name("argparse", "Namespace")
    fields = {"__class__": text("x"), "__dict__": text("y"), "__setstate__": b"N"}
    value, _ = run_pickle(pickled(new(namespace, fields)))
    assert isinstance(value, Inert)
    assert value.fields.keys() == fields.keys()
    array = call(name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), b"N")
    value, _ = run_pickle(pickled(array + group_of(number(1), b"N", text("x")) + b"b"))
    assert isinstance(value, Inert)


@pytest.mark.parametrize(
    "code",
    [
        b"N)R",
        b"X\1\0\0\0a)R",
        b"})R",
        name("torch", "Size") + b"NR",
        name("torch", "Size") + b"}" + b"\x85R",
        name("collections", "OrderedDict") + b"](K\1K\2e\x85R",
        name("torch._utils", "_rebuild_tensor_v2") + b")R",
        name("torch._utils", "_rebuild_parameter") + b"N\x85R",
        name("torch._tensor", "_rebuild_from_type_v2") + b"(NNNNtR",
        name("torch.jit._pickle", "build_intlist") + b")R",
        b"NNb",
        b"N]b",
        b"NK\1a",
        b"}K\1s",
        b"}(K\1u",
        b"1",
        b"t",
        b"h\7",
        b"\x93",
        b"K\1K\2\x93",
        b"Q",
        b"NQ",
        b"Pstorage\n",
        b"\x97",
        b"\x98",
        b"\xff",
        b"S'a\n",
        b"Iabc\n",
        b"X\2\0\0\0\xff\xff",
    ],
)
def test_misused_instructions_are_damage(code: bytes, tmp_path: Path) -> None:
    with pytest.raises(WeightsUnreadable):
        read(torch_zip(mapping({"model": state_dict(), "x": code})), tmp_path)


# -- claims, bombs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claim",
    [
        b"X\xff\xff\xff\x7fa",
        b"\x8d" + b"\xff" * 7 + b"\x7f",
        b"B\xff\xff\xff\xffa",
        b"\x8e" + b"\xff" * 8,
        b"\x96" + b"\xff" * 7 + b"\x7f",
        b"\x8b\xff\xff\xff\x7f1",
        b"T\xff\xff\xff\x7f",
        b"Nr\xff\xff\xff\xff" * 50,
        b"Np" + b"9" * 400 + b"\n",
        b"I" + b"9" * 100_000 + b"\n",
        b"\x95" + b"\xff" * 8,
        b"}N" + b"2\x86" * 5_000 + b"Ns",
        b"N" + b"\x85" * 50_000,
    ],
    ids=lambda claim: claim[:6].hex(),
)
def test_claims_of_size_reserve_nothing(claim: bytes, tmp_path: Path) -> None:
    file = torch_zip(mapping({"model": state_dict(), "x": claim}))
    tracemalloc.start()
    assert_refused_or_right(file, tmp_path, whole=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 2**20


@pytest.mark.parametrize(
    "bomb",
    [
        b"]" * 2_100_000,
        name("collections", "OrderedDict") + b"q\0](" + (text("a") + b"N\x86") * 9_000 + b"e\x85q\1"
        b"0" + b"h\0h\1R0" * 9_000,
    ],
    ids=["lists", "copies of a list"],
)
def test_pickles_that_grow_without_end_are_stopped(bomb: bytes) -> None:
    with pytest.raises(Malformed, match="longer than any that describes weights"):
        run_pickle(pickled(bomb))


@pytest.mark.parametrize(
    ("shape", "strides", "offset", "words"),
    [
        ((2, 4), (4, 1), 0, "beyond its storage"),
        ((6,), (1,), 1, "beyond its storage"),
        ((2,), (6,), 0, "beyond its storage"),
        ((1,), (1,), 2**60, "beyond its storage"),
        ((2,), (2**61,), 0, "beyond its storage"),
        ((2**61, 2**61), (0, 0), 0, "repeats the numbers"),
        ((10**12,), (0,), 0, "repeats the numbers"),
        ((7,), (0,), 0, "repeats the numbers"),
        ((6,), (-1,), 5, "no usable strides"),
        ((-6,), (1,), 0, "no usable shape"),
        ((6,), (1,), -1, "no usable offset"),
        ((2**63,), (1,), 0, "no usable shape"),
        ((6,), (1, 1), 0, "different lengths"),
        ((1,) * 33, (1,) * 33, 0, "no usable shape"),
        ((0, 2**61), (1, 1), 0, "no usable shape"),
    ],
)
def test_tensors_stay_inside_of_their_storage(
    shape: tuple[int, ...], strides: tuple[int, ...], offset: int, words: str, tmp_path: Path
) -> None:
    bad = tensor(storage("0", 6), shape, strides, offset)
    others = {"layer.bias": tensor_of("layer.bias"), "steps": tensor_of("steps")}
    value = mapping({"w": bad} | others)
    for file in (torch_zip(value), torch_legacy(value)):
        with pytest.raises(WeightsUnreadable, match=f"tensor 'w' .*{words}"):
            read(file, tmp_path)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (storage("0", 7), "fewer numbers than it says"),
        (storage("0", 2**61), "fewer numbers than it says"),
        (storage("missing", 6), "no member 'data/missing'"),
        (storage("../version", 6), "no member"),
        (storage("0", 6, "QInt8Storage"), "number format qint8"),
        (storage("0", -1), "not described as torch does"),
        (group_of(text("module"), b"N", text("0"), b"N", number(1)) + b"Q", "not described"),
    ],
)
def test_storages_have_what_they_claim(place: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsUnreadable, match=words):
        read(torch_zip(mapping({"w": tensor(place, (6,), (1,))})), tmp_path)


def test_a_list_of_one_tensor_under_many_names_is_a_bomb(tmp_path: Path) -> None:
    one = tensor(storage("0", 100_000), (100_000,), (1,))
    names = {str(place): b"h\1" for place in range(1000)}
    value = one + b"q\x010" + mapping(names)
    with pytest.raises(WeightsUnreadable, match="over and over"):
        read(torch_zip(value, {"0": bytes(400_000)}), tmp_path)


def test_options_that_unfold_without_end_are_left_out(tmp_path: Path) -> None:
    # Each list holds the one before twice; each entry names one long text a hundred times.
    doubled = b"]q\1K\1a0" + b"".join(b"]" + b"h\1a" * 2 + b"q\x010" for _ in range(60)) + b"h\1"
    repeated = text("x" * 50_000) + b"q\x020](" + b"h\2" * 100 + b"e"
    entries = {str(place): repeated if place < 50 else doubled for place in range(100)}
    value = mapping({"model": state_dict(), "epoch": number(3)} | entries)
    checkpoint = read(torch_zip(value), tmp_path)
    assert checkpoint.options == {"epoch": 3}


def test_modules_that_contain_themselves_are_refused(tmp_path: Path) -> None:
    root = name("__torch__", "Net") + b")\x81q\7}" + text("me") + b"h\7sb"
    constants = {"archive/constants.pkl": pickled(b")")}
    with pytest.raises(WeightsUnreadable, match="without end"):
        read(torch_zip(root, others=constants), tmp_path)


# -- zip archives ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "member",
    ["../PWNED", "/PWNED", "archive/../../PWNED", "archive\\..\\PWNED", "C:/PWNED", "archive//x"],
)
def test_names_that_lead_out_of_the_archive_are_refused(member: str, tmp_path: Path) -> None:
    # Written under a harmless name of the same length: zipfile would tidy up some of these.
    harmless = "x" * len(member)
    file = torch_zip(others={harmless: b"x"}).replace(harmless.encode(), member.encode())
    with pytest.raises(WeightsRefused, match="leads out of the archive") as refusal:
        read(file, tmp_path)
    assert ascii(member) in str(refusal.value)


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    file = torch_zip(others={"archive/data.pkm": pickled(b"N")})
    file = file.replace(b"archive/data.pkm", b"archive/data.pkl")
    with pytest.raises(WeightsRefused, match=r"two members named 'archive/data.pkl'"):
        read(file, tmp_path)


def test_compressed_members_are_not_inflated(tmp_path: Path) -> None:
    bomb = torch_zip(storages={"0": bytes(2**22)}, compression=zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    with pytest.raises(WeightsUnreadable, match="compressed"):
        read(bomb, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_compressed_code_of_torchscript_does_not_matter(tmp_path: Path) -> None:
    plain = {
        **{f"archive/data/{key}": content for key, content in numbers().items()},
        "archive/data.pkl": pickled(
            new(name("__torch__", "Net"), {"w": tensor(storage("0", 6), (6,), (1,))})
        ),
        "archive/constants.pkl": pickled(b")"),
    }
    path = tmp_path / "weights.bin"
    path.write_bytes(zipped(plain))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/code/__torch__.py", "class Net(Module):\n" * 100)
    assert set(read_checkpoint(path).tensors) == {"w"}


def directory_entry(file: bytes, member: str) -> int:
    """Where the directory's entry of a member begins."""
    return file.rindex(member.encode()) - 46


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        (8, struct.pack("<H", 1), "encrypted"),
        (10, struct.pack("<H", 8), "contradicts"),
        (16, struct.pack("<L", 1), "checksum"),
        (20, struct.pack("<2L", 2**31, 2**31), "beyond the archive"),
        (20, struct.pack("<2L", 6 * 4, 2**31), "size that it cannot have"),
        (20, struct.pack("<2L", 0xFFFFFFFF, 0xFFFFFFFF), "damaged"),
        (42, struct.pack("<L", 0), "contradicts"),
        (42, struct.pack("<L", 2**31), "damaged"),
    ],
)
def test_directories_that_lie_are_refused(
    field: int, value: bytes, words: str, tmp_path: Path
) -> None:
    file = bytearray(torch_zip())
    at = directory_entry(bytes(file), "archive/data/0") + field
    file[at : at + len(value)] = value
    with pytest.raises(WeightsUnreadable, match=words):
        read(bytes(file), tmp_path)


def test_members_that_overlap_are_refused(tmp_path: Path) -> None:
    inner = zipped({"archive/data/1": numbers()["1"]})
    inner_size = 30 + len("archive/data/1") + len(numbers()["1"])
    file = bytearray(torch_zip(storages=numbers() | {"0": inner[:inner_size]}))
    at = directory_entry(bytes(file), "archive/data/1") + 42
    file[at : at + 4] = struct.pack("<L", file.index(inner[:inner_size]))
    with pytest.raises(WeightsUnreadable, match="overlaps"):
        read(bytes(file), tmp_path)


def test_a_zip_archive_of_something_else_is_named(tmp_path: Path) -> None:
    for members in ({"readme.txt": b"x"}, {"a/x": b"x", "b/y": b"y"}, {}):
        with pytest.raises(WeightsUnreadable):
            read(zipped(members), tmp_path)


# -- safetensors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entries",
    [
        {"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}},
        {"w": {"dtype": "F32", "shape": [5], "data_offsets": [0, 24]}},
        {"w": {"dtype": "F32", "shape": [5], "data_offsets": [4, 24]}},
        {"w": {"dtype": "F32", "shape": [6], "data_offsets": [24, 0]}},
        {"w": {"dtype": "F32", "shape": [-6], "data_offsets": [0, 24]}},
        {"w": {"dtype": "F32", "shape": [6.0], "data_offsets": [0, 24]}},
        {"w": {"dtype": "F32", "shape": [True, 6], "data_offsets": [0, 24]}},
        {"w": {"dtype": "F32", "shape": [2**61, 2**61, 0], "data_offsets": [0, 0]}},
        {"w": {"dtype": "F32", "shape": [1] * 10_000, "data_offsets": [0, 4]}},
        {"w": {"dtype": "F32", "shape": "6", "data_offsets": [0, 24]}},
        {"w": {"dtype": "F8_E4M3", "shape": [24], "data_offsets": [0, 24]}},
        {"w": {"dtype": ["F32"], "shape": [6], "data_offsets": [0, 24]}},
        {"w": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24], "more": 1}},
        {"w": [1]},
        {"__metadata__": {"a": 1}},
        {"\ud800": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}},
        {
            "a": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]},
            "b": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]},
        },
        {},
    ],
    ids=str,
)
def test_safetensors_headers_must_fit_the_file(entries: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(WeightsUnreadable) as refusal:
        read(safetensors(entries, bytes(24) if entries else b""), tmp_path)
    assert_one_sentence(str(refusal.value))


@pytest.mark.parametrize(
    "header",
    [
        b"{" * 1000,
        b'{"a":' * 100_000,
        b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"w":' + b"9" * 10_000 + b"}",
        b'{"\xff":1}',
        b"{}x",
    ],
)
def test_safetensors_headers_must_be_sound_json(header: bytes, tmp_path: Path) -> None:
    with pytest.raises(WeightsUnreadable):
        read(len(header).to_bytes(8, "little") + header + bytes(4), tmp_path)


# -- folders, and what is not a file ---------------------------------------------------------------


@pytest.mark.parametrize(
    "shard", ["../1.safetensors", "/etc/passwd", "..\\1", "sub/1.safetensors", "..", "", "C:x"]
)
def test_an_index_cannot_name_files_elsewhere(shard: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    write_shards(folder, weight_map={"a": shard})
    with pytest.raises(WeightsRefused, match="outside of its folder"):
        read_checkpoint(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_links_out_of_a_folder_are_refused(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(safetensors())
    (tmp_path / "secret").write_bytes(b'{"secret": 1}')
    (folder / name).unlink(missing_ok=True)
    try:
        (folder / name).symlink_to(tmp_path / "secret")
    except OSError:
        pytest.skip("this system allows no links")
    with pytest.raises(WeightsRefused, match="leads out of it"):
        read_checkpoint(folder)


def test_a_link_to_itself_and_a_dead_link_are_named(tmp_path: Path) -> None:
    link = tmp_path / "model.safetensors"
    for target in (link, tmp_path / "nowhere"):
        try:
            link.symlink_to(target)
        except OSError:
            pytest.skip("this system allows no links")
        for path in (link, tmp_path):
            with pytest.raises(WeightsUnreadable):
                read_checkpoint(path)
        link.unlink()


def test_a_folder_without_weights_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnreadable, match=r"neither model\.safetensors nor"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("config", [b"[]", b"{", b"\xff", b'{"a": "\\ud800"}', b"[" * 100_000])
def test_a_damaged_config_is_named(config: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(safetensors())
    (tmp_path / "config.json").write_bytes(config)
    with pytest.raises(WeightsUnreadable, match=r"config\.json is damaged"):
        read_checkpoint(tmp_path)


def test_paths_that_are_no_files_are_named(tmp_path: Path) -> None:
    paths = [tmp_path / "nothing here.pth", Path("a\0b"), Path(os.devnull)]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        paths.append(tmp_path / "pipe")
    for path in paths:
        with pytest.raises(WeightsUnreadable):
            read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html>", "web page"),
        (b"\x93NUMPY", "neither of torch nor"),
        (pickle.dumps({"model": {}}), "bare pickle"),
        (torch_zip(mapping({"network": state_dict()})), "no state dict lies under 'model'"),
        (torch_zip(b"N"), "no state dict"),
        (torch_zip(b"N", others={"archive/constants.pkl": b""}), "without a module"),
    ],
)
def test_what_people_take_for_weights_is_named(content: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsUnreadable, match=words) as refusal:
        read(content, tmp_path)
    assert_one_sentence(str(refusal.value))


# -- any bytes -------------------------------------------------------------------------------------


@given(
    tail=st.binary(max_size=400),
    head=st.sampled_from([b"", b"PK\3\4", b"\x80\x02", b"\x10" + bytes(7)]),
)
@FUZZ
def test_any_bytes_are_answered_in_a_sentence(tail: bytes, head: bytes, tmp_path: Path) -> None:
    assert_refused_or_right(head + tail, tmp_path, whole=False)


@given(container=st.sampled_from(sorted(GOOD_FILES)), data=st.data())
@FUZZ
def test_a_flipped_bit_gives_a_sentence_or_no_harm(
    container: str, data: st.DataObject, tmp_path: Path
) -> None:
    file = bytearray(GOOD_FILES[container])
    bit = data.draw(st.integers(0, len(file) * 8 - 1))
    file[bit // 8] ^= 1 << bit % 8
    # Zip archives carry checksums, so they cannot give other numbers.
    assert_refused_or_right(bytes(file), tmp_path, whole=file[:2] == b"PK")


@given(container=st.sampled_from(sorted(GOOD_FILES)), data=st.data())
@FUZZ
def test_a_cut_file_gives_a_sentence(container: str, data: st.DataObject, tmp_path: Path) -> None:
    file = GOOD_FILES[container]
    cut = data.draw(st.integers(0, len(file) - 1))
    with pytest.raises((WeightsUnreadable, WeightsRefused)):
        read(file[:cut], tmp_path)


@given(container=st.sampled_from(sorted(GOOD_FILES)), data=st.data())
@FUZZ
def test_spliced_files_are_answered_in_a_sentence(
    container: str, data: st.DataObject, tmp_path: Path
) -> None:
    file = GOOD_FILES[container]
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(file))] * 2)))
    middle = data.draw(st.binary(max_size=40))
    assert_refused_or_right(file[:start] + middle + file[end:], tmp_path, whole=False)


PIECES = [
    *(
        bytes([code])
        for code in b"()]}l.dtNab0s1eu2oRQ\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94"
    ),
    *(b"h\0", b"q\0", b"q\1", b"h\1", b"K\2", b"X\1\0\0\0a", b"\x8c\1b", b"G" + bytes(8), b"I1\n"),
    *(b"\x8a\1\7", text("storage"), text("0"), text("torch"), text("Size"), storage("0", 6)),
    tensor(storage("0", 6), (2, 3), (3, 1)),
    name("collections", "OrderedDict"),
    name("argparse", "Namespace"),
    name("torch._utils", "_rebuild_tensor_v2"),
    name("torch._tensor", "_rebuild_from_type_v2"),
    name("torch._utils", "_rebuild_parameter"),
    name("torch", "FloatStorage"),
    name("torch", "device"),
    name("__torch__", "Net"),
    name("builtins", "set"),
    name("torch.jit._pickle", "build_intlist"),
]


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=60))
@example(pieces=[b"(", b"(", b"t", b"u"])
@settings(FUZZ, max_examples=500)
def test_any_row_of_instructions_is_answered_in_a_sentence(
    pieces: list[bytes], tmp_path: Path
) -> None:
    program = b"".join(pieces)
    for value in (mapping({"model": state_dict(), "x": program}), program):
        assert_refused_or_right(torch_zip(value), tmp_path, whole=False)
        script = torch_zip(value, others={"archive/constants.pkl": b""})
        assert_refused_or_right(script, tmp_path, whole=False)


def test_recorded_files_survive_flips_and_cuts(tmp_path: Path) -> None:
    good = [container.path for container in RECORDED.values() if container.is_good]
    if not good:
        pytest.skip(f"no recordings of good containers in {FIXTURES / 'containers'}")
    choose = random.Random(1)
    for file in good:
        content = file.read_bytes()
        end = len(content)
        edges = sorted({*range(min(8_000, end)), *range(max(0, end - 8_000), end)})
        for at in choose.sample(edges, 60):
            flipped = bytearray(content)
            flipped[at] ^= 1 << choose.randrange(8)
            assert_refused_or_right(bytes(flipped), tmp_path, whole=False)
        for cut in (1, 7, 100, end // 2, end - 1):
            with pytest.raises((WeightsUnreadable, WeightsRefused)):
                read(content[:cut], tmp_path)


# -- helpers ---------------------------------------------------------------------------------------


def read(content: bytes, folder: Path) -> Checkpoint:
    path = folder / "weights.bin"
    path.write_bytes(content)
    return read_checkpoint(path)


def assert_refused_or_right(content: bytes, folder: Path, whole: bool) -> None:
    """A sentence, or a checkpoint that can be used; `whole`: and it is MODEL, bit for bit."""
    try:
        checkpoint = read(content, folder)
    except (WeightsRefused, WeightsUnreadable) as refusal:
        assert_one_sentence(str(refusal))
        return
    arrays = dict(checkpoint.tensors)
    assert sum(array.nbytes for array in arrays.values()) <= 8 * len(content)
    if whole:
        assert {key: array.tobytes() for key, array in arrays.items()} == {
            key: array.tobytes() for key, array in MODEL.items()
        }


def assert_one_sentence(message: str) -> None:
    """Printable, of bearable length, and it ends."""
    assert message.isprintable()
    assert message.endswith(".")
    assert len(message.split("weights.bin")[-1]) < 400
