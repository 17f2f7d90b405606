"""What a checkpoint is, is told from its names and shapes; torch is not needed for that."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Mapping

import pytest
from bringing import checkpoint_of
from hypothesis import given
from hypothesis import strategies as st
from recordings import FIXTURES, skip
from test_clip_keys import openai_clip

from indexer.encoders.panns_config import FRONT_END_SHAPES, Cnn14Config
from search.moments.qd_detr_config import QDDETRConfig
from storage.errors import BundleError
from weights.encoders import read_encoder
from weights.families import ENCODERS, encoder_family
from weights.known import KNOWN, OFFERED, identify
from weights.moment_heads import HeadFacts, HeadWishes, read_head
from weights.recognise import recognise, require_family
from weights.sound_towers import read_sound_tower

CLIP_HEAD = QDDETRConfig(video_dim=514, text_dim=512)
SMALL = QDDETRConfig(video_dim=22, text_dim=16, audio_dim=14, hidden=32, feedforward=64, queries=6)

OPENAI_NAMES = {
    "visual.conv1.weight": (64, 3, 8, 8),
    "token_embedding.weight": (49408, 64),
    "ln_final.weight": (64,),
}
HUGGING_FACE_NAMES = {
    "vision_model.post_layernorm.weight": (64,),
    "text_model.final_layer_norm.weight": (64,),
}


def head_facts(
    shapes: Mapping[str, tuple[int, ...]],
    options: Mapping[str, object] | None = None,
    wishes: HeadWishes | None = None,
) -> HeadFacts:
    checkpoint = checkpoint_of(shapes, {"opt": options} if options else {})
    return read_head(checkpoint, wishes or HeadWishes(), None)


def published_shapes(variant: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a published network, as they were recorded."""
    for file in sorted((FIXTURES / "qddetr").glob("*.json")):
        recorded = json.loads(file.read_text(encoding="utf-8"))
        if "keys" in recorded and recorded.get("variant") == variant:
            return {name: tuple(shape) for name, shape in recorded["keys"].items()}
    skip(f"the keys of the published head {variant!r} are not recorded in {FIXTURES / 'qddetr'}")


@pytest.mark.parametrize(
    ("variant", "picture", "sound", "lacks"),
    [
        ("clip", 512, 0, None),
        ("sf_clip", 2816, 0, "SlowFast"),
        ("sf_clip_audio", 2816, 2048, "SlowFast"),
    ],
)
def test_the_three_published_heads_are_told_apart_by_their_shapes_alone(
    variant: str, picture: int, sound: int, lacks: str | None
) -> None:
    facts = head_facts(published_shapes(variant))
    assert (facts.variant, facts.picture_dim, facts.sound_dim) == (variant, picture, sound)
    assert facts.tower == "ViT-B/32" and facts.clip_s == 2.0 and facts.config.heads == 8
    assert (facts.missing_features or "").partition(" ")[0] == (lacks or "")


def test_the_head_of_the_seeds_reads_clip_and_panns() -> None:
    facts = head_facts(dataclasses.replace(CLIP_HEAD, audio_dim=2050).shapes())
    assert (facts.variant, facts.picture_dim, facts.sound_dim) == ("clip_audio", 512, 2048)
    assert facts.missing_features is None


@pytest.mark.parametrize("video", [22, 20])
def test_a_file_that_says_its_widths_is_believed_with_or_without_tef(video: int) -> None:
    facts = head_facts(SMALL.shapes(), {"v_feat_dim": video, "a_feat_dim": 14, "nheads": 4})
    assert (facts.picture_dim, facts.sound_dim, facts.config.heads) == (20, 12, 4)
    assert facts.tower is None and facts.variant == "other"


@pytest.mark.parametrize("audio", [2050, 0])
def test_a_width_of_sound_that_was_not_used_is_no_contradiction(audio: int) -> None:
    """Official options carry one also for the head that was trained on pictures alone."""
    facts = head_facts(CLIP_HEAD.shapes(), {"v_feat_dim": 514, "a_feat_dim": audio, "nheads": 8})
    assert (facts.variant, facts.picture_dim, facts.sound_dim) == ("clip", 512, 0)


