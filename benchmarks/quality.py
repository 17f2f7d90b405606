"""How often the right video, and the right moment, comes first; how many cuts are found.

    python -m benchmarks.quality

Reads the measuring set of $REELSEEK_VIDEOS; nothing is ever trained or tuned on it. Scoring:

- videos: all clips are indexed into one archive. A query is right at k when one of its videos is
  among the first k, videos ranked by their best moment.
- moments: each tape is indexed into an archive of its own. R1@t: the first hit has IoU >= t with
  a true window; mIoU: mean of the first hit's best IoU.
- hits in a `maybe` file or window are passed over, neither right nor wrong.
- absent: the highest score of queries that are true nowhere, against that of the others, as the
  area under the ROC curve (0.5 = tells nothing).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.footage import TAPES, Question, Window, footage_folder, read_questions
from benchmarks.scenes import Score, score, truths
from indexer.encoders.lite import LiteImageEncoder
from indexer.intake import Intake, Outcome
from indexer.pipeline import IndexSettings
from indexer.scenes import DEFAULT
from search.moments.watershed import Watershed
from search.searcher import Hit, Searcher
from search.text.lite import LiteTextEncoder
from storage.archive import Archive
from storage.bundles import DEFAULT_ENCODER, load_encoder

RESULTS = Path(__file__).parent / "results" / "quality.json"
RECALL_AT = (1, 5, 10)
IOU_AT = (0.3, 0.5, 0.7)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS)
    out = parser.parse_args().out
    folder = footage_folder()
    questions = read_questions(folder)
    with tempfile.TemporaryDirectory() as scratch:
        clips = index(sorted((folder / "clips").iterdir()), Path(scratch, "clips"))
        tapes = {tape: index([folder / f"{tape}.mp4"], Path(scratch, tape)) for tape in TAPES}
        results = {
            "encoder": load_encoder(DEFAULT_ENCODER).stamp.encoder_id,
            "head": Watershed.head_id,
            "videos": by_group(questions, partial(video_recall, clips, folder)),
            "moments": {
                tape: by_group(questions, partial(moments, searcher, tape))
                for tape, searcher in tapes.items()
            },
            "absent_auc": absence(clips, questions),
            "cuts": cuts_found([clips, *tapes.values()], folder).as_json(),
        }
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    show(results)


def index(files: Sequence[Path], db: Path) -> Searcher:
    """A searcher over a new archive of the given files, all of which must be indexed."""
    bundle = load_encoder(DEFAULT_ENCODER)
    archive = Archive.create_or_open(db, bundle.stamp)
    intake = Intake(
        archive,
        LiteImageEncoder(bundle),
        IndexSettings(DEFAULT),
        lambda _path, _duration_s: nullcontext(lambda _position_s: None),
    )
    for handled in intake.add(files):
        if handled.outcome is Outcome.FAILED:
            raise SystemExit(f"{handled.path}: {handled.error}")
    return Searcher(archive.snapshot(), LiteTextEncoder(bundle), Watershed())


def by_group(
    questions: Sequence[Question], measure: Callable[[Sequence[Question]], dict[str, float]]
) -> dict[str, dict[str, float]]:
    """The figures of all core questions, then of each kind, style and language."""
    groups: dict[str, list[Question]] = {"core": [q for q in questions if q.is_core]}
    for question in questions:
        for group in (f"kind {question.kind}", f"style {question.style}", f"lang {question.lang}"):
            groups.setdefault(group, []).append(question)
    figures = {name: measure(group) for name, group in groups.items()}
    return {name: figure for name, figure in figures.items() if figure["queries"]}


def video_recall(
    searcher: Searcher, folder: Path, questions: Iterable[Question]
) -> dict[str, float]:
    """Per cent of queries with a right video among the first k."""
    places = []
    for question in questions:
        if not question.videos:
            continue
        ranked: list[str] = []
        for hit in searcher.moments(question.text, top=1000):
            file = Path(hit.video.path).relative_to(folder.absolute()).as_posix()
            if file not in ranked and file not in question.maybe_videos:
                ranked.append(file)
        right = [place for place, file in enumerate(ranked) if file in question.videos]
        places.append(right[0] if right else len(ranked))
    return {
        "queries": len(places),
        **{f"R@{k}": _per_cent([place < k for place in places]) for k in RECALL_AT},
    }


def moments(searcher: Searcher, tape: str, questions: Iterable[Question]) -> dict[str, float]:
    """R1 at several IoU, and mean IoU, of the first hit in a tape, in per cent."""
    ious = []
    for question in questions:
        if not question.windows[tape]:
            continue
        hits = searcher.moments(question.text, top=10)
        first = next((h for h in hits if not _arguable(h, question, tape)), None)
        ious.append(best_iou(first, question.windows[tape]) if first else 0.0)
    return {
        "queries": len(ious),
        **{f"R1@{at}": _per_cent([iou >= at for iou in ious]) for at in IOU_AT},
        "mIoU": _per_cent(ious),
    }


def absence(searcher: Searcher, questions: Iterable[Question]) -> float:
    """Chance that a query that is answered scores higher than one that is not."""
    scores: dict[bool, list[float]] = {True: [], False: []}
    for question in questions:
        if question.lang == "en" and (question.is_core or question.kind == "absent"):
            (best,) = searcher.moments(question.text, top=1)
            scores[question.kind == "absent"].append(best.score)
    absent, present = np.array(scores[True]), np.array(scores[False])
    return round(float((present[:, np.newaxis] > absent).mean()), 3)


def cuts_found(searchers: Iterable[Searcher], folder: Path) -> Score:
    """Precision and recall of the scene borders that were indexed (rule: benchmarks/scenes.py)."""
    found: dict[str, list[float]] = {}
    for snapshot in (searcher.snapshot for searcher in searchers):
        for row, video in snapshot.live_videos():
            scenes = snapshot.scene_table[snapshot.video_rows[row].scenes]
            file = Path(video.path).relative_to(folder.absolute()).as_posix()
            found[file] = scenes["start_s"][1:].tolist()
    total = Score()
    for file, hard_s, soft_s in truths(folder):
        total.add(score(found[file], hard_s, soft_s))
    return total


def best_iou(hit: Hit, windows: Iterable[Window]) -> float:
    """The highest IoU of a hit with one of the windows."""
    return max(_iou((hit.start_s, hit.end_s), window) for window in windows)


def _arguable(hit: Hit, question: Question, tape: str) -> bool:
    """Whether a hit lies rather in a `maybe` window than in a true one."""
    maybe = question.maybe_windows[tape]
    return bool(maybe) and best_iou(hit, maybe) > best_iou(hit, question.windows[tape])


def _iou(a: Window, b: Window) -> float:
    shared_s = min(a[1], b[1]) - max(a[0], b[0])
    return max(0.0, shared_s) / (max(a[1], b[1]) - min(a[0], b[0]))


def _per_cent(values: Sequence[float]) -> float:
    return round(100 * float(np.mean(values)), 1) if values else 0.0


def show(results: dict[str, Any]) -> None:
    """Print the figures as tables."""
    tables = {"right video": results["videos"]}
    tables |= {f"moments in {tape}": figures for tape, figures in results["moments"].items()}
    for title, groups in tables.items():
        columns = list(groups["core"])
        print(f"\n{title:24}" + "".join(f"{column:>9}" for column in columns))
        for name, figures in groups.items():
            print(f"{name:24}" + "".join(f"{figures[column]:9}" for column in columns))
    print(f"\nabsent told from present, AUC: {results['absent_auc']}")
    print("cuts:", json.dumps(results["cuts"]))


if __name__ == "__main__":
    main()
