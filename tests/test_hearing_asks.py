"""How far a sentence asks for sound: by its words, and by what its vector means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import ColourWords
from hypothesis import given
from hypothesis import strategies as st

from search.hearing_asks import FILE, Asks, load_asks
from search.text.base import EncodedQuery
from search.text.lite import LiteTextEncoder
from storage.bundles import load_encoder

HEARD = np.array([1.0, 0.0], np.float32)
SEEN = np.array([0.0, 1.0], np.float32)
ASKS = Asks(np.array([4.0, -4.0], np.float32), 0.0)


def query(text: str, sentence: np.ndarray | None = None) -> EncodedQuery:
    return replace(ColourWords().encode("red"), text=text, sentence=sentence)


def test_the_meaning_counts_where_it_can_be_read() -> None:
    assert ASKS.of(query("dog", SEEN)) < 0.1, "a name of a sound, but of a thing as well"
    assert ASKS.of(query("a busker", HEARD)) == pytest.approx(0.982, abs=1e-3)
    assert ASKS.of(query("a red coat", SEEN)) == pytest.approx(0.018, abs=1e-3)


def test_without_a_sentence_vector_the_words_decide() -> None:
    assert ASKS.of(query("a busker")) == 0.0
    assert ASKS.of(query("applause")) == 1.0
    assert Asks().of(query("a busker", HEARD)) == 0.0


@given(st.text(max_size=40), st.floats(-1, 1), st.floats(-1, 1))
def test_it_is_a_share_whatever_is_typed(text: str, one: float, other: float) -> None:
    assert 0.0 <= ASKS.of(query(text, np.array([one, other], np.float32))) <= 1.0


def test_a_regression_for_another_text_tower_is_not_used(tmp_path: Path) -> None:
    file = tmp_path / "asks.npz"
    np.savez(file, weights=ASKS.weights, bias=np.float32(0), text_sha256="abc")
    assert load_asks("abc", file).meant(HEARD) > 0.9
    assert load_asks("def", file).weights is None
    assert load_asks(None, file).weights is None
    assert load_asks("abc", tmp_path / "none.npz").weights is None


@pytest.fixture(scope="module")
def meant() -> Callable[[str], float]:
    """What the shipped regression says."""
    bundle = load_encoder()
    asks = load_asks(bundle.manifest.checksums[bundle.text.file.name])
    assert asks.weights is not None, f"{FILE.name} was not fitted on the shipped text tower"
    words = LiteTextEncoder(bundle)
    return lambda text: asks.of(words.encode(text))


HEARD_OF = (
    "a phone rings twice",
    "violin music",
    "a loud bang",
    "someone whispering",
    "an owl hoots",
    "tyres screeching",
)
SEEN_OF = (
    "a man in a red coat on a bench",
    "snowy mountains at sunrise",
    "close-up of a painting",
    "two players fight for the ball",
    "an empty office with desks",
    "a tall building with blue windows",
)


def test_the_shipped_regression_tells_sounds_from_sights(meant: Callable[[str], float]) -> None:
    """On sentences that it was not fitted on."""
    heard, seen = map(meant, HEARD_OF), map(meant, SEEN_OF)
    assert min(heard) > max(seen)
