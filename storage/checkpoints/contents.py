"""What each reader of a container hands over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from storage.checkpoints.tensors import StoredTensor


@dataclass(frozen=True, eq=False)
class Contents:
    """Tensors as they lie in the file, and what else it says."""

    container: str
    tensors: Mapping[str, StoredTensor]
    options: Mapping[str, object] = field(default_factory=dict)
