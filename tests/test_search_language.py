"""A sentence in a script that the bundle does not read is answered with a sentence."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Run

from search.language import KNOWN_READER, readable, refuse_unread, words
from storage.bundles import EncoderBundle, load_encoder
from storage.errors import QueryError
from weights.families import ENCODERS


@pytest.fixture(autouse=True)
def no_brought_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    models = tmp_path / "models"
    monkeypatch.setenv("REELSEEK_MODELS", str(models))
    return models


def reading(*languages: str) -> EncoderBundle:
    return replace(load_encoder(), languages=languages)


@pytest.mark.parametrize(
    ("sentence", "script"),
    [
        ("눈 속의 개", "Hangul"),
        ("雪地里的狗", "Chinese characters"),
        ("雪の中の犬", "Japanese"),
        ("собака в снегу", "Cyrillic"),
        ("كلب في الثلج", "Arabic"),
        ("बर्फ में कुत्ता", "Devanagari"),
        ("ένας σκύλος στο χιόνι", "Greek"),
        ("כלב בשלג", "Hebrew"),
        ("สุนัขในหิมะ", "Thai"),
        ("собака бежит по снегу HD", "Cyrillic"),
        ("собака на снегу dog in the", "Cyrillic"),
        ("一只狗 in snow", "Chinese characters"),
        ("สุนัขในหิมะ in it", "Thai"),
        ("雪の中の犬 in it", "Japanese"),
    ],
)
def test_another_script_is_refused_with_the_way_out(sentence: str, script: str) -> None:
    with pytest.raises(QueryError) as caught:
        refuse_unread(sentence, reading("en"))
    said = str(caught.value)
    assert f"written in {script}" in said and "reads English" in said
    assert KNOWN_READER[1] in said and ".[clip]" in said and "download" in said


@pytest.mark.parametrize(
    "sentence",
    [
        "a dog in snow",
        "café in a naïve style, Straße, Łódź, Đà Nẵng",
        "d\u043eg in snow",  # one letter is Cyrillic
        "Đ\u0430 Nẵng",
        "🐕 ❄️",
        "2024 100 %",
        "ﬁre at 5 µm",
        "\uff44\uff4f\uff47",  # full width
        "\U0001d41b\U0001d428\U0001d425\U0001d41d dog",  # mathematical bold
        "",
        "\u02bc \u02c8",  # modifier letters
    ],
)
def test_latin_digits_emoji_accents_and_stray_letters_pass(sentence: str) -> None:
    assert refuse_unread(sentence, reading("en")) == ()


@pytest.mark.parametrize(
    ("sentence", "unread"),
    [
        ("a shot of 東京タワー", ("東京タワー",)),
        ("Москва at night", ("Москва",)),
        ("dog 강아지", ("강아지",)),
        ("a 犬 and a собака in the park", ("犬", "собака")),
    ],
)
def test_single_foreign_words_pass_and_are_named(sentence: str, unread: tuple[str, ...]) -> None:
    assert refuse_unread(sentence, reading("en")) == unread
    assert refuse_unread(sentence, reading("mul")) == ()


@pytest.mark.parametrize("sentence", ["!!!", "?! ...", "—", "\udcff\udcfe"])
@pytest.mark.parametrize("language", ["en", "mul"])
def test_a_query_without_any_word_is_refused(sentence: str, language: str) -> None:
    with pytest.raises(QueryError, match="There is no word in the query"):
        refuse_unread(sentence, reading(language))


def test_a_bundle_reads_the_scripts_of_its_languages() -> None:
    refuse_unread("собака", reading("en", "ru"))
    refuse_unread("雪の中の犬", reading("ja"))
    with pytest.raises(QueryError, match="reads Chinese and English: ask in Chinese or English"):
        refuse_unread("눈", reading("zh", "en"))


@pytest.mark.parametrize("languages", [("mul",), ("en", "tlh"), ()])
def test_a_bundle_of_many_or_unknown_languages_is_asked_anything(languages: tuple[str]) -> None:
    assert readable(languages) is None
    refuse_unread("눈 속의 개", reading(*languages))


def test_no_bundle_is_named_for_a_script_that_none_is_sure_to_read() -> None:
    with pytest.raises(QueryError, match="no encoder that reelseek knows is sure to read it"):
        refuse_unread("ᏣᎳᎩ", reading("en"))


def test_a_bundle_that_is_there_is_named_first(no_brought_models: Path) -> None:
    lite = load_encoder().manifest
    brought = no_brought_models / "reads-korean"
    shutil.copytree(lite.path, brought)
    fields = {**lite.fields, "name": "reads-korean", "languages": ["ko"]}
    (brought / "manifest.json").write_text(json.dumps(fields), encoding="utf-8")
    damaged = no_brought_models / "damaged"
    damaged.mkdir()
    (damaged / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(QueryError, match="--encoder reads-korean, which is here"):
        refuse_unread("눈", reading("en"))
    with pytest.raises(QueryError, match=KNOWN_READER[1]):
        refuse_unread("снег", reading("en"))


def test_the_words_of_a_sentence_by_script() -> None:
    found = words("a 犬 собака 12 🐕 naïve 東京タワー iPhone手机")
    assert [(word.script, word.letters, word.count) for word in found] == [
        ("LATIN", 1, 1),
        ("HAN", 1, 1),
        ("CYRILLIC", 6, 1),
        ("LATIN", 5, 1),
        ("KATAKANA", 5, 3),
        ("LATIN", 8, 1),
    ]


def test_the_bundle_that_is_named_is_of_a_family_that_can_be_brought() -> None:
    """SigLIP 2 of a fixed size says `siglip` in its config.json; that such a tower is taken, and
    counts as many languages by its vocabulary, is held by tests/test_clip_text.py."""
    (family,) = [family for family in ENCODERS if family.word == "siglip"]
    assert family.model_type == "siglip"
    title, name = KNOWN_READER
    assert title == "SigLIP 2" and name.startswith("google/siglip2-") and "naflex" not in name


def test_the_command_answers_with_one_sentence_and_its_code(run: Run, footage: Path) -> None:
    run("index", "add", footage / "bigbuckbunny.mp4", "--sound", "none")
    for form in ((), ("--json",), ("--by", "video")):
        ended = run("search", "토끼", *form)
        assert ended.returncode == 2
        assert ended.stdout == ""
        assert ended.stderr.startswith("Error: The query is written in Hangul")
        assert len(ended.stderr.splitlines()) == 1
    for form in ((), ("--json",)):
        ended = run("search", "rabbit 토끼", "--head", "watershed", *form)
        assert ended.returncode == 0
        assert re.match(r'lite-\S+ does not read "토끼": the answer is to', ended.stderr)
    ended = run("search", "!!!")
    assert ended.returncode == 2 and len(ended.stderr.splitlines()) == 1
