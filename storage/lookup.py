"""Finding videos by what users call them: a path, a file name, a pattern, or an id."""

from __future__ import annotations

import fnmatch
import os
from pathlib import PurePath

from storage.errors import VideoNotFound
from storage.records import VideoRecord
from storage.view import Snapshot

MIN_ID_DIGITS = 6
"""How much of an id must be given, so that a short word is not taken for one."""


def matching_videos(snapshot: Snapshot, pattern: str) -> list[tuple[int, VideoRecord]]:
    """Row and record of every video whose path, file name or id fits a shell pattern.

    Raises:
        VideoNotFound: there is none.
    """
    found = [(row, video) for row, video in snapshot.live_videos() if matches(video, pattern)]
    if not found:
        raise VideoNotFound(
            f"No video of {snapshot.path} is called {pattern!r}: `reelseek index list` shows "
            "what there is."
        )
    return found


def find_video(snapshot: Snapshot, name: str) -> tuple[int, VideoRecord]:
    """Row and record of the one video that a user means.

    Raises:
        VideoNotFound: there is none, or more than one.
    """
    path = os.path.abspath(name)
    for row, video in snapshot.live_videos():
        if any(place.path == path for place in video.locations):
            return row, video
    found = matching_videos(snapshot, name)
    if len(found) > 1:
        choice = ", ".join(f"{video.video_id[:12]} ({video.path})" for _, video in found[:5])
        raise VideoNotFound(f"{name!r} fits {len(found)} videos: say which by its id: {choice}.")
    return found[0]


def matches(video: VideoRecord, pattern: str) -> bool:
    """Whether one of the video's paths or file names fits the pattern, or its id begins with it."""
    names = [name for place in video.locations for name in (place.path, PurePath(place.path).name)]
    if any(fnmatch.fnmatchcase(name, pattern) for name in names):
        return True
    return len(pattern) >= MIN_ID_DIGITS and video.video_id.startswith(pattern.lower())
