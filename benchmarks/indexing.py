"""What indexing costs beside decoding: time by stage, memory by length, bytes by hour."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av

from benchmarks import material, processes
from indexer.encoders.lite import LiteImageEncoder
from indexer.media import open_film
from indexer.pipeline import Fixity, IndexSettings, index_film
from indexer.scenes import DEFAULT, SceneCutter
from storage.bundles import load_encoder
from storage.records import Location

RUNS = 5


def against_decoding(folder: Path, height: int) -> dict[str, Any]:
    """Time of indexing, and of its first stages alone, divided by that of a bare decode.

    The variants take turns, so that a machine that slows down slows all of them.
    """
    path = material.film(folder, height, minutes=1)
    encoder = LiteImageEncoder(load_encoder())
    stages: dict[str, Callable[[], None]] = {
        "bare_decode": lambda: _bare_decode(path),
        "decode": lambda: _decode(path),
        "and_thumbnails": lambda: _thumbnails(path),
        "and_scenes": lambda: _scenes(path),
        "and_encoder": lambda: _everything(path, encoder),
    }
    times_s: dict[str, list[float]] = {name: [] for name in stages}
    _bare_decode(path)
    for _ in range(RUNS):
        for name, stage in stages.items():
            began = time.perf_counter()
            stage()
            times_s[name].append(time.perf_counter() - began)
    bare_s = times_s["bare_decode"]
    return {
        "film_s": 60,
        "bare_decode_x_real_time": round(60 / statistics.median(bare_s), 1),
        "times_bare_decode": {
            name: round(statistics.median(a / b for a, b in zip(own, bare_s, strict=True)), 2)
            for name, own in times_s.items()
        },
    }


def against_pyscenedetect(folder: Path, height: int, minutes: int) -> dict[str, float]:
    """Wall time of `reelseek index add` over that of PySceneDetect's command, whole processes."""
    path = material.film(folder, height, minutes)
    ratios = []
    theirs_s = []
    for _ in range(3):
        with _new_archive(folder) as db:
            ours = processes.run(["reelseek", "index", "add", path, "--db", db])
        theirs = processes.run(
            ["scenedetect", "--quiet", "-i", path, "detect-content", "list-scenes", "-n"]
        )
        ratios.append(ours.wall_s / theirs.wall_s)
        theirs_s.append(theirs.wall_s)
    return {
        "film_s": 60 * minutes,
        "pyscenedetect_x_real_time": round(60 * minutes / statistics.median(theirs_s), 1),
        "reelseek_over_pyscenedetect": round(statistics.median(ratios), 2),
    }


def memory(folder: Path) -> dict[str, float]:
    """Peak memory of indexing a minute and an hour, and what an hour takes in the archive."""
    peaks = {}
    for minutes in (1, 60):
        path = material.film(folder, 360, minutes)
        with _new_archive(folder) as db:
            peaks[minutes] = processes.run(["reelseek", "index", "add", path, "--db", db])
            archive_bytes = sum(f.stat().st_size for f in db.rglob("*") if f.is_file())
    return {
        "peak_mb_1_min": round(peaks[1].peak_bytes / 1e6),
        "peak_mb_60_min": round(peaks[60].peak_bytes / 1e6),
        "ratio": round(peaks[60].peak_bytes / peaks[1].peak_bytes, 2),
        "x_real_time_60_min": round(3600 / peaks[60].wall_s, 1),
        "archive_bytes_per_hour": archive_bytes,
    }


@contextmanager
def _new_archive(folder: Path) -> Iterator[Path]:
    db = folder / "dbs"
    shutil.rmtree(db, ignore_errors=True)
    yield db


def _bare_decode(path: Path) -> None:
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for _ in container.decode(video=0):
            pass


def _decode(path: Path) -> None:
    with open_film(path) as film:
        for _ in film.frames():
            pass


def _thumbnails(path: Path) -> None:
    with open_film(path) as film:
        for frame in film.frames():
            frame.thumbnail_bgr()


def _scenes(path: Path) -> None:
    with open_film(path) as film:
        cutter = SceneCutter(DEFAULT, film.info.frame_rate)
        for frame in film.frames():
            cutter.push(frame.time_s, frame.thumbnail_bgr())
        cutter.finish()


def _everything(path: Path, encoder: LiteImageEncoder) -> None:
    fixity = Fixity(Location(str(path), 0, 0), "0" * 64)
    with open_film(path) as film:
        index_film(film, fixity, encoder, IndexSettings(DEFAULT), lambda _position_s: None)
