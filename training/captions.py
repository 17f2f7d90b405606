"""Shorter ways to say what a caption says: people who search type a few words, not sentences."""

import re

_LITTLE_WORDS = (
    "a an the this that these those some his her its their one is are was were be been being has "
    "have had do does of to and or as while who which there it he she they by at with"
)
_LITTLE = frozenset(_LITTLE_WORDS.split())
"""Words that a hurried searcher leaves out. Prepositions of place stay: they say how things lie."""

_BREAK = re.compile(r"\s*(?:,|;|\b(?:while|with|as|and|who|which|that|near|next to)\b)\s*", re.I)
"""Where the opening of a caption ends."""

_WORDS_OF_AN_OPENING = 3


def keywords(caption: str) -> str:
    """The caption without its little words: "A dog is on the beach" becomes "dog on beach".

    A caption of little words alone comes back as it is.
    """
    words = re.findall(r"[\w'-]+", caption.lower())
    return " ".join(word for word in words if word not in _LITTLE) or caption


def opening(caption: str) -> str:
    """The caption up to its first break that leaves three words or more, or all of it."""
    for found in _BREAK.finditer(caption):
        head = caption[: found.start()]
        if len(head.split()) >= _WORDS_OF_AN_OPENING:
            return head
    return caption


def shortened(caption: str) -> list[str]:
    """The short forms that differ from the caption and from each other."""
    forms = (opening(caption), keywords(opening(caption)))
    return [form for form in dict.fromkeys(forms) if form.lower() != caption.lower()]
