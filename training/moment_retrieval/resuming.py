"""Going on from a checkpoint, in the folder of its run or in another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.moment_retrieval import checkpoint
from training.moment_retrieval.checkpoint import Training
from training.moment_retrieval.errors import TrainingError
from training.moment_retrieval.run_folder import RunFolder


def resume(training: Training, file: Path, folder: RunFolder) -> None:
    """Put ``training`` where the checkpoint ``file`` was, and ``folder`` with it.

    If ``file`` lies in another folder, what its run has found so far comes along: the log and the
    best model. In the end ``training.best`` is the figure of the best model that lies in
    ``folder``, so that only a better one replaces it.

    Raises:
        TrainingError: ``file`` cannot be resumed from, or ``folder`` holds a later state of the
            run, or another run, which would be overwritten.
    """
    content = checkpoint.load(file)
    origin = RunFolder(file.parent)
    if folder.latest.exists() and not folder.latest.samefile(file):
        raise _overwrites(folder.latest, file, f"go on with --resume {folder.latest}, or ")
    folder.make()
    if not folder.path.samefile(origin.path):
        if folder.best.exists() and not _belongs_to(content, folder.best):
            raise _overwrites(folder.best, file, "")
        folder.copy_log(origin)
        if _belongs_to(content, origin.best):
            folder.copy_best(origin)
    figure = _figure(folder.best)

    checkpoint.restore(training, content)
    folder.cut_log(training.finished_epochs)
    if figure is None and training.best is not None:
        print(
            f"{origin.path} does not hold the best model of the run: {folder.best} will be the "
            "best of the epochs from here on.",
            flush=True,
        )
    training.best = figure


def _overwrites(kept: Path, file: Path, advice: str) -> TrainingError:
    return TrainingError(
        f"{kept} would be overwritten by going on from {file}: {advice}choose another --out."
    )


def _belongs_to(content: dict[str, Any], best: Path) -> bool:
    """Whether a best model is the one that the run had when it wrote the checkpoint ``content``."""
    try:
        found = checkpoint.load(best)
    except TrainingError:  # missing, damaged or a published one: not to be gone on with, anyhow
        return False
    same_figure = found["resume"]["best"] == content["resume"]["best"]
    return bool(same_figure and found["epoch"] <= content["epoch"])


def _figure(best: Path) -> float | None:
    """The figure of a best model, None if there is none."""
    if not best.exists():
        return None
    try:
        figure: float | None = checkpoint.load(best)["resume"]["best"]
    except TrainingError as error:
        raise TrainingError(
            f"{best} is damaged or not of this program, so nothing can be compared with it: move "
            "it away, then go on."
        ) from error
    return figure
