"""The data set: annotations with their features, and batches of them as the network wants them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from torch import Tensor

from search.moments.qd_detr_inputs import padded
from training.moment_retrieval.annotations import Annotation
from training.moment_retrieval.features import FeatureFolders, Features, Widths
from training.moment_retrieval.labels import Labels, SaliencyLabels, labels
from training.moment_retrieval.losses import Targets
from training.moment_retrieval.saliency import SaliencyTargets


@dataclass(frozen=True, repr=False)
class Example:
    """One annotation, ready for the network."""

    annotation: Annotation
    features: Features
    labels: Labels


@dataclass(frozen=True, repr=False)
class Batch:
    """B examples, padded with zeros at the end to the longest of them."""

    annotations: list[Annotation]
    inputs: dict[str, Tensor]
    """The arguments of ``QDDETR.forward`` by name; float32."""
    targets: Targets

    def to(self, device: torch.device) -> Batch:
        """The same batch in the memory of a device."""
        saliency = self.targets.saliency
        return Batch(
            self.annotations,
            {name: tensor.to(device) for name, tensor in self.inputs.items()},
            Targets(
                [spans.to(device) for spans in self.targets.spans],
                None
                if saliency is None
                else SaliencyTargets(
                    saliency.positive.to(device),
                    saliency.negative.to(device),
                    saliency.ratings.to(device),
                ),
            ),
        )


@dataclass(frozen=True, repr=False)
class MomentDataset:
    """Annotations and the folders that hold their features; files are read when asked for."""

    annotations: list[Annotation]
    folders: FeatureFolders
    widths: Widths

    @staticmethod
    def open(annotations: list[Annotation], folders: FeatureFolders) -> MomentDataset:
        """A data set of which every file exists, as wide as its first annotation's features."""
        folders.check_complete(annotations)
        return MomentDataset(annotations, folders, folders.widths(annotations[0]))

    def __len__(self) -> int:
        return len(self.annotations)

    def example(self, index: int, random: Random) -> Example:
        """The annotation of that number; ``random`` draws what differs from epoch to epoch."""
        annotation = self.annotations[index]
        features = self.folders.read(annotation, self.widths)
        return Example(annotation, features, labels(annotation, len(features.video), random))


def collate(examples: Sequence[Example]) -> Batch:
    """The batch of some examples, in their order."""
    inputs: dict[str, Tensor] = {}
    features = [example.features for example in examples]
    sounds = [part.sound for part in features if part.sound is not None]
    for name, rows in {
        "txt": [part.text for part in features],
        "vid": [part.video for part in features],
        "aud": sounds,
    }.items():
        if rows:
            array, mask = padded(rows)
            inputs[f"src_{name}"] = torch.from_numpy(array)
            inputs[f"src_{name}_mask"] = torch.from_numpy(mask)
    clips = inputs["src_vid"].shape[1]
    spans = [torch.from_numpy(example.labels.spans) for example in examples]
    saliency = [part for example in examples if (part := example.labels.saliency) is not None]
    return Batch(
        [example.annotation for example in examples],
        inputs,
        Targets(spans, _saliency_targets(saliency, clips) if saliency else None),
    )


def _saliency_targets(rows: Sequence[SaliencyLabels], clips: int) -> SaliencyTargets:
    ratings = np.zeros((len(rows), clips), np.float32)
    for row, part in zip(ratings, rows, strict=True):
        row[: len(part.ratings)] = part.ratings
    return SaliencyTargets(
        torch.tensor([part.positive for part in rows]),
        torch.tensor([part.negative for part in rows]),
        torch.from_numpy(ratings),
    )
