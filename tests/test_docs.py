"""The documents say what the program does."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import storage.errors
from docs.cli_reference import PAGE, page
from storage.errors import ReelseekError

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_command_line_reference_is_the_programs_own_help() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m docs.cli_reference"


def test_every_command_shows_an_example_in_its_help() -> None:
    for section in page().split("\n## ")[1:]:
        assert re.search(r"Examples?:\n +reelseek ", section), section.splitlines()[0]


def test_every_error_class_has_its_exit_code_in_the_tree_and_in_the_reference() -> None:
    reference = (ROOT / "docs" / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    for name, error in inspect.getmembers(storage.errors, inspect.isclass):
        if issubclass(error, ReelseekError):
            assert re.search(rf"{name} +{error.exit_code}\b", storage.errors.__doc__ or ""), name
            assert f"| {error.exit_code} |" in reference, name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert "@@" not in text
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_nobody_imports_the_front_door() -> None:
    for room in ("commands", "indexer", "search", "storage"):
        for module in (ROOT / room).rglob("*.py"):
            assert not re.search(r"^\s*(import|from) cli\b", module.read_text(), re.M), module
