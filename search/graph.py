"""Opens the ONNX graphs that a search runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def open_graph(file: Path, threads: int = 0) -> Any:
    """An onnxruntime session on the CPU that keeps its warnings to itself.

    Args:
        threads: to run one call with; 0 for as many as there are cores.

    Raises:
        Exception: onnxruntime's own bare subclasses, where the file is no graph that it can run.
    """
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
