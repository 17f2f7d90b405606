"""Which script a sentence is written in, and whether an encoder reads it.

A text tower gives a vector for anything, also for letters that it never saw: the answer would be
noise that looks like an answer. What a bundle's manifest names under `languages` tells which
scripts mean something to it. Languages that share a script (a German sentence to an English tower)
cannot be told apart so, and pass.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from storage.bundles import EncoderBundle, installed, load_encoder
from storage.errors import QueryError, ReelseekError
from storage.manifest import read_manifest

KNOWN_READER = ("SigLIP 2", "google/siglip2-base-patch16-224")
"""An encoder for many languages that `index add --encoder` and `models import --as siglip` take,
and its name on Hugging Face's hub. MetaCLIP 2 is the other family whose bundles say "mul"."""

LATIN = "LATIN"
"""Read by every bundle: all vocabularies hold these letters, and every language writes names and
brands in them."""


@dataclass(frozen=True)
class Language:
    """A language by its English name, and the scripts beside Latin that it is written in."""

    name: str
    scripts: frozenset[str] = frozenset()


def _language(name: str, *scripts: str) -> Language:
    return Language(name, frozenset(scripts))


LANGUAGES = {
    "am": _language("Amharic", "ETHIOPIC"),
    "ar": _language("Arabic", "ARABIC"),
    "be": _language("Belarusian", "CYRILLIC"),
    "bg": _language("Bulgarian", "CYRILLIC"),
    "bn": _language("Bengali", "BENGALI"),
    "cs": _language("Czech"),
    "da": _language("Danish"),
    "de": _language("German"),
    "el": _language("Greek", "GREEK"),
    "en": _language("English"),
    "es": _language("Spanish"),
    "fa": _language("Persian", "ARABIC"),
    "fi": _language("Finnish"),
    "fr": _language("French"),
    "he": _language("Hebrew", "HEBREW"),
    "hi": _language("Hindi", "DEVANAGARI"),
    "hu": _language("Hungarian"),
    "hy": _language("Armenian", "ARMENIAN"),
    "id": _language("Indonesian"),
    "it": _language("Italian"),
    "ja": _language("Japanese", "HAN", "HIRAGANA", "KATAKANA"),
    "ka": _language("Georgian", "GEORGIAN"),
    "ko": _language("Korean", "HANGUL", "HAN"),
    "mr": _language("Marathi", "DEVANAGARI"),
    "nl": _language("Dutch"),
    "no": _language("Norwegian"),
    "pl": _language("Polish"),
    "pt": _language("Portuguese"),
    "ro": _language("Romanian"),
    "ru": _language("Russian", "CYRILLIC"),
    "sr": _language("Serbian", "CYRILLIC"),
    "sv": _language("Swedish"),
    "ta": _language("Tamil", "TAMIL"),
    "te": _language("Telugu", "TELUGU"),
    "th": _language("Thai", "THAI"),
    "tr": _language("Turkish"),
    "uk": _language("Ukrainian", "CYRILLIC"),
    "ur": _language("Urdu", "ARABIC"),
    "vi": _language("Vietnamese"),
    "zh": _language("Chinese", "HAN", "BOPOMOFO"),
}
"""By ISO 639-1. A bundle that names another, or "mul" (many, ISO 639-2), is given any sentence."""

_READ_BY_MANY = frozenset().union(*(language.scripts for language in LANGUAGES.values())) | {
    "GUJARATI",
    "GURMUKHI",
    "KANNADA",
    "KHMER",
    "LAO",
    "MALAYALAM",
    "MYANMAR",
    "SINHALA",
}
"""Scripts of large written languages, which encoders for many languages were trained on."""

_BLOCKS = {"CJK": "HAN", "IDEOGRAPHIC": "HAN", "KATAKANA-HIRAGANA": "KATAKANA"}
"""First words of Unicode's names that do not name the script."""

_NO_SCRIPT = {"MODIFIER"}
"""First words of names of letters that belong to every script, such as a raised comma."""

_KANA = ("HIRAGANA", "KATAKANA")

_TITLES = {"HAN": "Chinese characters", **dict.fromkeys(_KANA, "Japanese")}


