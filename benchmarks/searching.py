"""How long an answer takes: from a cold start, warm, and beside a running indexer."""

from __future__ import annotations

import statistics
import subprocess
import time
from pathlib import Path

from benchmarks import material, processes
from search.moments.watershed import Watershed
from search.searcher import Searcher
from search.text.lite import LiteTextEncoder
from storage.archive import open_snapshot
from storage.bundles import load_encoder

QUERIES = ("a dog in snow", "a man at a desk", "cars on a street", "a crowd in a stadium")


def measure(folder: Path) -> dict[str, float]:
    """Seconds of `reelseek search`, whole processes, and milliseconds of a warm query."""
    db = folder / "search-dbs"
    hour = material.film(folder, 360, minutes=60)
    processes.run(["reelseek", "index", "add", hour, "--db", db])
    alone_s = _search_times(db, 20)
    indexer = subprocess.Popen(
        [processes.BIN / "reelseek", "index", "add", _another_hour(folder), "--db", db],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(2.0)
        beside_s = _search_times(db, 20)
        assert indexer.poll() is None, "the indexer ended before the last search"
    finally:
        indexer.terminate()
        indexer.wait()
    return {
        "cold_start_s": round(statistics.median(alone_s), 2),
        "cold_start_p95_s": round(_p95(alone_s), 2),
        "beside_indexer_p95_s": round(_p95(beside_s), 2),
        "warm_query_ms": round(1000 * _warm_query_s(db), 1),
    }


def _search_times(db: Path, count: int) -> list[float]:
    return [
        processes.run(["reelseek", "search", QUERIES[n % len(QUERIES)], "--db", db]).wall_s
        for n in range(count)
    ]


def _warm_query_s(db: Path) -> float:
    searcher = Searcher(open_snapshot(db), LiteTextEncoder(load_encoder()), Watershed())
    times_s = []
    for number in range(40):
        began = time.perf_counter()
        searcher.moments(QUERIES[number % len(QUERIES)], top=10)
        times_s.append(time.perf_counter() - began)
    return statistics.median(times_s[4:])


def _another_hour(folder: Path) -> Path:
    """The same film with other bytes, so that it is not taken for a copy."""
    path = folder / "another-hour.mp4"
    path.write_bytes((folder / "360p-60min.mp4").read_bytes() + b"\0" * 16)
    return path


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]
