"""What stands between films and answers nothing: black leader, flashes, bars, snow, titles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from training.composed.looks import LOOKS, looks
from training.features import session

COUNT = 48
_SIDE = 260
_TITLES = ("THE END", "PART TWO", "1962", "INTERMISSION", "NEXT WEEK", "REEL 3", "PRODUCED BY", "?")
_BARS = ("white", "yellow", "cyan", "lime", "magenta", "red", "blue", "black")


def pictures(seed: int) -> list[Image.Image]:
    """COUNT pictures, drawn at random."""
    rng = np.random.default_rng([seed, 5])
    kinds = (_flat, _snow, _bars, _title, _gradient, _flat)
    return [kinds[number % len(kinds)](rng) for number in range(COUNT)]


def features(tower: bytes, seed: int) -> NDArray[np.float16]:
    """(COUNT, LOOKS, f): what the tower sees in them."""
    network = session(tower, threads=1)
    rows = [
        network.run(None, {"pixels": looks(picture, f"leader-{number}", seed)})[0]
        for number, picture in enumerate(pictures(seed))
    ]
    assert all(len(row) == LOOKS for row in rows)
    return np.stack(rows).astype(np.float16)


def _flat(rng: np.random.Generator) -> Image.Image:
    level = int(rng.choice([0, 0, 8, 16, 128, 235, 255]))
    tint = rng.integers(-6, 7, 3)
    return Image.new("RGB", (_SIDE, _SIDE), tuple(np.clip(level + tint, 0, 255).tolist()))


def _snow(rng: np.random.Generator) -> Image.Image:
    size = int(rng.choice([65, 130, 260]))
    levels = rng.normal(rng.uniform(30, 160), rng.uniform(20, 70), (size, size))
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8)).convert("RGB").resize((260, 260))


def _bars(rng: np.random.Generator) -> Image.Image:
    picture = Image.new("RGB", (_SIDE, _SIDE))
    draw = ImageDraw.Draw(picture)
    wide = _SIDE / len(_BARS)
    for number, colour in enumerate(_BARS):
        draw.rectangle((number * wide, 0, (number + 1) * wide, _SIDE), fill=colour)
    return picture


def _title(rng: np.random.Generator) -> Image.Image:
    dark = rng.random() < 0.7
    picture = Image.new("RGB", (_SIDE, _SIDE), "black" if dark else "white")
    font = ImageFont.load_default(int(rng.integers(18, 44)))
    text = "\n".join(rng.choice(_TITLES, int(rng.integers(1, 4))).tolist())
    ImageDraw.Draw(picture).multiline_text(
        (_SIDE / 2, _SIDE / 2),
        text,
        fill="white" if dark else "black",
        font=font,
        anchor="mm",
        align="center",
    )
    return picture


def _gradient(rng: np.random.Generator) -> Image.Image:
    corners = rng.integers(0, 255, (2, 2, 3)).astype(np.uint8)
    return Image.fromarray(corners).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