def refuse_unread(sentence: str, bundle: EncoderBundle) -> tuple[str, ...]:
    """Refuse a sentence that the encoder does not read, or in which there is nothing to read.

    Refused is what has more than half of its words, or of its letters, in other scripts; a Chinese
    character counts as a word. Digits, emoji and accents pass, and so does a Latin word with a
    stray foreign letter.

    Returns:
        The words that are not read of a sentence that passes.

    Raises:
        QueryError: says which languages the bundle reads, and which bundle would read the sentence;
            or that there is no word in it.
    """
    if sentence.strip() and not any(map(_says_something, sentence)):
        raise QueryError(
            f'There is no word in the query "{sentence}": say what is to be seen or heard, such as '
            '"a dog in snow".'
        )
    read = readable(bundle.languages)
    if read is None:
        return ()
    found = words(sentence)
    unread = [word for word in found if word.script not in read]
    if not _most(unread, found):
        return tuple(word.text for word in unread)
    script = _main_script(unread)
    names = [LANGUAGES[code].name for code in bundle.languages]
    raise QueryError(
        f"The query is written in {_title(script)}, and {bundle.manifest.model_id} reads "
        f"{listed(names, 'and')}: ask in {listed(names, 'or')}{_alternative(script)}."
    )


def readable(languages: tuple[str, ...]) -> frozenset[str] | None:
    """The scripts of some languages; None where any script may be among them."""
    if not languages or any(code not in LANGUAGES for code in languages):
        return None
    return frozenset({LATIN}).union(*(LANGUAGES[code].scripts for code in languages))


@dataclass(frozen=True)
class Word:
    """A word that has letters."""

    text: str
    script: str
    """By its name in Unicode ("LATIN", "HAN"): what most of its letters are, one with kana as
    Japanese."""
    letters: int
    count: int
    """Of how many words it is, where each Chinese character is one."""


def words(sentence: str) -> list[Word]:
    """The words of a sentence that have letters; compatibility forms (full width, mathematical)
    are the letters that they stand for."""
    found = []
    for text in unicodedata.normalize("NFKC", sentence).split():
        letters = Counter(filter(None, map(_script, text)))
        if letters:
            script = next((kana for kana in _KANA if kana in letters), None)
            script = script or max(letters, key=lambda name: (letters[name], name == LATIN))
            characters = letters["HAN"]
            count = characters + any(name != "HAN" for name in letters)
            in_latin = script == LATIN
            found.append(Word(text, script, letters.total(), 1 if in_latin else count))
    return found


def _most(some: Sequence[Word], every: Sequence[Word]) -> bool:
    """Whether some words are more than half of all, by words or by letters."""
    return (
        2 * sum(word.count for word in some) > sum(word.count for word in every)
        or 2 * sum(word.letters for word in some) > sum(word.letters for word in every)
    )  # fmt: skip


def _main_script(found: Sequence[Word]) -> str:
    """What most letters are in; Japanese where there is any kana."""
    letters: Counter[str] = Counter()
    for word in found:
        letters[word.script] += word.letters
    kana = next((script for script in _KANA if script in letters), None)
    return kana or letters.most_common(1)[0][0]


def _says_something(character: str) -> bool:
    """Whether it belongs to a word or a number, or is an emoji or another pictured symbol."""
    return character.isalnum() or unicodedata.category(character) == "So"


def _script(character: str) -> str | None:
    if not character.isalpha():
        return None
    first = unicodedata.name(character, "").partition(" ")[0]
    return _BLOCKS.get(first, first) if first and first not in _NO_SCRIPT else None


def _title(script: str) -> str:
    return _TITLES.get(script, script.capitalize())


def _alternative(script: str) -> str:
    """The second half of the sentence: what would read this script."""
    again = ", or index the films again, into a new --db, with an encoder that reads it"
    if here := _installed_reader(script):
        return f"{again}: --encoder {here}, which is here"
    if script in _READ_BY_MANY:
        title, name = KNOWN_READER
        return (
            f"{again}, such as {title}: `index add FILMS --db NEW --encoder {name}` (it needs the "
            "extra, `pip install '.[clip]'` in reelseek's source folder, and a download)"
        )
    return "; no encoder that reelseek knows is sure to read it"


def _installed_reader(script: str) -> str | None:
    """Name of the first encoder that is there and reads a script."""
    for folder in installed():
        try:
            if read_manifest(folder).kind != "encoder":
                continue
            languages = load_encoder(folder.name).languages
        except ReelseekError:  # a damaged bundle is no advice
            continue
        read = readable(languages)
        if script in _READ_BY_MANY if read is None else script in read:
            return folder.name
    return None


def listed(names: Sequence[str], word: str) -> str:
    """E.g. "a, b and c", where `word` is "and"."""
    *first, last = names
    return f"{', '.join(first)} {word} {last}" if first else last
