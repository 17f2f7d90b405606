"""The audio questions of the measuring set, answered by the sound tower alone.

`index add` takes no files without pictures, so that most audio questions, which are true in such
files only, cannot be found by a search. Here every file with a sound track, clip or not, is ranked
by the 2 s window of it that sounds most like the question.
"""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.archives import Footage
from benchmarks.measures.bootstrap import Figure, mean
from benchmarks.sound_set import wave_of, windows
from indexer.encoders.choice import sound_encoder
from search.sound_text import SoundText
from search.text.base import TextEncoder
from storage.bundles import SoundBundle

RECALL_AT = (1, 5, 10)


def figures(
    footage: Footage, bundle: SoundBundle, words: SoundText, text: TextEncoder
) -> dict[str, Figure]:
    """R@k over all files with a sound track; arguable files are passed over."""
    encoder = sound_encoder(bundle)
    encoder.load()
    audio = footage.folder / "audio"
    paths = [*footage.clips, *(sorted(audio.iterdir()) if audio.is_dir() else [])]
    heard: dict[str, NDArray[np.float32]] = {}
    for path in paths:
        try:
            with path.open("rb") as file:
                wave = wave_of(file)
        except av.FFmpegError:
            continue  # whoever indexes the clips names those that cannot be read
        if wave.any():
            heard[path.relative_to(footage.folder).as_posix()] = encoder.encode(windows(wave))[0]
    places = []
    for question in footage.questions:
        if question.kind != "audio" or heard.keys().isdisjoint(question.videos):
            continue
        vector = words.encode(text.encode(question.text))
        best = {file: float((vectors @ vector).max()) for file, vectors in heard.items()}
        ranked = sorted(best, key=lambda file: (-best[file], file))
        counted = [
            file for file in ranked if file in question.videos or file not in question.maybe_videos
        ]
        right = [place for place, file in enumerate(counted, 1) if file in question.videos]
        places.append(right[0])
    ranks = np.array(places, np.float64)
    return {f"R@{k}": mean(ranks <= k) for k in RECALL_AT} if places else {}
