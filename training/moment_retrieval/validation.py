"""The network's predictions for annotated queries, in the format of QVHighlights."""

from __future__ import annotations

from typing import Any

import torch

from search.evaluation.qvhighlights import evaluate
from search.moments.qd_detr import QDDETR
from search.moments.qd_detr_inputs import saliency_as_evaluated, spans_as_evaluated
from training.moment_retrieval.dataset import Batch
from training.moment_retrieval.loading import Loader

Prediction = dict[str, Any]

DECISIVE = "MR-full-mAP"
"""The figure that tells the best checkpoint, as officially."""


@torch.inference_mode()
def predict(network: QDDETR, loader: Loader) -> list[Prediction]:
    """One object per annotation, as the official code writes them to a .jsonl."""
    network.eval()
    return [
        prediction for batch in loader.in_order() for prediction in _predictions(network, batch)
    ]


def validate(predictions: list[Prediction], loader: Loader) -> dict[str, Any]:
    """The official metrics of predictions for the loader's annotations; ``brief`` is the gist."""
    return evaluate(predictions, [item.line for item in loader.dataset.annotations])


def device_of(network: QDDETR) -> torch.device:
    """Where the network's weights are."""
    return network.global_rep_token.device


def _predictions(network: QDDETR, batch: Batch) -> list[Prediction]:
    outputs = network(**batch.to(device_of(network)).inputs)
    logits = outputs["pred_logits"].cpu().numpy()
    spans = outputs["pred_spans"].cpu().numpy()
    saliency = outputs["saliency_scores"].cpu().numpy()
    clips = batch.inputs["src_vid_mask"].sum(dim=1).int().tolist()
    predictions = []
    for row, annotation in enumerate(batch.annotations):
        windows = spans_as_evaluated(logits[row], spans[row], annotation.duration_s)
        prediction: Prediction = {
            "qid": annotation.qid,
            "query": annotation.query,
            "vid": annotation.vid,
            "pred_relevant_windows": windows.tolist(),
        }
        if annotation.highlights is not None:
            scores = saliency_as_evaluated(saliency[row], clips[row])
            prediction["pred_saliency_scores"] = scores.tolist()
        predictions.append(prediction)
    return predictions
