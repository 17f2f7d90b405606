"""Which moment head answers: the one that was named, or the best that fits the archive."""

from __future__ import annotations

from search.moments.base import MomentHead
from search.moments.fitting import misfit
from storage.bundles import EncoderBundle, HeadBundle, installed, load_head
from storage.errors import BundleError, EncoderMismatch
from storage.manifest import read_manifest
from storage.records import SoundStamp

AUTO = "auto"
WATERSHED = "watershed"


def choose_head(name: str, encoder: EncoderBundle, sound: SoundStamp | None) -> MomentHead:
    """The head for an archive of this encoder and sound tower.

    "auto" takes a head that fits, one that hears before one that does not, then by name; where
    none fits, "watershed", which needs no weights.

    Raises:
        BundleError: there is no head of that name, or it is damaged.
        EncoderMismatch: the head that was named does not fit the archive.
    """
    if name == AUTO:
        fitting = [head for head in _installed() if misfit(head, encoder, sound) is None]
        fitting.sort(key=lambda head: (head.sound_dim == 0, head.manifest.name))
        return _opened(fitting[0]) if fitting else _watershed()
    if name == WATERSHED:
        return _watershed()
    head = load_head(name)
    if reason := misfit(head, encoder, sound):
        raise EncoderMismatch(reason)
    return _opened(head)


def _installed() -> list[HeadBundle]:
    """All heads that can be read; a damaged one is no reason not to answer with another."""
    heads = []
    for folder in installed():
        try:
            if read_manifest(folder).kind == "head":
                heads.append(load_head(folder.name))
        except BundleError:
            continue
    return heads


def _watershed() -> MomentHead:
    from search.moments.watershed import Watershed

    return Watershed()


def _opened(head: HeadBundle) -> MomentHead:
    if head.bank is not None and head.scorer is not None:
        from search.moments.bank import Bank
        from search.moments.lite_head import LiteHead
        from search.moments.scorer import Scorer

        bank, scorer = Bank.load(head.bank), Scorer.load(head.scorer)
        return LiteHead(head.file, bank, scorer, head.manifest.model_id)
    from search.moments.reranker import QdDetrHead

    return QdDetrHead(
        head.file, head.manifest.model_id, head.sound_dim, head.picture_dim, head.text_dim
    )
