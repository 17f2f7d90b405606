"""Makes the default moment head: python -m training.lite_moments --encoder storage/bundles/lite
--images ../shared/images --out storage/bundles/lite-moments

Everything follows from the encoder that is given: a head for an encoder adapted to other pictures
is made by naming its folder and the pictures (training/LITE_MOMENTS.md).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from search.moments.bank import Bank
from search.moments.lite_head import LiteHead
from search.moments.scorer import Scorer
from search.moments.watershed import Watershed
from storage.bundles import EncoderBundle, encoder_of
from storage.errors import ReelseekError
from storage.manifest import read_manifest
from training.composed.archives import Archives
from training.composed.assemble import Assembly
from training.composed.crossfit import CrossFit
from training.composed.draws import judging_style
from training.composed.errors import ComposingError
from training.composed.judging import answers, figures, first_hits, reliability
from training.composed.learning import Recipe
from training.composed.making import NAME, Whole, scored, taught, write
from training.composed.network import export
from training.composed.scoring import Fitting
from training.composed.stock import Stock
from training.photoset import read_photos

ASSETS = Path(__file__).parent / "composed" / "assets"
_PARTS = {"network": Recipe, "scorer": Fitting, "crossfit": CrossFit}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)  # one order of sums: the same numbers whatever the machine
    try:
        make(options)
    except ReelseekError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def make(options: argparse.Namespace) -> None:
    """Train, calibrate, judge and write the bundle."""
    whole = _recipe(options)
    encoder = encoder_of(read_manifest(options.encoder))
    photos = read_photos(options.images)
    splits = {name: [p for p in photos if p.split == name] for name in ("train", "val", "test")}
    if len(splits["train"]) < 4 * whole.crossfit.folds:
        raise ComposingError(
            f"{options.images} holds {len(splits['train'])} photos to train on, too few to compose "
            "tapes of: bring some hundreds."
        )
    assembly = Assembly(encoder, options.images, options.cache, whole.seed)
    material = assembly.learning(splits["train"], whole.crossfit)
    control = assembly.judging(splits["val"]) if splits["val"] else material.fit
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "head.onnx")
        network = taught(material, whole)
        export(network, file)
        scorer = scored(file, material, control, whole)
        judged = {}
        for split in options.judge:
            if splits[split]:
                stock = control if split == "val" else assembly.judging(splits[split])
                judged[split] = judge(file, material.bank, scorer, stock, options)
                print(json.dumps({split: judged[split]}), flush=True)
    if options.out is not None:
        facts = _origin(options, whole, encoder, judged)
        write(options.out, network, material.bank, scorer, encoder, facts, _texts())


def judge(
    file: Path, bank: Bank, scorer: Scorer, stock: Stock, options: argparse.Namespace
) -> dict[str, Any]:
    """The figures of the head, and of watershed on the same archives: all of them, and those that
    are a single tape.
    """
    archives = Archives(stock, judging_style, options.seed + 2)
    trials = list(archives.trials(options.trials_judged, 0.65))
    found = answers(LiteHead(file, bank, scorer, NAME), stock, trials)
    control = answers(Watershed(), stock, trials)
    table = [[round(p, 3), round(t, 3), n] for p, t, n in reliability(*first_hits(found))]
    return {
        NAME: figures(found),
        "watershed": figures(control),
        f"{NAME}, one tape": figures([answer for answer in found if answer.of_one_tape]),
        "watershed, one tape": figures([answer for answer in control if answer.of_one_tape]),
        "reliability": table,
    }


def _texts() -> list[Path]:
    return sorted(ASSETS.iterdir())


def _origin(
    options: argparse.Namespace, whole: Whole, encoder: EncoderBundle, judged: dict[str, Any]
) -> dict[str, Any]:
    return {
        "encoder": encoder.manifest.model_id,
        "command": "python -m training.lite_moments",
        "recipe": dataclasses.asdict(whole),
        "torch": torch.__version__,
        "judged": judged,
    }


def _recipe(options: argparse.Namespace) -> Whole:
    given = vars(options)
    parts = {
        name: kind(
            **{field.name: given[f"{name}_{field.name}"] for field in dataclasses.fields(kind)}
        )
        for name, kind in _PARTS.items()
    }
    return Whole(**parts, seed=options.seed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.lite_moments",
        description=__doc__.partition("\n\n")[2] if __doc__ else None,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--encoder", type=Path, default=Path("storage/bundles/lite"), help="folder of the encoder")
    add("--images", type=Path, default=Path("../shared/images"), help="photo set")
    add(
        "--out",
        type=Path,
        default=Path("storage/bundles/lite-moments"),
        help="folder of the bundle",
    )
    add("--cache", type=Path, default=Path("~/.cache/reelseek-training").expanduser())
    add("--seed", type=int, default=0)
    add("--judge", nargs="*", default=["val"], choices=["val", "test"], help="splits to judge on")
    add("--trials-judged", type=int, default=600)
    for name, kind in _PARTS.items():
        group = parser.add_argument_group(f"recipe: {name}")
        for field in dataclasses.fields(kind):
            group.add_argument(
                f"--{name}-{field.name.replace('_', '-')}",
                type=type(field.default),
                default=field.default,
                help=" ",
            )
    return parser


if __name__ == "__main__":
    sys.exit(main())
