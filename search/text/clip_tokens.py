"""OpenAI's byte-pair tokens for CLIP, id for id as openai/CLIP (d05afc4) makes them.

A sentence is cleaned, cut into words, each word into UTF-8 bytes, and neighbouring bytes are
merged by rank: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units".
The merges lie in vocabulary/ (MIT, OpenAI). They are read by hand and not through the `tokenizers`
library because that would double the time to load them, which every search pays.
"""

from __future__ import annotations

import gzip
import html
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from heapq import heappop, heappush
from pathlib import Path

from storage.errors import QueryError

VOCABULARY_SIZE = 49408
START, END = 49406, 49407
CONTEXT = 77
"""Positions that the text tower was trained on, start and end mark included."""
WORD_TOKENS = 32
"""What QD-DETR was trained on: 30 pieces and both marks (run_on_video, `max_valid_length`)."""

MERGES_FILE = Path(__file__).parent / "vocabulary" / "bpe_simple_vocab_16e6.txt.gz"
_MERGES = VOCABULARY_SIZE - 512 - 2
_MERGES_BYTES = 540_000
"""A little more than the merges take up; the file goes on with others that CLIP does not use."""

_MARKS = {"<|startoftext|>": START, "<|endoftext|>": END}
# Officially case is ignored. `lower()` has left only one character for which that matters: the
# long s, U+017F, another case of s.
_FIXED_WORD = re.compile(
    "<\\|[s\u017f]tartoftext\\|>|<\\|endoftext\\|>|'(?:[s\u017f]|t|re|ve|m|ll|d)"
)
# Falls out of every class of characters when case is ignored, so that officially it vanishes.
_IOTA_SUBSCRIPT = "\u0345"


class ClipTokenizer:
    """Sentences to ids.

    Unlike the official code, it counts id 0 as the token that it is ("!" in front of another
    mark). QD-DETR's demo takes the number of non-zero ids for the length, and so loses the last
    rows of such a sentence, first the end mark's; here no row is lost.
    """

    pad_id = 0
    """Officially what fills up to 77; no row up to the end mark depends on it."""
    pads_left = False

    def __init__(self, context: int = CONTEXT, word_tokens: int = WORD_TOKENS) -> None:
        """Load the vocabulary (about 30 ms).

        Args:
            context: the most ids that `for_pooled` gives.
            word_tokens: the most ids that `for_words` gives.
        """
        self.context = context
        self.word_tokens = word_tokens
        self._ranks = _ranks()
        self._pieces = _pieces()

    def ids(self, sentence: str) -> list[int]:
        """The ids of a sentence without the marks around it; empty for an empty sentence."""
        found: list[int] = []
        for word in _words(clean(sentence)):
            if word in _MARKS:  # no typing error: officially these become the marks themselves
                found.append(_MARKS[word])
            else:
                found += (self._pieces[piece] for piece in self._merge(word))
        return found

    def for_pooled(self, sentence: str) -> list[int]:
        """Start mark, pieces, end mark: what the vector of the whole sentence is made from.

        Raises:
            QueryError: the sentence is longer than the tower reads.
        """
        pieces = self.ids(sentence)
        room = self.context - 2
        if len(pieces) > room:
            raise QueryError(
                f"The query has {len(pieces)} word pieces, more than the {room} that can be read "
                "at once: describe the moment in one or two short sentences."
            )
        return [START, *pieces, END]

    def for_words(self, sentence: str) -> list[int]:
        """The same for a head that reads word by word: what does not fit is cut off."""
        return [START, *self.ids(sentence)[: self.word_tokens - 2], END]

    def _merge(self, word: str) -> list[str]:
        """Join the neighbours of lowest rank, from the left, until no pair has a rank."""
        symbols = [_printable()[byte] for byte in word.encode("utf-8")]
        symbols[-1] += "</w>"
        before = list(range(-1, len(symbols) - 1))
        after = list(range(1, len(symbols) + 1))
        heap: list[tuple[int, int]] = []

        def rank(left: int) -> int | None:
            right = after[left]
            if left < 0 or right >= len(symbols):
                return None
            return self._ranks.get(f"{symbols[left]} {symbols[right]}")

        def push(left: int) -> None:
            if (found := rank(left)) is not None:
                heappush(heap, (found, left))

        for left in range(len(symbols)):
            push(left)
        while heap:
            found, left = heappop(heap)
            if not symbols[left] or rank(left) != found:
                continue  # one of the two has been merged since
            right = after[left]
            symbols[left] += symbols[right]
            symbols[right] = ""
            after[left] = after[right]
            if after[right] < len(symbols):
                before[after[right]] = left
            push(before[left])
            push(left)
        return [symbol for symbol in symbols if symbol]


def clean(sentence: str) -> str:
    """What the official code does before it looks for words.

    Repairs broken encodings and straightens quotes (ftfy), resolves HTML entities (twice), makes
    white space single blanks, and lower-cases.
    """
    text = sentence
    if not text.isascii() or not text.isprintable() or "&" in text:
        import ftfy  # 40 ms, and nothing to repair in most sentences

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split()).lower()


def vocabulary() -> dict[str, int]:
    """Every piece with its id, as a tokenizer.json of the same vocabulary has them."""
    return {**_pieces(), **_MARKS}


def _words(text: str) -> Iterator[str]:
    """Marks, English endings, runs of letters, single digits, runs of anything else but space."""
    kinds = "".join(map(_kind, text))
    at = 0
    while at < len(text):
        kind = kinds[at]
        end = at + 1
        if kind == ".":
            fixed = _FIXED_WORD.match(text, at)
            end = fixed.end() if fixed else _run_end(kinds, at)
        elif kind == "L":
            end = _run_end(kinds, at)
        if kind != " ":
            yield text[at:end]
        at = end


def _kind(character: str) -> str:
    if character.isspace() or character == _IOTA_SUBSCRIPT:
        return " "
    kind = unicodedata.category(character)[0]
    return kind if kind in "LN" else "."


def _run_end(kinds: str, start: int) -> int:
    kind = kinds[start]
    end = start
    while end < len(kinds) and kinds[end] == kind:
        end += 1
    return end


@cache
def _merge_lines() -> tuple[str, ...]:
    with gzip.open(MERGES_FILE) as file:
        text = file.read(_MERGES_BYTES).decode()
    return tuple(text.split("\n", _MERGES + 1)[1 : _MERGES + 1])  # the first line is a title


@cache
def _ranks() -> dict[str, int]:
    lines = _merge_lines()
    return dict(zip(lines, range(len(lines)), strict=True))


@cache
def _pieces() -> dict[str, int]:
    symbols = sorted(_printable())  # visible bytes come first in the vocabulary, then the others
    singles = [*symbols, *(symbol + "</w>" for symbol in symbols)]
    merged = "\n".join(_merge_lines()).replace(" ", "").split("\n")
    return dict(zip((*singles, *merged), range(VOCABULARY_SIZE - 2), strict=True))


@cache
def _printable() -> tuple[str, ...]:
    """For each byte a visible character, as in GPT-2: itself, or one above 255 for the others."""
    kept = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return tuple(chr(byte if byte in kept else next(others)) for byte in range(256))
