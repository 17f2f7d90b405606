"""Tokens of CLIP: equal to the official ones, id for id."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import Any

import ftfy
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from recordings import (
    FIXTURES,
    case_folders,
    cases_or_skip,
    folders_or_skip,
    read_arrays,
    read_case,
)

from search.text.clip_tokens import END, START, ClipTokenizer, clean, vocabulary
from storage.errors import QueryError

TOKENIZER = ClipTokenizer()


TOKENISED = [
    folder
    for folder in case_folders("clip_tokens", arrays=["ids77", "ids32"])
    if (folder / "queries.json").is_file()
]
recorded_queries = pytest.mark.parametrize(
    "folder", folders_or_skip(TOKENISED, "tokenised queries", "clip_tokens")
)


def queries_of(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "queries.json").read_text(encoding="utf-8")
    queries: list[dict[str, Any]] = json.loads(text)["queries"]
    return queries


def demos() -> dict[str, dict[str, Any]]:
    """What the demo of QD-DETR makes of sentences: JSON files beside the cases of the network."""
    files = sorted((FIXTURES / "qddetr").glob("*.json"))
    read = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}
    return {name: found for name, found in read.items() if {"items", "context_length"} <= {*found}}


def padded(ids: list[int], context: int) -> list[int]:
    return ids + [0] * (context - len(ids))


@recorded_queries
def test_every_recorded_query_has_the_official_ids(folder: Path) -> None:
    config = read_case(folder)["config"]
    recorded = read_arrays(folder / "io.npz")
    context = config["context_length"]
    tokenizer = ClipTokenizer(context, config["max_valid_length"])
    for query, ids77, ids32 in zip(
        queries_of(folder), recorded["ids77"], recorded["ids32"], strict=True
    ):
        text = query["text"]
        assert clean(text) == query["cleaned"], text
        whole = [START, *tokenizer.ids(text), END]
        if len(whole) > context:  # recorded with the official `truncate=True`
            whole = [*whole[: context - 1], END]
        assert padded(whole, context) == ids77.tolist(), text
        assert padded(tokenizer.for_words(text), context) == ids32.tolist(), text


@recorded_queries
def test_every_recorded_query_has_the_recorded_pieces_and_lengths(folder: Path) -> None:
    names = {number: piece for piece, number in vocabulary().items()}
    for query in queries_of(folder):
        text = query["text"]
        pieces = [names[number] for number in TOKENIZER.ids(text)]
        assert len(pieces) == query["bare_count"], text
        assert pieces[: len(query["pieces"])] == query["pieces"], text
        words = TOKENIZER.for_words(text)
        assert len(words) == query["true_length32"], text
        assert sum(number != 0 for number in words) == query["nonzero32"], text


@recorded_queries
def test_too_long_is_refused_where_official_code_raises(folder: Path) -> None:
    for query in queries_of(folder):
        if query["raises_without_truncate"]:
            with pytest.raises(QueryError, match="word pieces"):
                TOKENIZER.for_pooled(query["text"])
        else:
            assert TOKENIZER.for_pooled(query["text"])[0] == START


@pytest.mark.parametrize("recorded", cases_or_skip(demos(), "the demo's tokens", "qddetr"))
def test_the_demo_of_qd_detr_has_the_same_ids_and_a_length_without_zeros(
    recorded: dict[str, Any],
) -> None:
    tokenizer = ClipTokenizer(recorded["context_length"], recorded["max_valid_length"])
    for item in recorded["items"]:
        words = tokenizer.for_words(item["text"])
        assert words == item["ids"], item["text"]
        assert sum(number != 0 for number in words) == item["valid_length"], item["text"]


@pytest.mark.parametrize(
    "folder",
    folders_or_skip(
        case_folders("clip_preprocess", fields=["labels"], arrays=["token_ids"]),
        "labels with their tokens",
        "clip_preprocess",
    ),
)
def test_the_published_example_has_the_official_ids(folder: Path) -> None:
    recorded = read_arrays(folder / "io.npz")["token_ids"]
    for label, ids in zip(read_case(folder)["labels"], recorded, strict=True):
        assert padded(TOKENIZER.for_pooled(label), recorded.shape[1]) == ids.tolist()


def test_no_row_is_lost_to_a_token_whose_id_is_zero() -> None:
    words = TOKENIZER.for_words('She shouts "goal!", then runs.')
    assert 0 in words
    assert words[-1] == END


@given(st.integers(0, 75))
def test_seventy_five_pieces_are_read_and_more_are_refused(count: int) -> None:
    ids = TOKENIZER.for_pooled("dog " * count)
    assert ids == [START, *[ids[1]] * count, END] if count else ids == [START, END]
    with pytest.raises(QueryError, match=r"75 that can be read"):
        TOKENIZER.for_pooled("dog " * (76 + count))


@given(st.text())
def test_words_are_the_beginning_of_the_sentence(sentence: str) -> None:
    ids = TOKENIZER.ids(sentence)
    assert TOKENIZER.for_words(sentence) == [START, *ids[:30], END]


@settings(deadline=None)
@given(
    st.one_of(st.text(), st.text(st.characters(max_codepoint=127)), st.from_regex(r"\A[&\w;#]+"))
)
@example("&Atilde;&copy;")
@example("a\x1b[31mred\x1b[0m dog")
def test_cleaning_is_the_official_one_also_where_ftfy_is_left_out(sentence: str) -> None:
    official = html.unescape(html.unescape(ftfy.fix_text(sentence))).strip()
    assert clean(sentence) == re.sub(r"\s+", " ", official).strip().lower()


def plain_bpe(word: bytes, order: list[str], ranks: dict[str, int]) -> list[str]:
    """Byte-pair encoding as the paper tells it: all places of the best pair, again and again."""
    symbols = [order[byte] for byte in word]
    symbols[-1] += "</w>"
    while True:
        pairs = [f"{a} {b}" for a, b in pairwise(symbols)]
        best = min(pairs, key=lambda pair: ranks.get(pair, len(ranks)), default="")
        if best not in ranks:
            return symbols
        merged: list[str] = []
        for symbol in symbols:
            if merged and f"{merged[-1]} {symbol}" == best:
                merged[-1] += symbol
            else:
                merged.append(symbol)
        symbols = merged


@settings(deadline=None)
@given(st.text("abcdeilnorst", min_size=1, max_size=40))
@example("aaaaaaaaaaaaaaaaaaaa")
@example("banananananana")
def test_merging_by_a_heap_is_merging_by_the_book(word: str) -> None:
    from search.text import clip_tokens

    names = {number: piece for piece, number in vocabulary().items()}
    pieces = [names[number] for number in TOKENIZER.ids(word)]
    printable = list(clip_tokens._printable())
    assert pieces == plain_bpe(word.encode(), printable, clip_tokens._ranks())


@settings(deadline=None)
@given(st.text())
@example("'\u017f 'S don't")
@example("a\u0345b")
@example("½ ² Ⅳ 三 x2y")
def test_words_are_cut_as_the_official_expression_cuts_them(sentence: str) -> None:
    regex = pytest.importorskip("regex", reason="the official expression needs the package regex")
    from search.text.clip_tokens import _words

    official = regex.compile(
        r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d"
        r"|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
        regex.IGNORECASE,
    )
    text = clean(sentence)
    # What Python's Unicode does not know yet, another Unicode may call a letter.
    known = "".join(character for character in text if unicodedata.category(character) != "Cn")
    assert list(_words(known)) == official.findall(known)


def test_a_long_word_takes_no_long_time() -> None:
    assert len(TOKENIZER.ids("xq" * 50_000)) > 77  # minutes, were every merge a pass over the word


def test_neither_torch_nor_transformers_nor_ftfy_is_loaded_for_plain_words() -> None:
    program = (
        "import sys; from search.text.clip_tokens import ClipTokenizer;"
        "ClipTokenizer().for_pooled('a dog in snow');"
        "heavy = {'torch', 'transformers', 'tokenizers', 'ftfy'} & set(sys.modules);"
        "sys.exit(', '.join(heavy) or None)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
