"""Scene detection against cuts that were found by eye, and against PySceneDetect's own way.

    python -m benchmarks.scenes [--quick]

Reads the footage in $REELSEEK_VIDEOS (default: ../shared/videos beside the repository), prints a
table of all presets, and writes benchmarks/results/scenes.json. ``ours`` is one pass of
`indexer.media` with thumbnails from the decoder's planes; ``stock`` is PySceneDetect's own
open_video and SceneManager with the same detector (``--quick`` leaves it out).

Scoring rule: a detection is right when it lies within 0.08 s (two frames) of a hard cut that no
other detection has taken; detections inside a soft change count neither way; clips whose cuts
could not be judged are left out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scenedetect import SceneManager, open_video  # type: ignore[import-untyped]
from scenedetect.detectors import (  # type: ignore[import-untyped]
    AdaptiveDetector,
    ContentDetector,
)

from benchmarks.footage import footage_folder, tapes_in
from indexer.media import open_film
from indexer.scenes import ADAPTIVE, CONTENT_27, CONTENT_31, DEFAULT, SceneCutter

TOLERANCE_S = 0.08
RESULTS = Path(__file__).parent / "results" / "scenes.json"
PRESETS = {"content27": CONTENT_27, "content31": CONTENT_31, "adaptive": ADAPTIVE}

Cuts = dict[str, list[float]]
"""Preset to times in seconds."""


@dataclass
class Score:
    """Counts over several files."""

    right: int = 0
    false: int = 0
    missed: int = 0
    ignored: int = 0
    """Detections inside a soft change."""

    def add(self, other: Score) -> None:
        for name, count in asdict(other).items():
            setattr(self, name, getattr(self, name) + count)

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + self.false)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.right + self.missed)

    @property
    def f1(self) -> float:
        return 2 * self.right / max(1, 2 * self.right + self.false + self.missed)

    def as_json(self) -> dict[str, float]:
        ratios = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return asdict(self) | {name: round(value, 4) for name, value in ratios.items()}


def score(found_s: Iterable[float], hard_s: list[float], soft_s: list[list[float]]) -> Score:
    """Match detections to hard cuts, nearest pairs first."""
    found = sorted(found_s)
    pairs = sorted(
        (abs(cut - seen), i, j)
        for i, cut in enumerate(hard_s)
        for j, seen in enumerate(found)
        if abs(cut - seen) <= TOLERANCE_S + 1e-6
    )
    cuts_taken: set[int] = set()
    used: set[int] = set()
    for _, i, j in pairs:
        if i not in cuts_taken and j not in used:
            cuts_taken.add(i)
            used.add(j)
    result = Score(right=len(used), missed=len(hard_s) - len(cuts_taken))
    for j, seen in enumerate(found):
        if j not in used:
            inside = any(start <= seen <= end for start, end in soft_s)
            result.ignored += inside
            result.false += not inside
    return result


def ours(path: Path) -> Cuts:
    """Cut times of every preset, from one pass."""
    with open_film(path) as film:
        cutters = {name: SceneCutter(kind, film.info.frame_rate) for name, kind in PRESETS.items()}
        cuts: Cuts = {name: [] for name in PRESETS}
        for frame in film.frames():
            thumbnail = frame.thumbnail_bgr()
            for name, cutter in cutters.items():
                cuts[name] += cutter.push(frame.time_s, thumbnail)
        for name, cutter in cutters.items():
            cuts[name] += cutter.finish()
    return cuts


def stock(path: Path) -> Cuts:
    """Cut times of every preset, by PySceneDetect's own decoding and scaling.

    Through its PyAV backend, so that both ways decode with the same FFmpeg. Its times count from
    the first frame, ours from the film's zero. One manager would mix the cuts of its detectors,
    so each detector's are noted on their way to it.
    """
    detectors = {
        "content27": ContentDetector(threshold=27.0),
        "content31": ContentDetector(threshold=31.0, min_scene_len=0.6),
        "adaptive": AdaptiveDetector(3.5, window_width=3, min_scene_len=0.6),
    }
    first_s = first_frame_s(path)
    cuts: Cuts = {name: [] for name in detectors}
    manager = SceneManager()
    for name, detector in detectors.items():
        manager.add_detector(detector)
        detector.process_frame = noting(detector.process_frame, cuts[name], first_s)
    manager.detect_scenes(open_video(str(path), backend="pyav", suppress_output=True))
    return cuts


def noting(process: Callable[..., Any], into: list[float], first_s: float) -> Callable[..., Any]:
    """A detector's own method, which also writes down what it returns."""

    def process_frame(timecode: Any, frame_img: Any) -> Any:
        found = process(timecode, frame_img)
        into.extend(cut.seconds + first_s for cut in found)
        return found

    return process_frame


