"""The folder that a training run writes to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.moment_retrieval.errors import TrainingError
from training.moment_retrieval.writing import os_errors, write_whole


@dataclass(frozen=True)
class RunFolder:
    """Names as the official training has them, where it has such a file."""

    path: Path

    @property
    def latest(self) -> Path:
        """Checkpoint of the last finished epoch."""
        return self.path / "model_latest.ckpt"

    @property
    def best(self) -> Path:
        """Checkpoint of the best validated epoch."""
        return self.path / "model_best.ckpt"

    def begin(self) -> None:
        """Make the folder of a new run; raises `TrainingError` if it holds one already."""
        self.make()
        for kept in (self.latest, self.best):
            if kept.exists():
                raise TrainingError(
                    f"{self.path} holds a run already: continue it with --resume {kept}, or "
                    "choose another --out."
                )
        self.cut_log(0)

    def make(self) -> None:
        """Make the folder if it does not exist."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(f"{self.path} cannot be made ({error.strerror}).") from error

    def copy_best(self, origin: RunFolder) -> None:
        """Take over the best model of another folder, with its predictions and their figures."""
        for name in (self.best.name, *_validation_names("best")):
            _copy(origin.path / name, self.path / name)

    def copy_log(self, origin: RunFolder) -> None:
        """Take over the log of another folder, if there is one."""
        _copy(origin._log, self._log)

    def cut_log(self, finished_epochs: int) -> None:
        """Leave the lines of the first epochs only."""
        if self._log.exists():
            kept = [
                line
                for line in self._log.read_text(encoding="utf-8").splitlines()
                if json.loads(line)["epoch"] < finished_epochs
            ]
            _write(self._log, kept)

    def log(self, entry: dict[str, Any]) -> None:
        """Append one epoch to ``log.jsonl``."""
        with os_errors(self._log), open(self._log, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def write_options(self, options: dict[str, Any]) -> None:
        """What the run was asked to do, as ``options.json``."""
        _write(self.path / "options.json", [json.dumps(options, indent=1)])

    def write_validation(
        self, name: str, predictions: list[dict[str, Any]], metrics: dict[str, Any]
    ) -> None:
        """``{name}_val_preds.jsonl`` for `reelseek evaluate`, ``{name}_val_metrics.json``."""
        listed, figures = _validation_names(name)
        _write(self.path / listed, map(json.dumps, predictions))
        _write(self.path / figures, [json.dumps(metrics, indent=1)])

    @property
    def _log(self) -> Path:
        return self.path / "log.jsonl"


def _validation_names(name: str) -> tuple[str, str]:
    return f"{name}_val_preds.jsonl", f"{name}_val_metrics.json"


def _copy(source: Path, file: Path) -> None:
    """Put what ``source`` holds, if it exists, into ``file``."""
    if not source.exists():
        return
    try:
        content = source.read_bytes()
    except OSError as error:
        raise TrainingError(f"{source} cannot be read ({error.strerror or error}).") from error
    write_whole(file, content)


def _write(file: Path, lines: Iterable[str]) -> None:
    write_whole(file, "".join(line + "\n" for line in lines).encode())
