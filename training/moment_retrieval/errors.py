"""What can be wrong with a training run, in sentences for the one who started it."""

from __future__ import annotations

from storage.errors import ReelseekError


class TrainingError(ReelseekError):
    """Annotations, feature files, options or a checkpoint that training cannot go on with."""


class TrainingDiverged(TrainingError):
    """The loss or the gradient is no longer a finite number."""
