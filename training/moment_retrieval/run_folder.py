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

    def begin(self, finished_epochs: int) -> None:
        """Make the folder, or the log of an older one end where the run goes on."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(f"{self.path} cannot be made ({error.strerror}).") from error
        if finished_epochs == 0 and self.latest.exists():
            raise TrainingError(
                f"{self.path} holds a run already: continue it with --resume {self.latest}, or "
                "choose another --out."
            )
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
        _write(self.path / f"{name}_val_preds.jsonl", map(json.dumps, predictions))
        _write(self.path / f"{name}_val_metrics.json", [json.dumps(metrics, indent=1)])

    @property
    def _log(self) -> Path:
        return self.path / "log.jsonl"


def _write(file: Path, lines: Iterable[str]) -> None:
    write_whole(file, "".join(line + "\n" for line in lines).encode())
