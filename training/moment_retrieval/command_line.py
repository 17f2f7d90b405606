"""The command line of a training run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

from search.moments.qd_detr_config import QDDETRConfig
from training.moment_retrieval.checkpoint import load
from training.moment_retrieval.errors import TrainingError
from training.moment_retrieval.options import GROUPS, Option

_SOURCES = {
    "--train": "train_path",
    "--val": "eval_path",
    "--video-features": "v_feat_dirs",
    "--text-features": "t_feat_dir",
    "--audio-features": "a_feat_dir",
    "--out": "results_dir",
}

_USAGE = """
  %(prog)s --train FILE --val FILE --video-features DIR [DIR …] --text-features DIR
      [--audio-features DIR] --out DIR [options]
  %(prog)s --resume CKPT [--epochs N]"""


def parse(arguments: Sequence[str] | None, description: str) -> argparse.Namespace:
    """The options of a command line; with ``--resume``, what is not given is the checkpoint's."""
    parser = _parser(description)
    first, _ = parser.parse_known_args(arguments)
    saved = None
    if first.resume is not None:
        saved = vars(load(Path(first.resume))["opt"])
        known = vars(first)
        parser.set_defaults(**{name: value for name, value in saved.items() if name in known})
        parser.set_defaults(resume=first.resume)
    options = parser.parse_args(arguments)
    for flag, name in _SOURCES.items():
        if getattr(options, name) is None and flag != "--audio-features":
            parser.error(f"{flag} is required (or --resume a run that has it)")
    if saved is not None:
        _refuse_changes(saved, options)
    return options


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, but not those of options that have none."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.moments",
        usage=_USAGE,
        description=description,
        formatter_class=_Help,
    )
    _add_data(parser)
    _add_run(parser)
    for title, table in GROUPS.items():
        _add_numbers(parser, title, table)
    _add_switches(parser)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("data").add_argument
    add("--train", dest="train_path", metavar="FILE", help="annotations to learn from (.jsonl)")
    add("--val", dest="eval_path", metavar="FILE", help="annotations to validate on (.jsonl)")
    add(
        "--video-features",
        dest="v_feat_dirs",
        metavar="DIR",
        nargs="+",
        help="folders of {vid}.npz; several are joined in this order",
    )
    add("--text-features", dest="t_feat_dir", metavar="DIR", help="folder of qid{qid}.npz")
    add("--audio-features", dest="a_feat_dir", metavar="DIR", help="folder of {vid}.npy, if any")


def _add_run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("run").add_argument
    add("--out", dest="results_dir", metavar="DIR", help="folder for checkpoints and logs")
    add("--resume", metavar="CKPT", help="go on from a model_latest.ckpt, with its options")
    add("--device", help="cpu, cuda, cuda:1 …; without it CUDA if there is one, else the CPU")


def _add_numbers(parser: argparse.ArgumentParser, title: str, table: Sequence[Option]) -> None:
    add = parser.add_argument_group(title).add_argument
    for option in table:
        add(
            option.flag,
            dest=option.name,
            metavar="N",
            type=_kind(option),
            default=option.default,
            help=option.help,
        )


def _add_switches(parser: argparse.ArgumentParser) -> None:
    switch = argparse.BooleanOptionalAction
    add = parser.add_argument_group("switches").add_argument
    add(
        "--text-positions",
        dest="use_txt_pos",
        action=switch,
        default=QDDETRConfig.text_positions,
        help="give words learned positions; no published network has them",
    )
    add(
        "--aux-loss",
        dest="aux_loss",
        action=switch,
        default=QDDETRConfig.aux_outputs,
        help="let the decoder layers before the last learn from the loss, too",
    )


def _refuse_changes(saved: dict[str, object], options: argparse.Namespace) -> None:
    numbers = chain.from_iterable(GROUPS.values())
    settled = [(option.flag, option.name) for option in numbers if not option.free]
    for flag, name in (*settled, ("--text-positions", "use_txt_pos"), ("--aux-loss", "aux_loss")):
        if saved.get(name) != getattr(options, name):
            raise TrainingError(
                f"{flag} is {getattr(options, name)}, but the run to resume has "
                f"{saved.get(name)}: leave the option out, or start a new run."
            )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _any_count(text: str) -> int:
    return int(text)


def _amount(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError("must be a number of at least 0")
    return number


def _probability(text: str) -> float:
    number = float(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError("must be at least 0 and below 1")
    return number


_KINDS = {"seed": _any_count, "dropout": _probability, "input_dropout": _probability}


def _kind(option: Option) -> Callable[[str], int | float]:
    otherwise = _amount if isinstance(option.default, float) else _count
    return _KINDS.get(option.name, otherwise)
