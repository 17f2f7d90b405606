"""Measures a bundle's speed on this machine: python -m training.speed storage/bundles/lite"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from training.features import session

SENTENCE = [101, 1037, 3899, 3216, 2006, 1996, 3509, 102]
"""Token ids of "a dog runs on the beach"."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--seconds", type=float, default=3.0, help="per measurement")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.bundle, arguments.seconds), indent=2))


def measure(bundle: Path, seconds: float) -> dict[str, float]:
    """Frames per second by threads and batch, processor time of a frame, milliseconds per sentence
    and per opening of each model.

    Processor time hardly depends on what else the machine does; frames per second do.
    """
    image, text = ((bundle / name).read_bytes() for name in ("image.onnx", "text.onnx"))
    figures = {
        "open image.onnx, ms": 1000 * _median(lambda: session(image, threads=1), seconds),
        "open text.onnx, ms": 1000 * _median(lambda: session(text, threads=1), seconds),
    }
    for threads in (1, 2):
        network = session(image, threads)
        for batch in (1, 8, 16):
            pixels = np.zeros((batch, 260, 260, 3), np.uint8)
            taken = _median(lambda n=network, p=pixels: n.run(None, {"pixels": p}), seconds)  # type: ignore[misc]
            figures[f"frames/s, {threads} threads, batch {batch}"] = batch / taken
            if threads == 1:
                spent = _median(
                    lambda n=network, p=pixels: n.run(None, {"pixels": p}),  # type: ignore[misc]
                    seconds,
                    time.process_time,
                )
                figures[f"processor time of a frame, batch {batch}, ms"] = 1000 * spent / batch
        network = session(text, threads)
        ids = np.array([SENTENCE], np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        taken = _median(lambda n=network, f=feeds: n.run(None, f), seconds)  # type: ignore[misc]
        figures[f"sentence, {threads} threads, ms"] = 1000 * taken
    return {name: round(value, 1) for name, value in figures.items()}


def _median(
    call: Callable[[], object], seconds: float, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Median time of a call by a clock, in seconds, after one call to warm up; measured for so many
    `seconds` of the wall clock.
    """
    call()
    taken = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = clock()
        call()
        taken.append(clock() - start)
    return float(np.median(taken))


if __name__ == "__main__":
    main()