def test_a_file_of_unknown_widths_needs_to_be_told_how_much_is_sound() -> None:
    with pytest.raises(BundleError, match="--sound-dim"):
        head_facts(SMALL.shapes())
    assert head_facts(SMALL.shapes(), wishes=HeadWishes(sound_dim=12, heads=4)).sound_dim == 12
    assert head_facts(SMALL.shapes(), wishes=HeadWishes(sound_dim=0, heads=4)).picture_dim == 34


def test_the_number_of_attention_heads_is_asked_for_where_nothing_tells_it() -> None:
    with pytest.raises(BundleError, match="--heads"):
        head_facts(SMALL.shapes(), wishes=HeadWishes(sound_dim=12))


@pytest.mark.parametrize(
    "options",
    [
        {"v_feat_dim": 5, "a_feat_dim": 14},
        {"v_feat_dim": 22, "a_feat_dim": 3},
        {"v_feat_dim": 22, "a_feat_dim": None},
        {"v_feat_dim": -5, "a_feat_dim": 41},
    ],
    ids=str,
)
def test_widths_that_do_not_add_up_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="contradicts itself"):
        head_facts(SMALL.shapes(), {**options, "nheads": 4})


@pytest.mark.parametrize("way", [{"pre_norm": True}, {"use_tef": False}, {"no_norm_vfeat": True}])
def test_a_head_trained_in_another_way_is_refused_with_the_reason(way: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="official defaults"):
        head_facts(CLIP_HEAD.shapes(), way)


def test_other_features_than_clip_are_found_in_the_names_of_their_folders() -> None:
    config = dataclasses.replace(CLIP_HEAD, video_dim=2 + 512 + 768)
    folders = ["../features/blip_features/", "../features/clip_features"]
    facts = head_facts(config.shapes(), {"v_feat_dim": config.video_dim, "v_feat_dirs": folders})
    assert facts.missing_features == "BLIP"


def test_what_is_missing_surplus_or_misshapen_is_named() -> None:
    shapes = CLIP_HEAD.shapes()
    del shapes["saliency_proj1.bias"]
    shapes["span_embed.layers.2.weight"] = (4, 256)
    shapes["extra.weight"] = (3,)
    with pytest.raises(BundleError) as refusal:
        head_facts(shapes)
    for name in ("saliency_proj1.bias", "span_embed.layers.2.weight", "extra.weight"):
        assert name in str(refusal.value)


