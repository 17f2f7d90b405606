"""What is asked of composed tapes: captions, shorter versions of them, labels and single nouns.

People type less than annotators write: "dog snow", "wedding", "a man on a bicycle". Each question
knows the photos that answer it, and those of which it cannot be said; the latter never stand on a
tape that is asked for it.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from training.photos import Photo

PROMPTS = ("{}", "{}", "a {}", "footage of {}", "a photo of {}", "{} in a film")
"""How a label is asked for; the bare name most often."""

SURE_CAPTIONS = 3
"""A photo answers a noun that so many of its captions name; one or two of them leave it open."""

_NOUN_PHOTOS = (4, 400)
"""A noun is asked for if so many photos show it for sure: neither a rarity nor everywhere."""

_VAGUE = 0.01
"""A shortened caption whose words fit a larger share of the photos asks for nothing."""

_FUNCTION_WORDS = """
a an the and or but of in on at by to from with without into onto over under up down off out
through along across near next beside behind between around against before after during while
as that which who whose there here this these those it its his her their him them he she they
is are was were be been being has have had do does did can could will would very some many
several few other another one two three four five for about toward towards above below inside
outside top front back side each both all so not no
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
_DETERMINERS = FUNCTION_WORDS & {"a", "an", "the", "his", "her", "its", "their", "some", "two"}
_CLAUSE = re.compile(
    r"\s*(?:,|\b(?:while|with|as|and|in front of|next to|in|on|near|through|over|wearing)\b)"
)


@dataclass(frozen=True)
class Question:
    """A sentence to search for, and what a set of photos says to it."""

    text: str
    kind: str
    """"caption", "short", "keywords", "label" or "noun"."""
    right: tuple[int, ...]
    """Positions of the photos that show it, at least one."""
    doubtful: frozenset[int] = frozenset()
    """Positions of photos of which it is open whether they do."""


def questions(photos: Sequence[Photo], seed: int) -> list[Question]:
    """All questions to a set of photos. What is asked of a photo or a label does not depend on
    which others are in the set.
    """
    mentions = _Mentions(photos)
    found = [
        question
        for position, photo in enumerate(photos)
        if photo.captions
        for question in _of_captions(position, photo, mentions, _drawn(seed, photo.key))
    ]
    return [*found, *_of_labels(photos, mentions, seed), *_of_nouns(photos, mentions)]


def shortened(caption: str) -> str:
    """The caption up to where its second part begins: "a dog runs" of "A dog runs in the snow"."""
    text = caption.lower().strip(" .")
    for match in _CLAUSE.finditer(text):
        head = text[: match.start()].strip(" ,.")
        if len(content_words(head)) >= 2:
            return head
    return text


def content_words(text: str) -> list[str]:
    """Words that mean something by themselves, small letters, in order, each once."""
    words = re.findall(r"[a-z][a-z'-]+", text.lower())
    return list(dict.fromkeys(word for word in words if word not in FUNCTION_WORDS))


def singular(word: str) -> str:
    """A rough stem that makes "dogs" and "dog" one: enough to count, never shown."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def _drawn(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


class _Mentions:
    """In how many captions of which photo a word stands."""

    def __init__(self, photos: Sequence[Photo]) -> None:
        self._photos = len(photos)
        self._counts: dict[str, Counter[int]] = {}
        for position, photo in enumerate(photos):
            for caption in photo.captions:
                for word in {singular(word) for word in content_words(caption)}:
                    self._counts.setdefault(word, Counter())[position] += 1

    def __len__(self) -> int:
        return self._photos

    def of(self, text: str) -> Counter[int]:
        """For each photo the most captions that name any of the words."""
        total: Counter[int] = Counter()
        for word in map(singular, content_words(text)):
            total |= self._counts.get(word, Counter())
        return total

    def of_all(self, text: str) -> frozenset[int]:
        """The photos whose captions, taken together, name every word."""
        named = [set(self._counts.get(singular(word), ())) for word in content_words(text)]
        return frozenset(set.intersection(*named)) if named else frozenset()


def _of_captions(
    position: int, photo: Photo, mentions: _Mentions, rng: np.random.Generator
) -> Iterator[Question]:
    """Two captions as they are, one cut short, and the key words of one."""
    order = rng.permutation(len(photo.captions)).tolist()
    for number in order[:2]:
        yield Question(photo.captions[number], "caption", (position,))
    asked = {"short": shortened(photo.captions[order[min(2, len(order) - 1)]])}
    words = content_words(photo.captions[order[min(3, len(order) - 1)]])
    if len(words) >= 3:
        kept = sorted(rng.permutation(len(words))[: int(rng.integers(2, 5))].tolist())
        asked["keywords"] = " ".join(words[number] for number in kept)
    for kind, text in asked.items():
        doubtful = mentions.of_all(text) - {position}
        if len(doubtful) <= _VAGUE * len(mentions):
            yield Question(text, kind, (position,), doubtful)


def _of_labels(photos: Sequence[Photo], mentions: _Mentions, seed: int) -> Iterator[Question]:
    """Each label in some prompts; captioned photos that name a word of it stay open."""
    holders: dict[str, list[int]] = {}
    for position, photo in enumerate(photos):
        for label in photo.labels:
            holders.setdefault(label, []).append(position)
    for label, right in sorted(holders.items()):
        named = frozenset(mentions.of(label)) - set(right)
        asked = 1 + min(5, len(right) // 3)
        for number in _drawn(seed, label).permutation(len(PROMPTS))[:asked].tolist():
            yield Question(PROMPTS[number].format(label), "label", tuple(right), named)


def _of_nouns(photos: Sequence[Photo], mentions: _Mentions) -> Iterator[Question]:
    for noun in _nouns(photos):
        counts = mentions.of(noun)
        right = tuple(sorted(at for at, count in counts.items() if count >= SURE_CAPTIONS))
        if _NOUN_PHOTOS[0] <= len(right) <= _NOUN_PHOTOS[1]:
            yield Question(noun, "noun", right, frozenset(counts) - set(right))


def _nouns(photos: Sequence[Photo]) -> list[str]:
    """Words that often follow an article and then close their phrase ("a dog in …")."""
    after_article: Counter[str] = Counter()
    closing: Counter[str] = Counter()
    for photo in photos:
        for caption in photo.captions:
            words = re.findall(r"[a-z][a-z'-]*", caption.lower())
            for before, word, after in zip(words, words[1:], [*words[2:], "in"], strict=False):
                if before in _DETERMINERS and word not in FUNCTION_WORDS:
                    after_article[word] += 1
                    closing[word] += after in FUNCTION_WORDS or after.endswith("ing")
    return sorted(
        word for word, count in after_article.items() if count >= 8 and closing[word] > 0.6 * count
    )
