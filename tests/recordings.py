"""Where the recordings of the official networks lie, and why a test on them is skipped.

A test finds its cases by what they hold (fields of case.json, arrays of io.npz), whatever their
folders are called, so that other recordings in the same layout are put to the same tests.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypedDict

import numpy as np
import pytest
from numpy.typing import NDArray

FIXTURES = Path(
    os.environ.get("REELSEEK_FIXTURES", Path(__file__).parents[2] / "shared" / "fixtures")
)


def fixtures_folder(family: str) -> Path:
    """The folder of one family of recordings; skips the calling module or test without it."""
    folder = FIXTURES / family
    if not folder.is_dir():
        skip(f"no recordings in {folder}: set REELSEEK_FIXTURES to the folder that holds {family}")
    return folder


def recorded_file(family: str, name: str) -> Path:
    """A file that a family always has; skips the calling module or test without it."""
    file = fixtures_folder(family) / name
    if not file.is_file():
        skip(f"not recorded: {file} does not exist")
    return file


def skip(reason: str) -> NoReturn:
    """Skip the calling test, or the module that is being imported."""
    pytest.skip(reason, allow_module_level=True)


# Cases


def case_folders(
    family: str, *, fields: Iterable[str] = (), arrays: Iterable[str] = ()
) -> list[Path]:
    """Every folder of a family that describes a case, the family's own included, by name.

    Arguments:
        fields: which its case.json has, all of them.
        arrays: regular expressions; io.npz has an array for each.
    """
    found = sorted(path.parent for path in (FIXTURES / family).rglob("case.json"))
    return [
        folder
        for folder in found
        if read_case(folder).keys() >= set(fields) and has_arrays(folder / "io.npz", arrays)
    ]


def case_files(
    family: str, pattern: str, *, fields: Iterable[str] = (), arrays: Iterable[str] = ()
) -> list[Path]:
    """The files that lie in or below the cases of a family at places that match a pattern."""
    folders = case_folders(family, fields=fields, arrays=arrays)
    return [file for folder in folders for file in sorted(folder.glob(pattern))]


def has_arrays(file: Path, patterns: Iterable[str]) -> bool:
    """Whether an .npz has an array for each regular expression; none are asked of any file."""
    patterns = list(patterns)
    if not patterns or not file.is_file():
        return not patterns
    with np.load(file, allow_pickle=False) as recorded:
        return all(any(re.fullmatch(p, name) for name in recorded.files) for p in patterns)


def cases_or_skip(found: Mapping[str, Any], what: str, family: str) -> list[Any]:
    """What to parametrize with: each case under its name; without any, one that is skipped.

    Arguments:
        what: the recordings that are wanted, for the reason of the skip.
    """
    if found:
        return [pytest.param(case, id=name) for name, case in found.items()]
    reason = f"no recordings of {what} in {FIXTURES / family}: set REELSEEK_FIXTURES"
    return [pytest.param(None, id="none recorded", marks=pytest.mark.skip(reason=reason))]


def folders_or_skip(found: Iterable[Path], what: str, family: str) -> list[Any]:
    """`cases_or_skip` for folders or files, under the names of where they lie in the family."""
    top = FIXTURES / family
    names = {path: path.relative_to(top).as_posix() if path != top else family for path in found}
    return cases_or_skip({name: path for path, name in names.items()}, what, family)


def case_called(family: str, name: str) -> Path:
    """The case to which another one refers; its folder may have been given another name."""
    folders = case_folders(family)
    for is_it in (
        lambda folder: folder.name == name,
        lambda folder: read_case(folder).get("case") == name,
    ):
        if found := list(filter(is_it, folders)):
            return found[0]
    skip(f"not recorded: no case {name!r} in {FIXTURES / family}, to which this one refers")


def referred_file(folder: Path, reference: str, family: str) -> Path:
    """A file that a case names: one beside it, or another case's, as `../case/file` or `case`."""
    file = folder / reference
    if file.is_file():
        return file
    case, *rest = [part for part in Path(reference).parts if part != ".."]
    if rest or not file.suffix:
        file = case_called(family, case).joinpath(*rest or ["weights.safetensors"])
    if not file.is_file():
        skip(f"not recorded: {file} does not exist, to which {folder / 'case.json'} refers")
    return file


# Contents


def read_case(folder: Path) -> dict[str, Any]:
    """The settings and tolerances of a case."""
    case: dict[str, Any] = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    return case


def read_arrays(file: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz, by name; recordings hold no pickles."""
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


class Closeness(TypedDict):
    """How near two numbers must be, in numpy's words."""

    atol: float
    rtol: float


def closeness(tolerance: Mapping[str, Any]) -> Closeness:
    """The numbers of a recorded tolerance, without the notes that may stand beside them."""
    return Closeness(atol=float(tolerance["atol"]), rtol=float(tolerance["rtol"]))


def stated_atol(sentence: str) -> float:
    """The number in a tolerance that is recorded as words: "atol 2e-3 (half precision)"."""
    found = re.search(r"atol\s+(\d[\d.]*(?:e[+-]?\d+)?)", sentence)
    assert found is not None, f"no tolerance in {sentence!r}"
    return float(found[1])


# Weights in many containers


@dataclass(frozen=True)
class Container:
    """A recorded weights file, and what case.json says about it."""

    path: Path
    facts: dict[str, Any]

    @property
    def is_good(self) -> bool:
        """Whether it is to be read, not refused."""
        return bool(self.facts["expect"] != "refuse")

    @property
    def is_hostile(self) -> bool:
        """Whether it asks for code to be executed, or for files elsewhere."""
        return self.path.name.startswith("hostile_")


def containers() -> dict[str, Container]:
    """All recorded wrappings of one state dict, hostile and broken files among them, by name."""
    return {
        name: Container(folder / name, facts)
        for folder in case_folders("containers", fields=["files"])
        for name, facts in read_case(folder)["files"].items()
        if (folder / name).is_file()
    }
