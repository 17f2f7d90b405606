"""The sound tower of the PANNs, Cnn14: what is heard in each 2 s window.

Needs torch, librosa and safetensors (the extra `panns`), none of which is imported
before `load`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexer import sound
from indexer.encoders.panns_config import (
    MEL_KEY,
    Cnn14Config,
    check_mel_filters,
)
from storage.errors import BundleError, not_installed
from storage.records import SoundStamp

if TYPE_CHECKING:
    import torch

    from indexer.encoders.panns_network import Cnn14
    from indexer.logmel import LogMel

_SHORTEST_NORM = 1e-5
"""As the seed of QD-DETR's demo, `F.normalize(eps=1e-5)`: keeps a vector of zeros what it is."""


class PannsEncoder:
    """Cnn14 with its front end, on the GPU if there is one."""

    sample_rate = sound.SAMPLE_RATE
    window_samples = sound.WINDOW_SAMPLES
    batch_size = 16
    """Windows at a time. Measured on two cores: 1 at a time 14 × real time, 8 36 ×, 16 39 ×; 32
    are no faster and take 340 MB beside the weights instead of 220."""

    def __init__(self, weights: Path, stamp: SoundStamp) -> None:
        """Note where the weights lie, a model.safetensors with the official tensor names."""
        self._weights = weights
        self._stamp = stamp
        self._loaded: tuple[LogMel, Cnn14, torch.device] | None = None

    @property
    def stamp(self) -> SoundStamp:
        """What the archive remembers of this encoder."""
        return self._stamp

    def load(self) -> None:
        """Load the weights, unless they are; called in the thread that will encode.

        Raises:
            BundleError: the file is damaged, holds another network, or torch, librosa or
                safetensors is not installed.
        """
        if self._loaded is None:
            self._loaded = _load(self._weights)

    def encode(
        self, windows: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Vectors of unit length, and tags.

        Args:
            windows: (n, 64000) float32, mono at 32 kHz, -1…1.

        Returns:
            (n, dim), x / max(‖x‖, 1e-5); and (n, tags), how likely each kind of sound of
            `storage.audioset.labels` is, 0 to 1, independent of the others.

        Raises:
            BundleError: as `load`.
        """
        embeddings, tags = self.features(windows)
        norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
        return embeddings / np.maximum(norms, np.float32(_SHORTEST_NORM)), tags

    def features(
        self, waveforms: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The network's own outputs: as `encode`, but vectors are not normalised.

        Takes waveforms of any length from 9920 samples (0.31 s), all of the same.
        """
        import torch

        self.load()
        assert self._loaded is not None
        log_mel, network, device = self._loaded
        embeddings = [np.zeros((0, self._stamp.dim), np.float32)]
        tags = [np.zeros((0, self._stamp.tags), np.float32)]
        # Without TF32, whose rounding would make a GPU's vectors differ from a CPU's by 1e-3.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for start in range(0, len(waveforms), self.batch_size):
                batch = torch.tensor(waveforms[start : start + self.batch_size], device=device)
                embedding, clipwise = network(log_mel(batch))
                embeddings.append(embedding.cpu().numpy())
                tags.append(clipwise.cpu().numpy())
        return np.concatenate(embeddings), np.concatenate(tags)


def _load(weights: Path) -> tuple[LogMel, Cnn14, torch.device]:
    try:
        import librosa  # noqa: F401
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise not_installed("hear", str(error.name), "panns") from error
    from indexer.encoders.panns_network import Cnn14
    from indexer.logmel import LogMel

    try:
        tensors = load_file(weights)
        config = Cnn14Config.from_shapes(
            {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        )
        if MEL_KEY in tensors:
            check_mel_filters(tensors[MEL_KEY].float().numpy())
    except (OSError, SafetensorError, ValueError) as error:
        raise BundleError(
            f"{weights} cannot be used as a Cnn14 sound network ({error}): import the 32 kHz "
            "Cnn14 of the PANNs again."
        ) from error
    # On "meta" no memory is taken and nothing is drawn at random for weights to be replaced.
    with torch.device("meta"):
        network = Cnn14(config)
    state = {
        name: torch.zeros((), dtype=torch.int64)
        if name.endswith(".num_batches_tracked")
        else tensors[name].float()
        for name in config.shapes()
    }
    network.load_state_dict(state, assign=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return LogMel(device), network.to(device), device
