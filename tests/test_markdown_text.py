"""A model card reads well where Markdown is not rendered."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.markdown_text import LINE, WIDEST_TABLE, as_text
from storage.bundles import SHIPPED


def test_headings_are_underlined_and_marks_go() -> None:
    assert as_text("# The `lite` **encoder**\n\n## Limits\nOne *frame*, a_b_c and 2 * 3 * 4.") == (
        "The lite encoder\n================\n\nLimits\n------\n\nOne frame, a_b_c and 2 * 3 * 4."
    )


def test_paragraphs_are_filled_and_items_keep_their_indent() -> None:
    text = as_text("- " + "word " * 40 + "\n  and more\n- second\n  1. third")
    lines = text.split("\n")
    assert all(len(line) <= LINE for line in lines)
    assert lines[1].startswith("  word")
    assert lines[-2:] == ["- second", "  1. third"]


def test_tables_have_their_columns_aligned() -> None:
    table = "| split | R@1 |\n| --- | ---: |\n| val | 23.1 |\n| a \\| b | `7` |"
    assert as_text(table).split("\n") == [
        "split  R@1",
        "-----------",
        "val    23.1",
        "a | b  7",
    ]


def test_a_table_too_wide_for_a_terminal_is_told_row_by_row() -> None:
    table = f"| set | photos | terms |\n|---|---|---|\n| Flickr8k | 5,740 | {'long ' * 30}|"
    first, second, third, *_ = as_text(table).split("\n")
    assert (first, second) == ("set: Flickr8k", "    photos: 5,740")
    assert third.startswith("    terms: long long")


def test_code_stays_as_it_is_and_links_keep_their_address() -> None:
    assert as_text("```sh\nmake *all*  # x\n```") == "    make *all*  # x"
    assert as_text("see [the page](https://example.org/a) and [terms](NOTICE)") == (
        "see the page (https://example.org/a) and terms"
    )


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_text_is_taken(text: str) -> None:
    assert isinstance(as_text(text), str)


@given(st.lists(st.text("ab |*_`#-[]\\1.>", max_size=30), max_size=8))
def test_no_word_is_lost(lines: list[str]) -> None:
    text = "\n".join(lines)
    kept = as_text(text)
    for letter in "ab":
        assert kept.count(letter) == text.count(letter), (text, kept)


@pytest.mark.parametrize("bundle", sorted(SHIPPED.iterdir()), ids=lambda folder: folder.name)
def test_shipped_cards_lose_no_words(bundle: Path) -> None:
    card = bundle / "MODEL_CARD.md"
    if not card.is_file():
        pytest.skip(f"{bundle.name} has no model card")
    text = card.read_text(encoding="utf-8")
    shown = as_text(text)
    assert not re.search(r"^#|^\|", shown, re.M)
    assert max(map(len, shown.split("\n"))) <= WIDEST_TABLE
    for word in set(re.findall(r"[A-Za-z]{4,}", re.sub(r"\]\([^)]*\)", "]", text))):
        assert word in shown, word
