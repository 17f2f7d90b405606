"""The documents say what the program does."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import storage.errors
from docs.cli_reference import PAGE, page
from storage.errors import ReelseekError
from storage.manifest import read_manifest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted(
        document
        for room in ("docs", "benchmarks", "training", "storage/bundles")
        for document in (ROOT / room).rglob("*.md")
        if document.parent.name != "assets"  # templates of cards, with places for figures
    ),
]
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
PLACEHOLDER = re.compile(r"@@|@[A-Z][A-Z0-9_]*@|\bFIGURES\b")
"""Where figures are to be filled in."""

CARDS = {
    "lite": ROOT / "training" / "assets",
    "lite-moments": ROOT / "training" / "composed" / "assets",
    "lite-sound": ROOT / "training" / "sound" / "assets",
}
"""Of each shipped bundle the folder of texts from which its recipe writes its own."""


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
    assert not PLACEHOLDER.search(text), "a figure was not filled in"
    for target in LINK.findall(text):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_every_shipped_bundle_has_a_card_and_its_texts_are_known_by_checksum() -> None:
    assert {folder.name for folder in (ROOT / "storage" / "bundles").iterdir()} == set(CARDS)
    for name in CARDS:
        manifest = read_manifest(ROOT / "storage" / "bundles" / name)
        assert {"LICENSE", "MODEL_CARD.md"} <= set(manifest.checksums)
        manifest.verify()


@pytest.mark.parametrize("name", CARDS)
def test_a_model_card_is_the_one_that_its_recipe_writes(name: str) -> None:
    template = (CARDS[name] / "MODEL_CARD.md").read_text(encoding="utf-8")
    card = (ROOT / "storage" / "bundles" / name / "MODEL_CARD.md").read_text(encoding="utf-8")
    parts = [re.escape(part) for part in PLACEHOLDER.split(template)]
    assert re.fullmatch(".*?".join(parts), card, re.DOTALL)


def test_the_recipes_of_all_shipped_models_can_be_reached_from_the_first_page() -> None:
    first = ROOT / "training" / "README.md"
    links = {(first.parent / link).resolve() for link in LINK.findall(first.read_text("utf-8"))}
    for name in ("LITE_MOMENTS.md", "MOMENTS.md", "sound/README.md"):
        assert ROOT / "training" / name in links, name


def test_the_licences_of_all_shipped_weights_are_installed() -> None:
    named = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    for name in CARDS:
        for file in sorted((ROOT / "storage" / "bundles" / name).iterdir()):
            if file.name in ("LICENSE", "NOTICE"):
                assert f"\n    storage/bundles/{name}/{file.name}\n" in named, file


def test_the_benchmarks_page_shows_the_figures_of_its_last_run() -> None:
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- figures -->(.*?)<!-- /figures -->", text, re.DOTALL)
    assert block is not None
    assert re.search(r"\d", block[1]), "run: make bench-quality"


def test_nobody_imports_the_front_door() -> None:
    for room in ("commands", "indexer", "search", "storage"):
        for module in (ROOT / room).rglob("*.py"):
            assert not re.search(r"^\s*(import|from) cli\b", module.read_text(), re.M), module
