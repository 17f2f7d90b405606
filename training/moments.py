"""Trains QD-DETR, the moment head, on annotated features; MOMENTS.md says how to get them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from storage.errors import ReelseekError
from training.moment_retrieval import trainer
from training.moment_retrieval.annotations import read_annotations
from training.moment_retrieval.command_line import parse
from training.moment_retrieval.dataset import MomentDataset
from training.moment_retrieval.errors import TrainingError
from training.moment_retrieval.loading import Loader
from training.moment_retrieval.options import (
    folders,
    loss_weights,
    matching_costs,
    network_config,
    official,
)
from training.moment_retrieval.resuming import resume
from training.moment_retrieval.run_folder import RunFolder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code. Ctrl-C loses no more than the epoch that is running."""
    try:
        options = parse(arguments, __doc__ or "")
        folder = RunFolder(Path(options.results_dir))
        try:
            run(options, folder)
        except KeyboardInterrupt:
            saved = folder.latest.exists()
            how = f"go on with --resume {folder.latest}" if saved else "no epoch was finished"
            print(f"stopped; {how}", file=sys.stderr)
            return 130
    except ReelseekError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(options: argparse.Namespace, folder: RunFolder) -> None:
    """Train as the options say."""
    learn, control = datasets(options)
    config = network_config(options, learn.widths)
    recipe = trainer.Recipe(
        epochs=options.n_epoch,
        learning_rate=options.lr,
        weight_decay=options.wd,
        lr_drop=options.lr_drop,
        clip_norm=options.grad_clip,
        eval_every=options.eval_every,
        seed=options.seed,
        weights=loss_weights(options),
        costs=matching_costs(options),
    )
    training = trainer.begin(config, recipe, device(options.device))
    if options.resume is None:
        folder.begin()
    else:
        resume(training, Path(options.resume), folder)
    opt = official(options, config)
    folder.write_options(vars(opt))
    print(
        f"{len(learn)} queries to learn from, {len(control)} to validate on; "
        f"clips of {config.clip_dim} numbers, words of {config.text_dim}; "
        f"on {training.network.global_rep_token.device}",
        flush=True,
    )
    trainer.train(
        training,
        recipe,
        Loader(learn, options.bsz, options.seed, options.num_workers),
        Loader(control, options.eval_bsz, options.seed, options.num_workers),
        folder,
        opt,
    )


def datasets(options: argparse.Namespace) -> tuple[MomentDataset, MomentDataset]:
    """Training and validation set, of the same widths."""
    places = folders(options)
    learn = MomentDataset.open(read_annotations(Path(options.train_path)), places)
    control = read_annotations(Path(options.eval_path))
    places.check_complete(control)
    return learn, MomentDataset(control, places, learn.widths)


def device(name: str | None) -> torch.device:
    """The device of that name; without one CUDA if there is any."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise TrainingError(f"there is no device {name} here: leave --device out.") from error
    return chosen


if __name__ == "__main__":
    sys.exit(main())
