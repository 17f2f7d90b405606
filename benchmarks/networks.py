"""How fast the official networks run here: CLIP ViT-B/32, Cnn14, and QD-DETR as a search runs it.

    python -m benchmarks.networks [--out FOLDER]      (needs `make networks`)

Weights are random, of the published sizes: they cost as much as the official ones. Pictures per
second stand beside those of transformers' own call in float32; all are medians of runs in turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from benchmarks import material, processes
from benchmarks.run import RESULTS, write_result
from indexer.encoders.clip import BATCH_SIZE, ClipImageEncoder
from indexer.encoders.panns import PannsEncoder
from indexer.encoders.panns_config import Cnn14Config
from indexer.encoders.panns_network import Cnn14
from indexer.sound import SAMPLE_RATE, WINDOW_SAMPLES
from search.moments.base import SegmentView
from search.moments.qd_detr import QDDETR
from search.moments.qd_detr_config import QDDETRConfig
from search.moments.reranker import QdDetrHead
from search.text.base import EncodedQuery
from storage.bundles import load_encoder, load_head, load_sound
from storage.records import CLIP_S, SEGMENT_CLIPS
from weights.importing import import_weights

ROUNDS = 5
PRECISIONS = ("float32", "bfloat16")
SEGMENTS = (1, 16, 64)
WORDS = 12
"""Tokens of a usual query."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["REELSEEK_MODELS"] = f"{scratch}/models"
        folder = Path(scratch)
        figures = {
            **pictures(folder),
            **sound(folder),
            **reranking(folder),
            **searching(folder),
        }
    write_result(out, "networks", {**figures, "torch": torch.__version__})


def pictures(folder: Path) -> dict[str, Any]:
    """Pictures per second of ViT-B/32 by precision, in batches as `index add` makes them."""
    model: Any = transformers.CLIPModel(transformers.CLIPConfig())
    model.eval()
    model.save_pretrained(folder / "vit-b-32")
    import_weights(folder / "vit-b-32", "clip")
    batch = np.random.default_rng(0).integers(0, 256, (BATCH_SIZE, 224, 224, 3), np.uint8)
    ways: dict[str, Callable[[], object]] = {}
    for precision in PRECISIONS:
        encoder = ClipImageEncoder(load_encoder("clip"), precision)
        encoder.load()
        ways[precision] = lambda encoder=encoder: encoder.encode(batch)  # type: ignore[misc]
    pixels = torch.from_numpy(batch).permute(0, 3, 1, 2) / 255.0

    def plainly() -> None:
        with torch.no_grad():
            model.get_image_features(pixel_values=pixels)

    ways["transformers_float32"] = plainly
    seconds = in_turns(ways)
    return {"pictures_per_s": {name: round(BATCH_SIZE / s, 1) for name, s in seconds.items()}}


def sound(folder: Path) -> dict[str, Any]:
    """Seconds of sound that Cnn14 hears in a second, by batch."""
    torch.save({"model": Cnn14(Cnn14Config()).state_dict()}, folder / "cnn14.pth")
    import_weights(folder / "cnn14.pth", "cnn14")
    bundle = load_sound("cnn14")
    encoder = PannsEncoder(bundle.weights, bundle.stamp)
    encoder.load()
    windows = np.random.default_rng(0).normal(0, 0.1, (64, WINDOW_SAMPLES)).astype(np.float32)
    batches = sorted({1, 8, encoder.batch_size})
    ways: dict[str, Callable[[], object]] = {
        str(size): lambda size=size: encoder.encode(windows[:size])  # type: ignore[misc]
        for size in batches
    }
    window_s = WINDOW_SAMPLES / SAMPLE_RATE
    return {
        "sound_times_real_time": {
            size: round(int(size) * window_s / seconds, 1)
            for size, seconds in in_turns(ways).items()
        }
    }


def reranking(folder: Path) -> dict[str, Any]:
    """Milliseconds for the moments of so many shortlisted segments, published CLIP sizes."""
    config = QDDETRConfig(video_dim=514, text_dim=512)
    torch.save({"model": QDDETR(config).state_dict()}, folder / "head.ckpt")
    import_weights(folder / "head.ckpt", "qd-detr")
    bundle = load_head("qd-detr")
    head = QdDetrHead(bundle.file, "qd-detr", 0, bundle.picture_dim, bundle.text_dim)
    random = np.random.default_rng(0)
    query = EncodedQuery("", unit(random, 1, 512)[0], unit(random, WORDS, 512))
    segments = [segment(random) for _ in range(max(SEGMENTS))]
    ways: dict[str, Callable[[], object]] = {
        str(count): lambda count=count: head.find_all(segments[:count], query)  # type: ignore[misc]
        for count in SEGMENTS
    }
    return {"rerank_ms": {count: round(1000 * s, 1) for count, s in in_turns(ways).items()}}


def searching(folder: Path) -> dict[str, Any]:
    """Seconds of a whole `reelseek search` with the networks brought above, from a cold start."""
    film, db = material.film(folder, 360, minutes=1), folder / "dbs"
    processes.run(
        ["reelseek", "index", "add", film, "--db", db, "--encoder", "clip", "--sound", "cnn14"]
    )
    command: list[str | Path] = ["reelseek", "search", "a dog in snow", "--db", db]
    seconds = in_turns(
        {
            "qd_detr": lambda: processes.run([*command, "--head", "qd-detr"]),
            "watershed": lambda: processes.run([*command, "--head", "watershed"]),
        }
    )
    return {"cold_search_s": {name: round(s, 2) for name, s in seconds.items()}}


def segment(random: np.random.Generator) -> SegmentView:
    starts_s = CLIP_S * np.arange(SEGMENT_CLIPS)
    return SegmentView(
        vectors=unit(random, SEGMENT_CLIPS, 512),
        times_s=np.stack([starts_s, starts_s + CLIP_S], axis=1),
        scenes_s=np.array([[0.0, CLIP_S * SEGMENT_CLIPS]]),
        scene_vectors=unit(random, 1, 512),
        background=0.0,
    )


def unit(random: np.random.Generator, rows: int, dim: int) -> NDArray[np.float32]:
    vectors = random.standard_normal((rows, dim)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def in_turns(ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each way: all of them in every round, the first of which is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if number:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


if __name__ == "__main__":
    main()