def first_frame_s(path: Path) -> float:
    """When the first frame is shown."""
    with open_film(path) as film:
        return next(film.frames()).time_s


def truths(folder: Path) -> Iterator[tuple[str, list[float], list[list[float]]]]:
    """(file, hard cuts, soft changes) of every judged file."""
    known = json.loads((folder / "cuts.json").read_text())
    left_out = set(known["clips_not_judged"])
    tapes = [f"{tape}.mp4" for tape in tapes_in(folder)]
    entries = {tape: known[tape] for tape in tapes if tape in known} | known["clips"]
    for name, entry in entries.items():
        if name not in left_out:
            yield name, entry["hard"], entry["soft"]


def group_of(name: str) -> str:
    """Where a file's counts are shown: each tape by itself, all clips together."""
    return "clips" if name.startswith("clips/") else name


def main() -> None:
    """Run over all judged files, print the tables and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave PySceneDetect's own way out")
    options = parser.parse_args()
    folder = footage_folder()
    if not (folder / "cuts.json").exists():
        parser.exit(2, f"{folder} holds no cuts.json: set REELSEEK_VIDEOS to the footage.\n")
    ways = {"ours": ours} if options.quick else {"ours": ours, "stock": stock}
    totals: dict[str, dict[str, dict[str, Score]]] = {}
    agreement = {preset: Agreement() for preset in PRESETS}
    wall_s = dict.fromkeys(ways, 0.0)
    for name, hard_s, soft_s in truths(folder):
        cuts: dict[str, Cuts] = {}
        for way, detect in ways.items():
            began = time.perf_counter()
            cuts[way] = detect(folder / name)
            wall_s[way] += time.perf_counter() - began
            for preset, found in cuts[way].items():
                groups = totals.setdefault(way, {}).setdefault(preset, {})
                for group in (group_of(name), "all"):
                    groups.setdefault(group, Score()).add(score(found, hard_s, soft_s))
        if "stock" in cuts:
            for preset, count in agreement.items():
                count.add(name, cuts["ours"][preset], cuts["stock"][preset])
    show(totals)
    results = {
        "tolerance_s": TOLERANCE_S,
        "default": str(DEFAULT),
        "scores": {
            way: {
                preset: {group: total.as_json() for group, total in groups.items()}
                for preset, groups in presets.items()
            }
            for way, presets in totals.items()
        },
        "wall_s": {way: round(value, 1) for way, value in wall_s.items()},
    }
    if "stock" in ways:
        results["agreement"] = {preset: asdict(count) for preset, count in agreement.items()}
        for preset, count in agreement.items():
            print(f"{preset}: {count}")
    print("wall time over all files, s:", results["wall_s"])
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(f"written: {RESULTS}")


@dataclass
class Agreement:
    """Cuts that both ways found, and those that one of them did not, over all files."""

    both: int = 0
    only_ours: int = 0
    only_stock: int = 0
    differing_files: int = 0

    def add(self, name: str, ours_s: list[float], stock_s: list[float]) -> None:
        """Count one file."""
        apart = score(ours_s, stock_s, [])
        self.both += apart.right
        self.only_ours += apart.false
        self.only_stock += apart.missed
        self.differing_files += bool(apart.false or apart.missed)


def show(totals: dict[str, dict[str, dict[str, Score]]]) -> None:
    """A table for people."""
    print(f"{'way':6} {'preset':10} {'files':10} precision recall      F1 right false missed")
    for way, presets in totals.items():
        for preset, groups in presets.items():
            for group, total in groups.items():
                print(
                    f"{way:6} {preset:10} {group:10} {total.precision:9.3f} {total.recall:6.3f} "
                    f"{total.f1:7.3f} {total.right:5} {total.false:5} {total.missed:6}"
                )


if __name__ == "__main__":
    main()
