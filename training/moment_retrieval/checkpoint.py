"""Checkpoints in the layout of the official training loop, and what a run needs to go on exactly.

Official keys: ``model``, ``optimizer``, ``lr_scheduler``, ``epoch`` (of the last finished epoch,
counted from 0) and ``opt``, an ``argparse.Namespace``. ``resume`` is ours: the state of the random
generators and the best figure so far.
"""

from __future__ import annotations

import argparse
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from search.moments.qd_detr import QDDETR
from training.moment_retrieval.errors import TrainingError
from training.moment_retrieval.writing import write_whole


@dataclass
class Training:
    """All that changes while a network is trained."""

    network: QDDETR
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.StepLR
    finished_epochs: int = 0
    best: float | None = None
    """The highest validation figure so far."""


def save(file: Path, training: Training, options: argparse.Namespace) -> None:
    """Write a checkpoint in one step; ``options`` become its ``opt``."""
    content = {
        "model": training.network.state_dict(),
        "optimizer": training.optimiser.state_dict(),
        "lr_scheduler": training.schedule.state_dict(),
        "epoch": training.finished_epochs - 1,
        "opt": options,
        "resume": {"best": training.best, "random": _random_state()},
    }
    buffer = io.BytesIO()  # torch hides from us why it cannot write to a file
    torch.save(content, buffer)
    write_whole(file, buffer.getvalue())


def load(file: Path) -> dict[str, Any]:
    """The content of a checkpoint that `save` wrote; nothing in the file is executed."""
    try:
        stored = io.BytesIO(file.read_bytes())
    except OSError as error:
        raise TrainingError(f"{file} cannot be read ({error.strerror or error}).") from error
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(stored, map_location="cpu", weights_only=True)
    # torch answers to a damaged file with whatever the damage happens to trigger.
    except Exception as error:
        raise TrainingError(
            f"{file} is damaged or not a checkpoint: name a model_latest.ckpt of this program."
        ) from error
    if not isinstance(content, dict) or not {"model", "optimizer", "opt", "resume"} <= set(content):
        raise TrainingError(
            f"{file} holds no state to resume from (published checkpoints hold none): name a "
            "model_latest.ckpt of this program."
        )
    return content


def restore(training: Training, content: dict[str, Any]) -> None:
    """Put ``training``, freshly made from the same options, where the checkpoint was."""
    training.network.load_state_dict(content["model"])
    training.optimiser.load_state_dict(content["optimizer"])
    training.schedule.load_state_dict(content["lr_scheduler"])
    training.finished_epochs = content["epoch"] + 1
    training.best = content["resume"]["best"]
    random: dict[str, Any] = content["resume"]["random"]
    torch.set_rng_state(random["cpu"])
    if torch.cuda.is_available() and random["cuda"]:
        torch.cuda.set_rng_state_all(random["cuda"])


def _random_state() -> dict[str, Tensor | list[Tensor]]:
    """Dropout draws from torch's generators; the data's draws follow from seed and epoch."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}
