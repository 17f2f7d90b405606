"""What `indexer.encoders.clip` runs: the picture half of a Hugging Face folder. Imports torch.

Whatever transformers serves with `get_image_features` works: CLIP, SigLIP, SigLIP 2 of a fixed
size, AltCLIP, MetaCLIP 2, Chinese-CLIP. Pictures arrive upright and at the right size
(`indexer.frame`); here they become numbers, pass the network, and are scaled to unit length.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from storage.bundles import EncoderBundle
from storage.errors import BundleError

_SHORTEST = 1e-5
"""No vector is divided by less."""

_TEXT_HALF = ("text_model", "text_projection")
_PICTURE_KEYS = ("vision_model.", "visual_projection.")

_BFLOAT16_FLAGS = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
"""What Linux calls a CPU's products of bfloat16: Intel, Intel and AMD, ARM."""


class ClipNetwork:
    """The picture tower in memory, on the CUDA device if there is one.

    Half precision is `torch.autocast` over float32 weights. With ViT-B/32 (random weights, a CPU
    with AVX512-BF16) bfloat16 runs at two to three times the speed of float32, and its vectors
    keep a cosine of 0.99998 to exact ones; weights rounded to bfloat16 keep 0.9999 and gain
    nothing beyond the noise. CPUs have no fast float16: it is for CUDA.

    torch's threads are left as they are: beside decoding, on two busy cores, one or two of them
    made no difference to a whole film (within 10 %, either way).
    """

    def __init__(self, bundle: EncoderBundle, precision: str) -> None:
        """
        Raises:
            BundleError: the folder holds no picture tower as the manifest describes it.
        """
        self._name = bundle.manifest.model_id
        self._dim = bundle.dim
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._half = _half_type(precision, self._device.type)
        self._model = _picture_half(bundle).to(self._device)
        self._mean = self._channels(bundle.image.mean)
        self._std = self._channels(bundle.image.std)

    @property
    def precision(self) -> str:
        """What it computes in: float32, bfloat16 or float16."""
        return str(self._half or torch.float32).removeprefix("torch.")

    def encode(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One batch of RGB pictures, (n, height, width, 3), into (n, dim) of unit length.

        A network that overflows in half precision computes in float32 from then on.

        Raises:
            BundleError: vectors of another length than the manifest says, or not finite.
            RuntimeError: out of memory.
        """
        features = self.features(self.pixels(pictures))
        if self._half is not None and not torch.isfinite(features).all():
            self._half = None
            features = self.features(self.pixels(pictures))
        if features.shape[1:] != (self._dim,):
            raise BundleError(
                f"The picture tower of {self._name} gives vectors of {features.shape[-1]} numbers, "
                f"its manifest says {self._dim}: install it again."
            )
        if not torch.isfinite(features).all():
            raise BundleError(
                f"The picture tower of {self._name} gives vectors that are no numbers: its weights "
                "are damaged, install it again."
            )
        vectors: NDArray[np.float32] = self.unit_length(features).cpu().numpy()
        return vectors

    def pixels(self, pictures: NDArray[np.uint8]) -> torch.Tensor:
        """Pictures as the network takes them: (n, 3, height, width) float32, scaled and shifted."""
        bytes_ = torch.tensor(pictures, device=self._device).permute(0, 3, 1, 2)
        return (bytes_.float().contiguous() / 255 - self._mean) / self._std

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """What the network makes of pixels, before the scaling to unit length: (n, dim) float32."""
        with torch.inference_mode(), self._precise():
            found = self._model.get_image_features(pixel_values=pixels)
        # an object since transformers 5, before that the tensor itself
        features: torch.Tensor = getattr(found, "pooler_output", found)
        return features.float()

    @staticmethod
    def unit_length(features: torch.Tensor) -> torch.Tensor:
        """x / max(‖x‖, 1e-5) of each row: F.normalize(eps=1e-5), as run_on_video does (run.py)."""
        lengths: torch.Tensor = features.norm(dim=-1, keepdim=True)
        return features / lengths.clamp_min(_SHORTEST)

    def _precise(self) -> AbstractContextManager[object]:
        if self._half is None:
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, dtype=self._half)

    def _channels(self, values: tuple[float, float, float]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self._device).reshape(3, 1, 1)


def _half_type(precision: str, device: str) -> torch.dtype | None:
    if precision == "auto":
        if device == "cuda":
            return torch.float16
        return torch.bfloat16 if cpu_multiplies_bfloat16() else None
    return {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]


def cpu_multiplies_bfloat16() -> bool:
    """Whether bfloat16 is faster than float32 here; where it cannot be told, it is not."""
    ask: Callable[[], dict[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)  # torch 2.10
    capabilities = ask()
    if any(capabilities.get(flag) for flag in _BFLOAT16_FLAGS):
        return True
    try:
        return names_bfloat16(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return False


def names_bfloat16(cpuinfo: str) -> bool:
    """Whether Linux lists products of bfloat16 among what a CPU can do."""
    for line in cpuinfo.splitlines():
        label, _, flags = line.partition(":")
        if label.strip() in ("flags", "Features") and not _BFLOAT16_FLAGS.isdisjoint(flags.split()):
            return True
    return False


def _picture_half(bundle: EncoderBundle) -> Any:
    """The model of a Hugging Face folder without its text tower, float32, for inference."""
    folder = bundle.manifest.path
    try:
        with _quiet_transformers():
            model, loading = transformers.AutoModel.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,  # whatever config.json says: halves widen exactly
                output_loading_info=True,
            )
    except Exception as error:  # it raises anything
        raise _not_loaded(folder, str(error).strip().splitlines()[0]) from error
    if not hasattr(model, "get_image_features"):
        raise _not_loaded(folder, f"a {type(model).__name__} has no picture tower")
    missing = sorted(key for key in loading["missing_keys"] if key.startswith(_PICTURE_KEYS))
    if missing:  # transformers would fill them with random numbers
        raise _not_loaded(folder, f"{len(missing)} weights are missing, the first is {missing[0]}")
    side = getattr(getattr(model.config, "vision_config", None), "image_size", None)
    if side is None:
        raise _not_loaded(folder, f"a {type(model).__name__} takes pictures of no fixed size")
    if (bundle.image.width, bundle.image.height) != (side, side):
        raise _not_loaded(
            folder,
            f"it takes pictures of {side} × {side}, not of "
            f"{bundle.image.width} × {bundle.image.height} as the manifest says",
        )
    for part in _TEXT_HALF:
        if hasattr(model, part):
            delattr(model, part)
    return model.eval()


def _not_loaded(folder: Path, why: str) -> BundleError:
    return BundleError(f"{folder} cannot be used as a picture tower ({why}): bring another model.")


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No bars and no advice for developers on the terminal; as it was before afterwards."""
    transformers_logging: Any = transformers.utils.logging
    verbosity = transformers_logging.get_verbosity()
    shows_bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if shows_bars:
            transformers_logging.enable_progress_bar()
