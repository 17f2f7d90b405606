"""The steps of the recipe: stocks, network, scorer, calibration, and the folder of the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.moments.bank import Bank
from search.moments.lite_head import LiteHead
from search.moments.lite_inputs import CHANNELS
from search.moments.scorer import Scorer
from storage.bundles import EncoderBundle
from storage.manifest import write_manifest
from storage.records import CLIP_S
from training.composed.archives import Archives
from training.composed.assemble import Material
from training.composed.batches import rows
from training.composed.calibrating import asked, calibrated
from training.composed.crossfit import CrossFit
from training.composed.draws import Draws, judging_style, learning_style
from training.composed.learning import Recipe, train
from training.composed.network import LiteMoments, export
from training.composed.scoring import Fitting, fit, gathered
from training.composed.stock import Stock

NAME, VERSION = "lite-moments", "1.0"
_CALIBRATING_TRIALS = 600


@dataclass(frozen=True)
class Whole:
    """Every number of the recipe."""

    crossfit: CrossFit = field(default_factory=CrossFit)
    network: Recipe = field(default_factory=Recipe)
    scorer: Fitting = field(default_factory=Fitting)
    seed: int = 0


def taught(material: Material, whole: Whole) -> LiteMoments:
    """The network, trained on tapes of the learning stock."""
    draws = Draws(material.learn, learning_style, whole.seed)
    recipe = whole.network
    print(f"drawing {recipe.examples} examples", flush=True)
    examples = rows(material.learn, material.bank, draws, recipe.examples, recipe.present)
    return train(material.learn, examples, recipe, whole.seed)


def scored(file: Path, material: Material, control: Stock, whole: Whole) -> Scorer:
    """The scorer, fitted on archives of the fitting stock and calibrated on those of `control`.

    `file` is the exported network.
    """
    reader = LiteHead(file, material.bank, None, NAME)
    archives = Archives(material.fit, learning_style, whole.seed)
    trials = archives.trials(whole.scorer.trials, whole.scorer.present)
    print(f"fitting the scorer on {whole.scorer.trials} archives", flush=True)
    scorer = fit(gathered(reader, material.fit, trials, whole.seed), whole.scorer, whole.seed)
    count = min(_CALIBRATING_TRIALS, whole.scorer.trials)
    judged = Archives(control, judging_style, whole.seed + 1).trials(count, whole.scorer.present)
    return calibrated(scorer, asked(reader, control, judged))


def write(
    folder: Path,
    network: LiteMoments,
    bank: Bank,
    scorer: Scorer,
    encoder: EncoderBundle,
    origin: dict[str, Any],
    texts: Sequence[Path],
) -> None:
    """Write the bundle; the manifest that makes it one comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").unlink(missing_ok=True)
    export(network, folder / "head.onnx")
    bank.save(folder / "bank.npz")
    scorer.save(folder / "scorer.npz")
    for text in texts:
        (folder / text.name).write_bytes(text.read_bytes())
    write_manifest(
        folder,
        {
            "name": NAME,
            "version": VERSION,
            "kind": "head",
            "title": "QD-DETR for the vectors of the default encoder, with odds that it is there",
            "head": {
                "file": "head.onnx",
                "bank": "bank.npz",
                "scorer": "scorer.npz",
                "picture_dim": bank.dim,
                "sound_dim": 0,
                "text_dim": bank.dim,
                "clip_s": CLIP_S,
                "encoder_fingerprint": encoder.stamp.fingerprint,
                "channels": list(CHANNELS),
            },
            "licence": LICENCE,
            "origin": origin,
        },
    )


LICENCE = {
    "network": (
        "trained on photos and captions that were given out for non-commercial research only; "
        "see MODEL_CARD.md before any commercial use"
    ),
    "code": "Apache-2.0 (architecture after QD-DETR, MIT)",
}
