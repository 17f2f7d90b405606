"""How many cuts indexing finds (rule: `benchmarks.scenes`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks.contenders import Skipped
from benchmarks.scenes import Score, score, truths
from storage.view import Snapshot


def cuts_found(snapshots: Iterable[Snapshot], folder: Path, name_of: Callable[[str], str]) -> Score:
    """Precision and recall of the scene borders of all judged films that are indexed.

    Raises:
        Skipped: nobody has judged the cuts of this footage.
    """
    if not (folder / "cuts.json").exists():
        raise Skipped("There is no cuts.json in the footage.")
    found: dict[str, Sequence[float]] = {}
    for snapshot in snapshots:
        for row, video in snapshot.live_videos():
            scenes = snapshot.scene_table[snapshot.video_rows[row].scenes]
            found[name_of(video.path)] = scenes["start_s"][1:].tolist()
    total = Score()
    for file, hard_s, soft_s in truths(folder):
        if file in found:
            total.add(score(found[file], hard_s, soft_s))
    return total
