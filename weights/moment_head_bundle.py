"""The bundle made of a QD-DETR checkpoint."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

from search.moments.qd_detr_config import QDDETRConfig
from storage.checkpoints import Checkpoint
from weights.extras import require_extra
from weights.moment_heads import PANNS, HeadFacts
from weights.tensor_files import WEIGHTS_FILE, write_tensors

log = logging.getLogger("reelseek.weights")

GRAPH = "head.onnx"


def write_head(checkpoint: Checkpoint, facts: HeadFacts, folder: Path) -> dict[str, Any]:
    """Write the files of a bundle; the fields of its manifest that are about the head.

    model.safetensors keeps every official name; head.onnx is what a search runs.

    Raises:
        BundleError: a package is missing, or the weights hold no numbers.
    """
    require_extra("qd-detr", "import QD-DETR")
    write_tensors(checkpoint.tensors, folder / WEIGHTS_FILE)
    log.info("Making the graph that a search runs (once; it takes up to a minute)")
    _write_graph(checkpoint, facts.config, folder / GRAPH)
    return {
        "title": _title(facts),
        "head": {
            "file": GRAPH,
            "weights": WEIGHTS_FILE,
            "variant": facts.variant,
            "picture_dim": facts.picture_dim,
            "sound_dim": facts.sound_dim,
            "text_dim": facts.config.text_dim,
            "clip_s": facts.clip_s,
            **({"tower": facts.tower} if facts.tower else {}),
            **({"tower_is_assumed": True} if facts.tower_is_assumed else {}),
            **({"missing_features": facts.missing_features} if facts.missing_features else {}),
            "sizes": dataclasses.asdict(facts.config),
        },
    }


def _write_graph(checkpoint: Checkpoint, config: QDDETRConfig, file: Path) -> None:
    import torch

    from search.moments.qd_detr import QDDETR
    from search.moments.qd_detr_export import export_onnx

    network = QDDETR(config)
    network.load_state_dict(
        {name: torch.from_numpy(values.copy()) for name, values in checkpoint.tensors.items()},
        strict=True,
    )
    export_onnx(network.eval(), file)


def _title(facts: HeadFacts) -> str:
    """E.g. "QD-DETR, reads CLIP ViT-B/32 and 2048 numbers of sound"."""
    parts = [f"CLIP {facts.tower}" if facts.tower else f"{facts.picture_dim} numbers per picture"]
    if facts.missing_features:
        parts.insert(0, facts.missing_features.partition(" (")[0])
    if facts.sound_dim:
        parts.append("PANNs" if facts.sound_dim == PANNS else f"{facts.sound_dim} of sound")
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"QD-DETR, reads {listed}"
