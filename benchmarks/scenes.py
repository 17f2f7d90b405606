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
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import av
from scenedetect import SceneManager, open_video
from scenedetect.detectors import AdaptiveDetector, ContentDetector

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from indexer.media import open_film  # noqa: E402
from indexer.scenes import ADAPTIVE, CONTENT_27, CONTENT_31, SceneCutter  # noqa: E402

TOLERANCE_S = 0.08
RESULTS = ROOT / "benchmarks" / "results" / "scenes.json"
PRESETS = {"content27": CONTENT_27, "content31": CONTENT_31, "adaptive": ADAPTIVE}
TAPES = ("tape.mp4", "tape2.mp4")


def videos_folder() -> Path:
    """Where the footage lies; it may be absent."""
    return Path(os.environ.get("REELSEEK_VIDEOS") or ROOT.parent / "shared" / "videos")


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


@dataclass
class Run:
    """One preset, one way of feeding it, over all files."""

    cuts: dict[str, list[float]] = field(default_factory=dict)
    wall_s: float = 0.0


def ours(path: Path) -> dict[str, list[float]]:
    """Cut times of every preset, from one pass."""
    with open_film(path) as film:
        cutters = {name: SceneCutter(kind, film.info.frame_rate) for name, kind in PRESETS.items()}
        cuts: dict[str, list[float]] = {name: [] for name in PRESETS}
        for frame in film.frames():
            thumbnail = frame.thumbnail_bgr()
            for name, cutter in cutters.items():
                cuts[name] += cutter.push(frame.time_s, thumbnail)
        for name, cutter in cutters.items():
            cuts[name] += cutter.finish()
    return cuts


def stock(path: Path) -> dict[str, list[float]]:
    """Cut times of every preset, by PySceneDetect's own decoding and scaling.

    Its PyAV backend is used, for the same FFmpeg; its times count from the first frame.
    """
    manager = SceneManager()
    detectors = {
        "content27": ContentDetector(threshold=27.0),
        "content31": ContentDetector(threshold=31.0, min_scene_len=0.6),
        "adaptive": AdaptiveDetector(3.5, window_width=3, min_scene_len=0.6),
    }
    video = open_video(str(path), backend="pyav")
    cuts: dict[str, list[float]] = {}
    first_s = first_frame_s(path)
    manager = SceneManager()
    for detector in detectors.values():
        manager.add_detector(detector)
    # One manager merges the cuts of its detectors, so they are caught on their way to it.
    for name, detector in detectors.items():
        cuts[name] = []
        detector.process_frame = caught(detector.process_frame, cuts[name], first_s)
    manager.detect_scenes(video)
    return cuts


def caught(process, into: list[float], first_s: float):  # type: ignore[no-untyped-def]
    """A detector's own method, noting what it returns."""

    def process_frame(timecode, frame_img):  # type: ignore[no-untyped-def]
        found = process(timecode, frame_img)
        into.extend(cut.seconds + first_s for cut in found)
        return found

    return process_frame


def first_frame_s(path: Path) -> float:
    with open_film(path) as film:
        return next(iter(film.frames())).time_s


def truths(folder: Path) -> Iterator[tuple[str, list[float], list[list[float]]]]:
    """(file, hard cuts, soft changes) of every judged file."""
    known = json.loads((folder / "cuts.json").read_text())
    left_out = set(known["clips_not_judged"])
    entries = {name: known[name] for name in TAPES} | known["clips"]
    for name, entry in entries.items():
        if name not in left_out:
            yield name, entry["hard"], entry["soft"]


def group_of(name: str) -> str:
    return name if name in TAPES else "clips"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave PySceneDetect's own way out")
    options = parser.parse_args()
    folder = videos_folder()
    if not (folder / "cuts.json").exists():
        parser.exit(2, f"{folder} holds no cuts.json: set REELSEEK_VIDEOS to the footage.\n")
    ways = {"ours": ours} if options.quick else {"ours": ours, "stock": stock}
    scores: dict[str, dict[str, dict[str, Score]]] = {}
    wall_s = dict.fromkeys(ways, 0.0)
    differing: list[dict[str, object]] = []
    for name, hard_s, soft_s in truths(folder):
        cuts = {}
        for way, detect in ways.items():
            began = time.perf_counter()
            cuts[way] = detect(folder / name)
            wall_s[way] += time.perf_counter() - began
            for preset, found in cuts[way].items():
                groups = scores.setdefault(way, {}).setdefault(preset, {})
                for group in (group_of(name), "all"):
                    groups.setdefault(group, Score()).add(score(found, hard_s, soft_s))
        if "stock" in cuts:
            differing += differences(name, cuts["ours"], cuts["stock"])
    report(scores, wall_s, differing)


def differences(
    name: str, mine: dict[str, list[float]], theirs: dict[str, list[float]]
) -> list[dict[str, object]]:
    """Cuts that only one way found, a row for each preset that has any."""
    rows: list[dict[str, object]] = []
    for preset in PRESETS:
        apart = score(mine[preset], theirs[preset], [])
        if apart.false or apart.missed:
            rows.append(
                {
                    "file": name,
                    "preset": preset,
                    "only_ours": apart.false,
                    "only_stock": apart.missed,
                    "both": apart.right,
                }
            )
    return rows


def report(
    scores: dict[str, dict[str, dict[str, Score]]],
    wall_s: dict[str, float],
    differing: list[dict[str, object]],
) -> None:
    print(f"{'way':6} {'preset':10} {'files':10} precision recall   F1    right false missed")
    for way, presets in scores.items():
        for preset, groups in presets.items():
            for group, total in groups.items():
                print(
                    f"{way:6} {preset:10} {group:10} {total.precision:8.3f} {total.recall:7.3f} "
                    f"{total.f1:7.3f} {total.right:5} {total.false:5} {total.missed:5}"
                )
    for row in differing:
        print("differs:", row)
    print("wall time of all files:", {way: round(value, 1) for way, value in wall_s.items()})
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(
        json.dumps(
            {
                "tolerance_s": TOLERANCE_S,
                "av": av.__version__,
                "wall_s": {way: round(value, 2) for way, value in wall_s.items()},
                "scores": {
                    way: {
                        preset: {group: total.as_json() for group, total in groups.items()}
                        for preset, groups in presets.items()
                    }
                    for way, presets in scores.items()
                },
                "differing": differing,
            },
            indent=1,
        )
        + "\n"
    )
    print(f"written: {RESULTS.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
