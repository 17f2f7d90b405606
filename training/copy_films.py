"""Films of the same shots, in other encodes and in other takes, for `training.copies`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from indexer.encoders.lite import LiteImageEncoder
from indexer.intake import Intake, Outcome
from indexer.pipeline import IndexSettings
from indexer.scenes import DEFAULT
from search.copies import SAME_LENGTH_S, Footage, aligned, chance_similarity
from search.footage import footage, unit
from search.hits import Hit
from storage.archive import Archive
from storage.view import Snapshot
from training.views import crop_box

SIZE = (320, 240)
SEED = 7


@dataclass(frozen=True)
class Print:
    """How one film is made of the shots."""

    name: str
    fps: int = 25
    bit_rate: int = 2_000_000
    size: tuple[int, int] = SIZE
    brightness: float = 1.0
    closer: float = 1.0
    lean: float = 0.0
    """What is in the middle stands so much further right, as a share of the width."""
    other_lengths: bool = False
    shuffled: bool = True


PRINTS = (
    Print("first", shuffled=False),
    Print("smaller encode", bit_rate=600_000),
    Print("worn print", fps=30, bit_rate=250_000, size=(240, 180), brightness=0.92),
    Print("other takes", lean=0.05, other_lengths=True),
    Print("closer, same lengths", closer=1.3),
)


@dataclass(frozen=True)
class Film:
    """A file, and which photo is on screen until when."""

    name: str
    file: Path
    photos: tuple[int, ...]
    ends_s: NDArray[np.float64]

    def photo_at(self, time_s: float) -> int:
        place = int(np.searchsorted(self.ends_s, time_s))
        return self.photos[min(place, len(self.photos) - 1)]


def compose(photos: Sequence[Image.Image], folder: Path) -> list[Film]:
    """Write a film of each kind of print; every photo is a slow pan of 2.5 to 8 s."""
    random = np.random.default_rng(SEED)
    lengths_s = random.uniform(2.5, 8.0, len(photos)).round(1)
    changes_s = random.uniform(0.3, 1.5, len(photos)) * random.choice([-1, 1], len(photos))
    films = []
    for kind in PRINTS:
        own_s = lengths_s + changes_s if kind.other_lengths else lengths_s
        order = random.permutation(len(photos)) if kind.shuffled else np.arange(len(photos))
        counts = [round(own_s[number] * kind.fps) for number in order.tolist()]
        file = folder / f"{kind.name}.mp4"
        shots = zip(order.tolist(), counts, strict=True)
        _write(file, kind, (frame for n, c in shots for frame in _pan(photos[n], c, kind)))
        films.append(
            Film(kind.name, file, tuple(order.tolist()), np.cumsum(counts) / float(kind.fps))
        )
    return films


def compare(
    films: Sequence[Film], encoder: LiteImageEncoder, db: Path, limits: Sequence[float]
) -> None:
    """Index the films and print, for each two of them, how many shots are taken for copies."""
    snapshot = _indexed(films, encoder, db)
    shots = list(_shots(films, snapshot))
    chance = chance_similarity(unit(snapshot.clip_vectors[:]))
    print(f"{len(shots)} shots of {len(films)} films; two clips have a mean cosine of {chance:.3f}")
    for limit in limits:
        found: Counter[str] = Counter()
        asked: Counter[str] = Counter()
        for (one, photo, shown), (other, other_photo, other_shown) in combinations(shots, 2):
            if one == other:
                continue
            names = f"{one} / {other}" if photo == other_photo else "different photos"
            similarity = aligned(shown, other_shown)
            close = similarity is not None and 1.0 - similarity <= limit * (1.0 - chance)
            same_length = abs(shown.shot_s - other_shown.shot_s) <= SAME_LENGTH_S
            asked[names] += 1
            found[names] += close and same_length
            found[names + ", whatever the length"] += close
        print(f"below {limit:.2f}:")
        for names, count in asked.items():
            without = found[names + ", whatever the length"]
            print(f"  {names:45} {found[names]} of {count}; whatever the length {without}")


def _shots(films: Sequence[Film], snapshot: Snapshot) -> Iterator[tuple[str, int, Footage]]:
    """Film, photo and footage of every scene that was found."""
    by_path = {str(film.file): film for film in films}
    for row, video in snapshot.live_videos():
        film = by_path[video.path]
        for scene in snapshot.scene_table[snapshot.video_rows[row].scenes]:
            start_s, end_s = float(scene["start_s"]), float(scene["end_s"])
            hit = Hit(1, 1.0, video, start_s, end_s, int(scene["number"]), (), {}, video_row=row)
            yield film.name, film.photo_at((start_s + end_s) / 2), footage(snapshot, hit)


def _indexed(films: Sequence[Film], encoder: LiteImageEncoder, db: Path) -> Snapshot:
    archive = Archive.create_or_open(db, encoder.stamp)
    quiet = nullcontext(lambda _position_s: None)
    intake = Intake(archive, encoder, IndexSettings(DEFAULT), lambda _path, _duration_s: quiet)
    for handled in intake.add([film.file for film in films]):
        if handled.outcome is Outcome.FAILED:
            raise SystemExit(f"{handled.path}: {handled.error}")
    return archive.snapshot()


def _pan(photo: Image.Image, frames: int, kind: Print) -> Iterator[NDArray[np.uint8]]:
    for number in range(frames):
        x = 0.3 + 0.4 * number / max(frames - 1, 1)
        box = crop_box(*photo.size, 0.7 / kind.closer**2, 1.0, x, 0.5)
        picture = photo.resize(SIZE, Image.Resampling.BICUBIC, box=box)
        if kind.lean:
            picture.paste(picture.crop((90, 60, 230, 200)), (90 + int(kind.lean * SIZE[0]), 60))
        yield (np.asarray(picture) * kind.brightness).clip(0, 255).astype(np.uint8)


def _write(file: Path, kind: Print, frames: Iterable[NDArray[np.uint8]]) -> None:
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=kind.fps)
        stream.width, stream.height = kind.size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = kind.bit_rate
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(*kind.size)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
