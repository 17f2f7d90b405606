"""Which kinds of sound a sentence names, so that the tags of an archive can be searched as words.

AudioSet's labels are short: "Bark", "Whimper (dog)", "Vehicle horn, car horn, honking". The rule:

1. Commas separate names of the same thing, and one of them is enough. A comma in brackets
   separates examples, which are names too: "Roaring cats (lions, tigers)".
2. A name is in a sentence when all its words are, close together, in any order and inflection:
   "barking" and "barks" name "Bark", "car horn" names "Vehicle horn, car horn, honking", and "car"
   alone does not. "Music" is in "sad music", but "Sad music" is not in "music". Words around an
   "or" count as one. Words that only hold a name together ("of", "and") do not count.
3. The weight is the share of a name's words that the sentence has. Only words in brackets can be
   lacking: "whimpering" is half of "Whimper (dog)", "a dog whimpering" is all of it.
4. Of names within each other the longest is meant: in "church bell" the label "Bell" has half its
   weight, and so have "Car" and "Alarm" in "car alarm".

Labels that say where one listens ("Inside, small room") are not looked for: "inside a car" asks
for something to be seen. Nor are some words that nearly always mean something else in a sentence
about a film ("the country", "flying"), nor a word after "no", "not" or "without".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, product

from search.inflection import forms

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")

# fmt: off
_STOP_WORDS = frozenset({
    "a", "an", "and", "any", "are", "as", "at", "be", "been", "being", "by", "etc", "for", "from",
    "has", "have", "he", "her", "his", "in", "into", "is", "it", "its", "near", "next", "of",
    "off", "on", "onto", "or", "out", "over", "she", "some", "that", "the", "their", "them",
    "then", "there", "these", "they", "this", "those", "to", "under", "up", "was", "were",
    "while", "who", "with", "you", "your",
})
# fmt: on

_NEGATIONS = frozenset({"no", "not", "without"})

_LISTENING_PLACES = ("Inside,", "Outside,")

_MEANT_OTHERWISE = frozenset({"country", "fly", "hands"})
"""Names that mean something else in a sentence about a film: flying, and not a fly."""

_WITHIN = 0.5
"""What a name is worth that lies within a longer one."""


@dataclass(frozen=True)
class _Name:
    """One of a label's names. A word is a tuple of alternatives, one of which is enough."""

    words: tuple[tuple[str, ...], ...]
    qualifiers: tuple[tuple[str, ...], ...]
    """Words in brackets."""


@dataclass(frozen=True)
class _Match:
    label: int
    weight: float
    places: frozenset[int]
    """Which words of the sentence make up the name."""


def heard_labels(sentence: str, labels: Sequence[str]) -> dict[int, float]:
    """The labels that a sentence names, by the rule above.

    Args:
        sentence: English, in any case.
        labels: AudioSet's display names.

    Returns:
        Index of a label to a weight above 0, at most 1: how fully its wording is covered.
    """
    matches = _all_matches(sentence, tuple(labels))
    weights: dict[int, float] = {}
    for match in matches:
        within = any(match.places < other.places for other in matches)
        weight = match.weight * (_WITHIN if within else 1.0)
        weights[match.label] = max(weight, weights.get(match.label, 0.0))
    return weights


def named_share(sentence: str, labels: Sequence[str]) -> float:
    """How much of a sentence names sounds: the share of its words that make up names, 0 to 1.

    All of "dog barking", a third of "a dog in deep snow". A word counts as fully as its name does.
    """
    total = len(_words(sentence))
    by_place: dict[int, float] = {}
    for match in _all_matches(sentence, tuple(labels)):
        for place in match.places:
            by_place[place] = max(match.weight, by_place.get(place, 0.0))
    return sum(by_place.values()) / total if total else 0.0


@lru_cache(maxsize=64)
def _all_matches(sentence: str, labels: tuple[str, ...]) -> tuple[_Match, ...]:
    spoken = _forms_by_place(sentence)
    return tuple(
        match
        for index, label in enumerate(labels)
        for name in _names(label)
        for match in _matches(index, name, spoken)
    )


def _words(text: str) -> list[str]:
    """Lower-case words that carry meaning, in order; a hyphen parts words."""
    found = _WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    words = [word.removesuffix("'s") for word in found]
    words = [word for word in words if word not in _STOP_WORDS]
    denied = [False, *(word in _NEGATIONS for word in words)]
    return [word for word, gone in zip(words, denied, strict=False) if not gone]


def _forms_by_place(sentence: str) -> dict[str, list[frozenset[int]]]:
    """Every base form in the sentence, and where: "gun shots" also holds "gunshot"."""
    words = _words(sentence)
    spoken: dict[str, list[frozenset[int]]] = {}
    for place, word in enumerate(words):
        for form in forms(word):
            spoken.setdefault(form, []).append(frozenset({place}))
    for place, (word, following) in enumerate(pairwise(words)):
        for form in forms(word + following):
            spoken.setdefault(form, []).append(frozenset({place, place + 1}))
    return spoken


def _matches(index: int, name: _Name, spoken: dict[str, list[frozenset[int]]]) -> Iterator[_Match]:
    """Where a name is in the sentence: all its words, in a stretch with at most one word more."""
    found = [_places(word, spoken) for word in name.words]
    total = len(name.words) + len(name.qualifiers)
    for chosen in product(*found):
        places = frozenset[int]().union(*chosen)
        length = sum(map(len, chosen))
        if len(places) < length or max(places) - min(places) > length:
            continue
        qualifiers = [place for word in name.qualifiers for place in _places(word, spoken)[:1]]
        weight = (len(name.words) + len(qualifiers)) / total
        yield _Match(index, weight, places.union(*qualifiers))


def _places(word: tuple[str, ...], spoken: dict[str, list[frozenset[int]]]) -> list[frozenset[int]]:
    bases = sorted(frozenset[str]().union(*map(forms, word)))
    return list(dict.fromkeys(place for base in bases for place in spoken.get(base, ())))


@lru_cache(maxsize=2048)
def _names(label: str) -> tuple[_Name, ...]:
    """All names of a label, as rule 1 has it."""
    if label.startswith(_LISTENING_PLACES):
        return ()
    before, _, bracket = label.partition("(")
    bracket = bracket.partition(")")[0]
    listed = before.split(",")
    examples = bracket.split(",")
    if len(examples) > 1:
        listed, bracket = listed + examples, ""
    named = [part for part in listed if part.strip().lower() not in _MEANT_OTHERWISE]
    names = (_Name(_alternatives(part), _alternatives(bracket)) for part in named)
    return tuple(name for name in names if name.words)


def _alternatives(phrase: str) -> tuple[tuple[str, ...], ...]:
    """Words of a phrase: "Cupboard open or close" → (cupboard), (open, close)."""
    groups: list[tuple[str, ...]] = []
    for number, part in enumerate(re.split(r"\bor\b", phrase)):
        words = _words(part)
        if number and groups and words:
            groups[-1] += (words.pop(0),)
        groups += [(word,) for word in words]
    return tuple(groups)
