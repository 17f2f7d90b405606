"""From what is heard in each clip to moments: those seen are raised, those only heard are added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from search.footage import Background
from search.fusion import RULE, Rule, Scale, Similarity, by_sound, heard_within, raised, scale_of
from search.hearing import Heard
from search.hearing_runs import RUNS, RunSettings, refined, runs
from search.moments.base import Span
from search.ranking import Candidate
from storage.view import Snapshot


def with_sound(
    snapshot: Snapshot,
    seen: Sequence[Candidate],
    heard: Heard,
    background: Background,
    videos: NDArray[np.bool_] | None,
) -> list[Candidate]:
    """The moments that were seen, raised where the sound is heard, and those only heard.

    Args:
        seen: what the moment head found.
        background: what chance looks like for this sentence.
        videos: mask over video rows, None for all of them.
    """
    scale = scale_of([candidate.span for candidate in seen], background)
    made = []
    for candidate in seen:
        clips = _clips_of(snapshot, candidate.video_row, candidate.span)
        made.append(replace(candidate, span=raised(candidate.span, heard, clips, scale)))
    owner = snapshot.clip_table["video"]
    evidence = heard.evidence
    if videos is not None:
        evidence = np.where(videos[owner], evidence, np.float32(0))
    for video_row, clips in runs(evidence, owner):
        table = snapshot.clip_table[clips]
        scenes = snapshot.scene_table[snapshot.video_rows[video_row].scenes]
        spans = hear_alone(
            evidence[clips],
            heard.asked,
            np.stack([table["start_s"], table["end_s"]], axis=1),
            np.append(scenes["start_s"], scenes["end_s"][-1:]),
            scale,
        )
        made += [Candidate(video_row, span, -1) for span in spans]
    return made


def hear_alone(
    evidence: NDArray[np.float32],
    asked: float,
    times_s: NDArray[np.float64],
    cuts_s: NDArray[np.float64],
    scale: Scale,
    rule: Rule = RULE,
    settings: RunSettings = RUNS,
) -> list[Span]:
    """The moments of one audible run, those too faint to count left out.

    Args:
        evidence: (clips of the run,)
        asked: how far the sentence asks for a sound.
        times_s: (clips of the run, 2)
        cuts_s: where the video's scenes begin and end, ascending.
    """
    spans = []
    for part in refined(evidence, times_s, cuts_s, settings):
        sure = heard_within(evidence[part.clips])
        if rule.sound(sure, asked) > 0.0:
            spans.append(by_sound(part.start_s, part.end_s, sure, asked, scale, rule))
    return spans


def video_score(
    mean: float,
    best: float,
    heard: Heard | None,
    clips: slice,
    background: Background,
    rule: Rule = RULE,
) -> tuple[float, float]:
    """The score of a whole video, and how surely the sound is heard in it.

    Its best scene is raised as a moment is, by the surest clip; the video gains what that scene
    gains, as far as the sound is sure: its score is a mean, in which chance strays less.

    Args:
        mean: similarity of its scenes, the score without sound.
        best: similarity of its best scene.
        heard: in all clips of the archive; None where the sentence asks for no sound.
        clips: rows of the video in the clip table.
    """
    if heard is None:
        return mean, 0.0
    sure = float(heard.evidence[clips].max(initial=0.0))
    sound = rule.sound(sure, heard.asked)
    if sound <= 0.0:
        return mean, 0.0
    scale = Similarity(background)
    gain = scale.score(rule.fused(scale.probability(best), sound)) - best
    return mean + sound * max(gain, 0.0), sure


def _clips_of(snapshot: Snapshot, video_row: int, span: Span) -> slice:
    """Rows of the clips that a span shares time with."""
    clips = snapshot.video_rows[video_row].clips
    table = snapshot.clip_table[clips]
    begin = int(np.searchsorted(table["end_s"], span.start_s, side="right"))
    until = int(np.searchsorted(table["start_s"], span.end_s, side="left"))
    return slice(clips.start + begin, clips.start + until)