@pytest.mark.parametrize(
    ("shapes", "options", "container", "word"),
    [
        (CLIP_HEAD.shapes(), {}, "torch zip", "qd-detr"),
        (Cnn14Config().shapes() | FRONT_END_SHAPES, {}, "torch legacy", "cnn14"),
        (OPENAI_NAMES, {}, "TorchScript archive", "clip"),
        *(
            (
                HUGGING_FACE_NAMES,
                {"model_type": family.model_type},
                "Hugging Face folder",
                family.word,
            )
            for family in ENCODERS
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_family_is_recognised_and_taken_for_no_other(
    shapes: dict[str, tuple[int, ...]], options: dict[str, object], container: str, word: str
) -> None:
    checkpoint = checkpoint_of(shapes, options, container)
    assert recognise(checkpoint).word == word
    other = "qd-detr" if word != "qd-detr" else "clip"
    with pytest.raises(BundleError, match=f"--as {word}"):
        require_family(checkpoint, other)


@pytest.mark.parametrize(
    ("shapes", "options", "words"),
    [
        ({"input_vid_proj.0.LayerNorm.weight": (514,)}, {}, "Moment-DETR"),
        ({"fc_audioset.weight": (527, 2048)}, {}, "PANNs"),
        ({"layer1.0.conv1.weight": (64, 64, 3, 3)}, {}, "layer1.0.conv1.weight"),
        (HUGGING_FACE_NAMES, {}, "config.json"),
        (HUGGING_FACE_NAMES, {"model_type": "siglip2"}, "name the folder"),
    ],
    ids=str,
)
def test_something_else_is_described_in_one_sentence(
    shapes: dict[str, tuple[int, ...]], options: dict[str, object], words: str
) -> None:
    with pytest.raises(BundleError, match=words):
        recognise(checkpoint_of(shapes, options))


def test_a_sound_network_for_other_sounds_is_refused() -> None:
    with pytest.raises(BundleError, match="50 kinds of sound"):
        read_sound_tower(checkpoint_of(Cnn14Config(classes=50).shapes()))


def test_a_sound_network_without_one_of_its_tensors_is_refused_by_its_name() -> None:
    shapes = Cnn14Config().shapes()
    del shapes["conv_block3.bn1.running_var"]
    with pytest.raises(BundleError, match=r"conv_block3\.bn1\.running_var"):
        read_sound_tower(checkpoint_of(shapes))


def test_published_files_are_known_by_checksum_and_by_nothing_else() -> None:
    for known in KNOWN:
        assert identify(known.sha256 or "0", known.git_blob or "0") is known
    assert identify("0" * 64, "0" * 40) is None
    # A file of another kind must not pass by a checksum that it has none of.
    assert identify("", "") is None


def test_published_files_have_one_name_each_and_come_by_https() -> None:
    assert len({known.name for known in KNOWN}) == len(KNOWN)
    for known in OFFERED:
        assert known.url.startswith("https://") and known.licence and known.source
    assert {known.file for known in OFFERED} >= {
        "ViT-B-32.pt",
        "Cnn14_mAP=0.431.pth",
        "model_best.ckpt",
        "video_model_best_sf+c.ckpt",
    }


sizes = st.lists(st.integers(0, 70), max_size=4).map(tuple)
numbers = st.integers(0, 10**18)


def changed(shapes: dict[str, tuple[int, ...]], data: st.DataObject) -> dict[str, tuple[int, ...]]:
    """The shapes of a network with a few of them gone, changed, or renamed to another layer."""
    changes = dict(shapes)
    for name in data.draw(st.lists(st.sampled_from(sorted(shapes)), min_size=1, max_size=4)):
        shape = changes.pop(name, shapes[name])
        match data.draw(st.sampled_from(["gone", "changed", "renamed"])):
            case "changed":
                changes[name] = data.draw(sizes)
            case "renamed":
                number = data.draw(numbers)
                changes[re.sub(r"\.\d+\.|$", f".{number}.", name, count=1)] = shape
    return changes


@given(data=st.data())
def test_whatever_its_shapes_a_head_is_read_or_refused(data: st.DataObject) -> None:
    options = {"v_feat_dim": data.draw(numbers), "a_feat_dim": data.draw(st.none() | numbers)}
    options["nheads"] = data.draw(st.integers(-1, 9))
    with contextlib.suppress(BundleError):
        head_facts(changed(SMALL.shapes(), data), options)
    with contextlib.suppress(BundleError):
        head_facts(changed(SMALL.shapes(), data), wishes=HeadWishes(12, 4))


@given(data=st.data())
def test_whatever_its_shapes_a_sound_tower_is_read_or_refused(data: st.DataObject) -> None:
    shapes = Cnn14Config(widths=(1, 1, 1, 1, 1, 1), embedding=1).shapes()
    with contextlib.suppress(BundleError):
        read_sound_tower(checkpoint_of(changed(shapes, data)))


@given(data=st.data())
def test_whatever_its_shapes_a_clip_of_openai_is_read_or_refused(data: st.DataObject) -> None:
    shapes = {name: values.shape for name, values in openai_clip().items()}
    shapes["token_embedding.weight"] = (data.draw(st.sampled_from([30, 49408])), 64)
    family = encoder_family("clip")
    assert family is not None
    with contextlib.suppress(BundleError):
        read_encoder(checkpoint_of(changed(shapes, data)), family, openai_names=True)
