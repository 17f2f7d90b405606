"""Weights that their authors publish: where they lie, and the checksum by which we know them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

CLIP_CODE = "https://github.com/openai/CLIP"
QD_DETR_CODE = "https://github.com/wjun0830/QD-DETR"
CNN14_RECORD = "https://zenodo.org/record/3987831"

_OPENAI = "https://openaipublic.azureedge.net/clip/models"
_QD_DETR_COMMIT = "56c63b2c75c5673dfe693f3ae9438f5fc1f1679a"
_QD_DETR_FILES = (
    f"https://raw.githubusercontent.com/wjun0830/QD-DETR/{_QD_DETR_COMMIT}"
    "/run_on_video/qd_detr_ckpt"
)

_MIT_OPENAI = f"MIT (OpenAI, {CLIP_CODE})"
_MIT_QD_DETR = f"MIT (WonJun Moon and others, {QD_DETR_CODE})"
_CNN14_TERMS = (
    "CC BY 4.0 (Qiuqiang Kong and others, Zenodo record 3987831); the code that made it is MIT"
)


@dataclass(frozen=True)
class KnownFile:
    """A published weights file."""

    name: str
    """What `reelseek models get` calls it, and the bundle that it becomes."""
    family: str
    """A word of `weights.families`."""
    title: str
    """What it is, for people: "OpenAI's ViT-B/32"."""
    url: str
    source: str
    """The page or repository that publishes it."""
    licence: str
    sha256: str = ""
    """In hex; "" where the authors' repository pins it by `git_blob`."""
    git_blob: str = ""
    """The id that git gives it, in hex."""
    tower: str = ""
    """Of a moment head: the picture tower that it was trained with."""

    @property
    def file(self) -> str:
        """Its published file name."""
        return unquote(urlsplit(self.url).path.rpartition("/")[2])

    def is_same(self, sha256: str, git_blob: str) -> bool:
        """Whether a file of these checksums is this one, byte for byte."""
        return sha256 == self.sha256 if self.sha256 else git_blob == self.git_blob


def _clip(name: str, model: str, file: str, sha256: str) -> KnownFile:
    return KnownFile(
        name=name,
        family="clip",
        title=f"OpenAI's {model}",
        url=f"{_OPENAI}/{sha256}/{file}",
        source=CLIP_CODE,
        licence=_MIT_OPENAI,
        sha256=sha256,
    )


def _qd_detr(name: str, features: str, file: str, git_blob: str) -> KnownFile:
    return KnownFile(
        name=name,
        family="qd-detr",
        title=f"the official QD-DETR for {features}",
        url=f"{_QD_DETR_FILES}/{file}",
        source=QD_DETR_CODE,
        licence=_MIT_QD_DETR,
        git_blob=git_blob,
        tower="ViT-B/32",
    )


# Checksums as openai/CLIP's own code names them (d05afc4, clip/clip.py).
_CLIPS = (
    _clip(
        "clip",
        "ViT-B/32",
        "ViT-B-32.pt",
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
    ),
    _clip(
        "clip-vit-b-16",
        "ViT-B/16",
        "ViT-B-16.pt",
        "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
    ),
    _clip(
        "clip-vit-l-14",
        "ViT-L/14",
        "ViT-L-14.pt",
        "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
    ),
    _clip(
        "clip-vit-l-14-336px",
        "ViT-L/14@336px",
        "ViT-L-14-336px.pt",
        "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
    ),
)

# Known by their checksum, so that they can be refused by name: transformers, which runs picture
# towers here, has no ResNet tower.
_RESNETS = (
    _clip(
        "clip-rn50",
        "RN50",
        "RN50.pt",
        "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",
    ),
    _clip(
        "clip-rn101",
        "RN101",
        "RN101.pt",
        "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599",
    ),
    _clip(
        "clip-rn50x4",
        "RN50x4",
        "RN50x4.pt",
        "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd",
    ),
    _clip(
        "clip-rn50x16",
        "RN50x16",
        "RN50x16.pt",
        "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa",
    ),
    _clip(
        "clip-rn50x64",
        "RN50x64",
        "RN50x64.pt",
        "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c",
    ),
)

# The record itself gives no SHA-256 that we could read; this one is what several independent
# public projects pin. It was not checked here against the file.
_CNN14 = KnownFile(
    name="cnn14",
    family="cnn14",
    title="the official Cnn14_mAP=0.431",
    url=f"{CNN14_RECORD}/files/Cnn14_mAP%3D0.431.pth?download=1",
    source=CNN14_RECORD,
    licence=_CNN14_TERMS,
    sha256="0dc499e40e9761ef5ea061ffc77697697f277f6a960894903df3ada000e34b31",
)

# The repository pins its checkpoints by the ids that git gives them.
_QD_DETRS = (
    _qd_detr(
        "qd-detr",
        "CLIP alone",
        "model_best.ckpt",
        "6c2d73efb1e8e8816e5fc1c95fa918c00b5bd087",
    ),
    _qd_detr(
        "qd-detr-sf-clip",
        "SlowFast and CLIP",
        "video_model_best_sf%2Bc.ckpt",
        "efa8f8f3bac87037f29d590d662a5d162c8094f2",
    ),
    _qd_detr(
        "qd-detr-sf-clip-audio",
        "SlowFast, CLIP and PANNs",
        "videoaudio_model_best_sf%2Bc.ckpt",
        "3f1d95283a94c4d4308ac2913a504ba44295b369",
    ),
)

OFFERED = (*_CLIPS, _CNN14, *_QD_DETRS)
"""What `reelseek models get` fetches."""

KNOWN = (*OFFERED, *_RESNETS)


def identify(sha256: str, git_blob: str) -> KnownFile | None:
    """The published file with these checksums, in hex; None if it is none that we know."""
    for known in KNOWN:
        if known.is_same(sha256, git_blob):
            return known
    return None
