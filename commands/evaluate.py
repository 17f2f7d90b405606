"""`reelseek evaluate`"""

from __future__ import annotations

import json
from pathlib import Path

import click

from commands.options import json_option
from commands.text import table
from search.evaluation.qvhighlights import evaluate_files
from search.evaluation.report import Metrics

_SPLITS = {
    "full": "all windows",
    "short": "short, up to 10 s",
    "middle": "middle, up to 30 s",
    "long": "long, up to 150 s",
}
_LEVELS = {"VeryGood": "VeryGood (in papers)", "Good": "Good", "Fair": "Fair"}


@click.command(
    epilog="""\b
    Examples:
      reelseek evaluate preds.jsonl highlight_val_release.jsonl
      reelseek evaluate preds.jsonl.gz highlight_val_release.jsonl --out metrics.json
      reelseek evaluate preds.jsonl highlight_val_release.jsonl --json | jq .brief
    """
)
@click.argument("predictions", type=click.Path(path_type=Path))
@click.argument("ground_truth", type=click.Path(path_type=Path))
@click.option(
    "--match-number/--no-match-number",
    default=True,
    show_default=True,
    help="Refuse predictions of other queries than the ground truth's, or score the shared ones.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write all figures to this file, as the official evaluation does.",
)
@json_option
def evaluate(
    predictions: Path, ground_truth: Path, match_number: bool, out: Path | None, as_json: bool
) -> None:
    """Score PREDICTIONS of moments and highlights against a GROUND_TRUTH, as QVHighlights does.

    Both are files of one JSON object per line, plain or gzipped, in the format of that data set.
    The figures are those of its official evaluation: per cent, higher is better. A dash means that
    no true window has that length.
    """
    metrics = evaluate_files(predictions, ground_truth, match_number=match_number)
    if out is not None:
        _write(metrics, out)
    if as_json:
        click.echo(json.dumps(metrics))
        return
    listings = []
    if "full" in metrics:
        listings.append(_moment_listing(metrics))
    if "HL-min-VeryGood" in metrics:
        listings.append(_highlight_listing(metrics))
    click.echo("\n\n".join(listings))


def _write(metrics: Metrics, out: Path) -> None:
    try:
        out.write_text(json.dumps(metrics, indent=4) + "\n", encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(
            f"{out} cannot be written ({error.strerror}).", param_hint="--out"
        ) from error


def _moment_listing(metrics: Metrics) -> str:
    header = ("moments", "R1@0.5", "R1@0.7", "mAP@0.5", "mAP@0.75", "mAP avg")
    rows = []
    for split, label in _SPLITS.items():
        recall, precision = metrics[split]["MR-R1"], metrics[split]["MR-mAP"]
        figures = (
            recall["0.5"],
            recall["0.7"],
            precision["0.5"],
            precision["0.75"],
            precision["average"],
        )
        rows.append((label, *map(_shown, figures)))
    return table(header, rows, right=range(1, len(header)))


def _highlight_listing(metrics: Metrics) -> str:
    rows = [
        (label, _shown(figures["HL-mAP"]), _shown(figures["HL-Hit1"]))
        for level, label in _LEVELS.items()
        for figures in [metrics[f"HL-min-{level}"]]
    ]
    return table(("highlights", "mAP", "HIT@1"), rows, right=[1, 2])


def _shown(per_cent: float | None) -> str:
    return "–" if per_cent is None else f"{per_cent:.2f}"
