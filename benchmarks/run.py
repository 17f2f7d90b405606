"""Measure speed and memory and write benchmarks/results/*.json.

    python -m benchmarks.run [--out FOLDER]

Takes about ten minutes on two cores; nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import indexing, searching

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for height in (360, 1080):
            write_result(out, f"indexing-{height}p", indexing.against_decoding(folder, height))
            for minutes in (1, 10) if height == 360 else (1,):
                figures = indexing.against_pyscenedetect(folder, height, minutes)
                write_result(out, f"pyscenedetect-{height}p-{minutes}min", figures)
        write_result(out, "memory", indexing.memory(folder))
        write_result(out, "search", searching.measure(folder))


def write_result(out: Path, name: str, figures: dict[str, Any]) -> None:
    """Write the figures of one benchmark to results/NAME.json, and print them."""
    figures = {**figures, "cores": os.cpu_count(), "python": platform.python_version()}
    (out / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(name, json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
