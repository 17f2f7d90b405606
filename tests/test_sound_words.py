"""Sentences name the sounds that a listener would expect, and no others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.inflection import forms
from search.sound_words import heard_labels
from storage.audioset import labels


def named(sentence: str) -> dict[str, float]:
    names = labels()
    return {names[index]: weight for index, weight in heard_labels(sentence, names).items()}


def test_audioset_has_527_kinds_of_sound() -> None:
    assert len(labels()) == len(set(labels())) == 527
    assert labels()[0] == "Speech"
    assert labels()[23] == "Baby cry, infant cry"
    assert labels()[-1] == "Field recording"


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("dog barking", {"Dog", "Bark", "Canidae, dogs, wolves"}),
        ("Dogs bark.", {"Dog", "Bark", "Canidae, dogs, wolves"}),
        ("crowd cheering", {"Cheering", "Crowd"}),
        ("the crowd cheers and claps", {"Cheering", "Clapping", "Crowd"}),
        ("applause", {"Applause"}),
        ("the audience applauded", {"Applause"}),
        ("people laughing in a kitchen", {"Laughter"}),
        ("music", {"Music"}),
        ("someone screams", {"Screaming"}),
        ("people talking in an office", {"Speech"}),
        ("a cat purring", {"Cat", "Purr"}),
        ("thunder and rain", {"Thunder", "Rain"}),
        ("gun shots", {"Gunshot, gunfire"}),
        ("opening a cupboard", {"Cupboard open or close"}),
        ("lions roaring in the savanna", {"Roar", "Roaring cats (lions, tigers)"}),
        ("the phone rang", {"Telephone"}),
        ("a building exploding", {"Explosion"}),
    ],
)
def test_a_sentence_names_its_sounds(sentence: str, expected: set[str]) -> None:
    found = named(sentence)
    assert set(found) == expected
    assert set(found.values()) == {1.0}


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        "2024 …",
        "a goalkeeper misses",
        "a rock band on a stage",
        "inside a small room",
        "athletes training in red pants",
        "a house in the country",
        "flying over the sea",
        "tape measure",
        "it is nine o'clock",
        "waving hands",
        "taking care of a patient",
        "a scene without any music",
        "no dogs",
    ],
)
def test_what_is_only_seen_names_no_sound(sentence: str) -> None:
    assert named(sentence) == {}


def test_a_word_of_a_longer_name_is_not_the_name() -> None:
    assert named("a red car") == {"Car": 1.0}
    assert "Church bell" not in named("a bell")
    assert "Baby cry, infant cry" not in named("a baby")


@pytest.mark.parametrize(
    ("sentence", "meant", "wider"),
    [
        ("car horn", "Vehicle horn, car horn, honking", "Car"),
        ("church bells ringing", "Church bell", "Bell"),
        ("sad music", "Sad music", "Music"),
        ("an electric guitar solo", "Electric guitar", "Guitar"),
        ("a baby is crying", "Baby cry, infant cry", "Crying, sobbing"),
        ("a man speaking into a microphone", "Male speech, man speaking", "Speech"),
        ("women were singing", "Female singing", "Singing"),
    ],
)
def test_of_names_within_each_other_the_longest_is_meant(
    sentence: str, meant: str, wider: str
) -> None:
    found = named(sentence)
    assert found[meant] == 1.0
    assert found[wider] == 0.5


def test_words_in_brackets_may_be_lacking() -> None:
    assert named("frying an egg") == {"Frying (food)": 0.5}
    assert named("whimpering")["Whimper (dog)"] == 0.5
    assert named("a dog whimpering")["Whimper (dog)"] == 1.0


def test_words_far_apart_are_no_name() -> None:
    found = named("a car stops and a train blows its horn")
    assert "Vehicle horn, car horn, honking" not in found
    assert found["Train horn"] == 1.0


def test_every_label_names_itself_except_those_of_places() -> None:
    unheard = [label for label in labels() if named(label).get(label) != 1.0]
    places = [label for label in labels() if label.startswith(("Inside,", "Outside,"))]
    assert unheard == ["Hands", "Country", *places]


@given(st.text() | st.lists(st.sampled_from(labels()), max_size=4).map(" ".join))
def test_any_text_gives_weights_above_0_and_at_most_1(sentence: str) -> None:
    found = heard_labels(sentence, labels())
    assert all(0.0 < weight <= 1.0 for weight in found.values())
    assert found == heard_labels(sentence.upper().lower(), labels()) or not sentence.isascii()


@pytest.mark.parametrize(
    ("inflected", "base"),
    [
        ("dogs", "dog"),
        ("cries", "cry"),
        ("crashes", "crash"),
        ("clapping", "clap"),
        ("yelling", "yell"),
        ("buzzing", "buzz"),
        ("typing", "type"),
        ("applauded", "applaud"),
        ("applause", "applaud"),
        ("laughter", "laugh"),
        ("sneezed", "sneeze"),
        ("geese", "goose"),
        ("women", "woman"),
    ],
)
def test_an_inflected_word_has_its_base(inflected: str, base: str) -> None:
    assert base in forms(inflected)


@pytest.mark.parametrize(
    ("word", "other"),
    [("caring", "car"), ("taped", "tap"), ("glass", "glas"), ("bus", "bu")],
)
def test_a_word_that_only_looks_alike_is_another(word: str, other: str) -> None:
    assert not forms(word) & forms(other)
