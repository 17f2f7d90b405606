"""A head and an encoder that do not fit together are refused by name, with every reason."""

from __future__ import annotations

import pytest
from bringing import encoder_bundle, head_bundle

from search.moments.fitting import misfit
from storage.records import SoundStamp

CNN14 = SoundStamp("cnn14-0dc499e4", "f", dim=2048, tags=527)


def test_the_published_head_fits_the_encoder_that_it_was_trained_with() -> None:
    assert misfit(head_bundle(), encoder_bundle(), None) is None


def test_a_head_that_does_without_sound_fits_an_archive_that_has_it() -> None:
    assert misfit(head_bundle(), encoder_bundle(), CNN14) is None


def test_a_head_that_listens_fits_the_sound_that_it_was_trained_with() -> None:
    assert misfit(head_bundle(sound_dim=2048), encoder_bundle(), CNN14) is None


@pytest.mark.parametrize(
    ("head", "encoder", "sound", "words"),
    [
        ({"picture_dim": 768}, {}, None, ("768", "512", "picture")),
        ({"text_dim": 300}, {}, None, ("300", "512", "word")),
        ({"sound_dim": 2048}, {}, None, ("2048", "sound", "none")),
        ({"sound_dim": 100}, {}, CNN14, ("100", "2048", "cnn14-0dc499e4")),
        ({"clip_s": 1.0}, {}, None, ("1 s", "2 s")),
        ({}, {"tower": "ViT-B/16"}, None, ("ViT-B/32", "ViT-B/16")),
        ({}, {"tower": None}, None, ("ViT-B/32", "the encoder")),
        ({"picture_dim": 9, "text_dim": 8}, {}, None, ("9 numbers", "8 numbers")),
    ],
    ids=str,
)
def test_the_sentence_names_both_models_and_what_differs(
    head: dict[str, object],
    encoder: dict[str, object],
    sound: SoundStamp | None,
    words: tuple[str, ...],
) -> None:
    reason = misfit(head_bundle(**head), encoder_bundle(**encoder), sound)  # type: ignore[arg-type]
    assert reason is not None
    for word in ("qd-detr-0a1b2c3d", "clip-0a1b2c3d", *words):
        assert word in reason


def test_a_head_whose_tower_is_unknown_is_judged_by_its_sizes() -> None:
    assert misfit(head_bundle(tower=None), encoder_bundle(tower="ViT-B/16"), None) is None


def test_a_head_that_needs_features_nobody_computes_says_which() -> None:
    slowfast = head_bundle(2816, missing_features="SlowFast (2304 numbers per clip)")
    reason = misfit(slowfast, encoder_bundle(), None)
    assert reason is not None and "SlowFast" in reason and "qd-detr-0a1b2c3d" in reason
