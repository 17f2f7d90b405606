"""Whether a moment head can read what an encoder and a sound tower make."""

from __future__ import annotations

from collections.abc import Iterator

from storage.bundles import EncoderBundle, HeadBundle
from storage.records import CLIP_S, SoundStamp


def misfit(head: HeadBundle, encoder: EncoderBundle, sound: SoundStamp | None) -> str | None:
    """Why a head cannot be used on an archive of this encoder and sound tower; None if it can.

    One sentence that names the models and everything that differs. Numbers that happen to agree
    are not enough: a head knows the space of the one tower that it was trained with. An archive
    with sound suits a head that does without.
    """
    name = head.manifest.model_id
    if head.missing_features is not None:
        return (
            f"The moment head {name} was trained on {head.missing_features} as well, which "
            "reelseek does not compute: use a head of pictures by CLIP alone, or watershed."
        )
    differences = [*_pictures(head, encoder), *_sound(head, sound)]
    if head.encoder_fingerprint is not None:
        differences += _weights(head.encoder_fingerprint, encoder)
    if head.clip_s != CLIP_S:
        differences.append(f"a clip is {head.clip_s:g} s for the head, and {CLIP_S:g} s here")
    if not differences:
        return None
    heard = "" if sound is None or not head.sound_dim else f" and the sound of {sound.encoder_id}"
    return (
        f"The moment head {name} does not fit the encoder {encoder.manifest.model_id}{heard}: "
        f"{'; '.join(differences)}. `reelseek models list` shows what fits together."
    )


def _pictures(head: HeadBundle, encoder: EncoderBundle) -> Iterator[str]:
    architecture = encoder.manifest.fields.get("architecture")
    if head.tower is not None and head.tower != architecture:
        yield (
            f"the head was trained with {head.tower}, and the encoder is "
            f"{architecture or encoder.manifest.title}"
        )
    if head.picture_dim != encoder.dim:
        yield (
            f"the head reads {head.picture_dim} numbers per picture, and the encoder gives "
            f"{encoder.dim}"
        )
    if head.text_dim != encoder.text.width:
        yield (
            f"the head reads {head.text_dim} numbers per word, and the encoder gives "
            f"{encoder.text.width}"
        )


def _weights(wanted: str, encoder: EncoderBundle) -> Iterator[str]:
    """A head that knows one encoder's vectors makes nothing of another's of the same size."""
    present = encoder.stamp.fingerprint
    if wanted != present:
        yield (
            f"the head was trained with other weights of the encoder ({wanted[:8]}, here "
            f"{present[:8]})"
        )


def _sound(head: HeadBundle, sound: SoundStamp | None) -> Iterator[str]:
    if not head.sound_dim:
        return
    if sound is None:
        yield f"the head reads {head.sound_dim} numbers of sound per clip, and the archive has none"
    elif head.sound_dim != sound.dim:
        yield (
            f"the head reads {head.sound_dim} numbers of sound per clip, and {sound.encoder_id} "
            f"gives {sound.dim}"
        )
