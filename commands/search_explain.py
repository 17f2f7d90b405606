"""`search --explain`: under each row, which stage put it where."""

from __future__ import annotations

from collections.abc import Mapping

from commands.search_table import percent, threshold, times
from commands.text import counted, shown_path
from search.answer import Answer, Row
from search.footage import Background
from search.hits import Hit, VideoHit

SHORTLIST = ("segment_rank", "clip_similarity", "scene_similarity")
"""Stages of the shortlist; what is neither here nor in `SOUND` comes from the head."""

SOUND = ("heard", "sound_asked", "picture")
"""Stages of the fusion of picture and sound."""

_LABELS = {
    "archive_peak": "peak against the archive",
    "bank_peak": "peak against other photos",
    "exists": "existence",
    "network": "the network's own odds",
    "picture": "by its picture alone",
    "sound_asked": "asked for as a sound",
}
"""What a stage is called here where its own name does not say it."""

_NOT_NEAREST = -1.0
"""What the shortlist says of clips or scenes none of which was among the nearest."""


def moment_lines(row: Row, answer: Answer, head_id: str) -> list[str]:
    """What each stage found of a row, and which hits it stands for."""
    hit, least = row.group.hit, answer.min_confidence
    lines = [
        _shortlist(hit.stages, answer),
        *_head(hit, head_id, least),
        *_sound(hit.stages),
        f"ranking: place {hit.rank} of {counted(answer.moments, 'moment')}, by its score "
        f"{hit.score:.3f}{_verdict(row, least)}",
    ]
    if row.group.place.in_scene:
        others = ", ".join(_other(other, least) for other in row.group.place.in_scene)
        lines.append(f"in this scene: {others}")
    for copy in row.group.copies:
        more = len(copy.place.in_scene)
        lines.append(
            f"copy: {shown_path(copy.place.hit.video.path)} {_other(copy.place.hit, least)}, clips "
            f"{copy.similarity:.3f} alike{f', +{more} in its scene' if more else ''}"
        )
    return [f"      {line}" for line in lines]


def video_lines(hit: VideoHit) -> list[str]:
    """What made the score of a whole video."""
    lines = [
        f"scenes: mean similarity {hit.seen:.3f} over {counted(hit.scenes, 'scene')}, the best "
        f"is scene {hit.best_scene} with {hit.best_scene_score:.3f}"
    ]
    if hit.heard:
        lines.append(f"sound: heard {hit.heard:.3f}, which lifted the score to {hit.score:.3f}")
    return [f"      {line}" for line in lines]


def _shortlist(stages: Mapping[str, float], answer: Answer) -> str:
    if "segment_rank" not in stages:
        return "shortlist: not found by its pictures"
    parts = [f"segment {stages['segment_rank']:.0f} of {answer.segments}"]
    for what in ("clip", "scene"):
        similarity = stages[f"{what}_similarity"]
        if similarity > _NOT_NEAREST:
            parts.append(f"its best {what} {similarity:.3f}")
    best = max(stages["clip_similarity"], stages["scene_similarity"])
    return f"shortlist: {', '.join(parts)}{_against(best, answer.background)}"


def _against(similarity: float, background: Background) -> str:
    """Similarities mean little by themselves: how far chance gets in this archive says more."""
    mean, deviation = background.mean, background.deviation
    chance = f"; chance here is {mean:.3f}"
    if deviation <= 0:
        return chance
    away = (similarity - mean) / deviation
    where = "above" if away >= 0 else "below"
    return f"{chance} ± {deviation:.3f}, so {abs(away):.1f} deviations {where}"


def _head(hit: Hit, head_id: str, least: float | None) -> list[str]:
    figures = {name: value for name, value in hit.stages.items() if name not in SHORTLIST + SOUND}
    if not figures and hit.probability is None:
        return []
    sure = (
        "gives no calibrated probability"
        if hit.probability is None
        else f"{percent(hit.probability, least)} sure"
    )
    return [f"head {head_id}: {', '.join([sure, *_figures(figures)])}"]


def _sound(stages: Mapping[str, float]) -> list[str]:
    figures = {name: value for name, value in stages.items() if name in SOUND}
    return [f"sound: {', '.join(_figures(figures))}"] if figures else []


def _figures(stages: Mapping[str, float]) -> list[str]:
    return [
        f"{_LABELS.get(name, name.replace('_', ' '))} {value:.3f}" for name, value in stages.items()
    ]


def _verdict(row: Row, least: float | None) -> str:
    if least is None or row.match is None:
        return ""
    side = "at least" if row.match else "less than"
    return f"; {side} the {threshold(least)} that a match takes"


def _other(hit: Hit, least: float | None) -> str:
    sure = f"{hit.score:.3f}" if hit.probability is None else percent(hit.probability, least)
    return f"{times(hit)} ({sure})"
