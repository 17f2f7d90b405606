"""English words brought to their base: "dogs", "barked" and "clapping" to "dog", "bark", "clap".

Only what is needed to compare two words. A word may have several possible bases ("singing" could
come from "sing" or "singe"): two words are the same if they share one.
"""

from __future__ import annotations

import re
from functools import lru_cache

_BASES = {
    "children": "child",
    "geese": "goose",
    "leaves": "leaf",
    "men": "man",
    "mice": "mouse",
    "wolves": "wolf",
    "women": "woman",
    "broke": "break",
    "broken": "break",
    "ran": "run",
    "rang": "ring",
    "rung": "ring",
    "sang": "sing",
    "sung": "sing",
    "spoke": "speak",
    "spoken": "speak",
    "tore": "tear",
    "torn": "tear",
    "written": "write",
    "wrote": "write",
    # Nouns beside their verbs.
    "acceleration": "accelerate",
    "applause": "applaud",
    "conversation": "converse",
    "eruption": "erupt",
    "explosion": "explode",
    "laughter": "laugh",
    "narration": "narrate",
    "speech": "speak",
    "vibration": "vibrate",
    # What else AudioSet's things are called.
    "aeroplane": "airplane",
    "bike": "bicycle",
    "kid": "child",
    "man": "male",
    "motorbike": "motorcycle",
    "phone": "telephone",
    "plane": "airplane",
    "talk": "speak",
    "tv": "television",
    "woman": "female",
}
"""What no ending tells: base by word."""

# fmt: off
_OTHER_WORDS = frozenset({
    "crowing", "ducking", "fired", "firing", "glasses", "pants", "rocking", "shipped", "shipping",
    "streaming", "training", "waving", "winding",
})
# fmt: on
"""These look inflected, but mean something else than "crow", "duck", "fire", "glass", "pant"…"""

_VOWEL = re.compile(r"[aeiouy]")
_ONE_SHORT_SYLLABLE = re.compile(r"[^aeiouy]*[aeiouy][^aeiouywx]")
_DOUBLED = re.compile(r".*([bdfgklmnprstvz])\1")
_ES = ("ses", "xes", "zes", "ches", "shes")


@lru_cache(maxsize=8192)
def forms(word: str) -> frozenset[str]:
    """All bases that a lower-case word may have, itself among them."""
    found = {word}
    if word not in _OTHER_WORDS:
        found |= _singular(word) | _of_verb(word, "ing") | _of_verb(word, "ed")
    found |= {_BASES[form] for form in found if form in _BASES}
    return frozenset(found | {_BASES[form] for form in found if form in _BASES})  # men, man, male


def _singular(word: str) -> set[str]:
    """Plural of a noun, or a verb with s."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return set()
    if word.endswith("ies"):
        return {word[:-3] + "y", word[:-1]}
    if word.endswith(_ES):
        return {word[:-2], word[:-1]}
    return {word[:-1]}


def _of_verb(word: str, ending: str) -> set[str]:
    """A verb with -ing or -ed."""
    if not word.endswith(ending) or word.endswith("eed"):
        return set()
    stem = word.removesuffix(ending)
    if len(stem) < 2 or not _VOWEL.search(stem):
        return set()
    if stem.endswith("i"):  # cried
        return {stem[:-1] + "y"}
    if _DOUBLED.fullmatch(stem):  # clapping from "clap", but yelling from "yell"
        return {stem, stem[:-1]}
    if _ONE_SHORT_SYLLABLE.fullmatch(stem):  # taped from "tape": "tap" makes "tapped"
        return {stem + "e"}
    return {stem, stem + "e"}
