"""A film of known shots becomes the clips, scenes and vectors that one can work out by hand."""

from __future__ import annotations

from pathlib import Path

import films
import numpy as np
import pytest
from fakes import ColourEncoder, unit
from films import MadeFilm
from numpy.typing import NDArray

from indexer.media import open_film
from indexer.pipeline import Fixity, IndexSettings, index_film
from indexer.scenes import DEFAULT
from storage.records import IndexedVideo, Location

FIXITY = Fixity(Location("/films/x.mp4", 1, 1), "ab" * 32)


def indexed(film: MadeFilm, progress: list[float] | None = None) -> IndexedVideo:
    with open_film(film.path) as opened:
        return index_film(
            opened,
            FIXITY,
            ColourEncoder(),
            IndexSettings(DEFAULT),
            (progress if progress is not None else []).append,
        )


def of_colour(rgb: tuple[int, int, int]) -> NDArray[np.float32]:
    return unit(np.array([*rgb, 0.05 * 255], dtype=np.float32))


def test_scenes_lie_between_the_known_cuts_and_look_like_their_shots(tmp_path: Path) -> None:
    film = films.shots(tmp_path, lengths_s=(3.0, 5.0, 4.0))
    video = indexed(film)
    borders_s = [0.0, *film.cuts_s, film.end_s]
    assert [scene.start_s for scene in video.scenes] == pytest.approx(borders_s[:-1])
    assert [scene.end_s for scene in video.scenes] == pytest.approx(borders_s[1:])
    assert [scene.number for scene in video.scenes] == [1, 2, 3]
    for vector, colour in zip(video.scene_vectors, films.COLOURS, strict=False):
        assert float(vector @ of_colour(colour)) > 0.99


def test_each_clip_looks_like_the_shot_at_its_centre(tmp_path: Path) -> None:
    video = indexed(films.shots(tmp_path, lengths_s=(2.8, 5.0, 4.2)))
    shots = [0, 1, 1, 1, 2, 2]  # centres 1, 3, 5, 7, 9, 11 s
    assert video.clip_times_s[:, 0].tolist() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    for vector, shot in zip(video.clip_vectors, shots, strict=True):
        assert float(vector @ of_colour(films.COLOURS[shot])) > 0.99


def test_a_scene_between_two_clip_centres_has_a_vector_of_its_own(tmp_path: Path) -> None:
    video = indexed(films.shots(tmp_path, lengths_s=(1.6, 1.0, 1.4)))
    assert len(video.clip_vectors) == 2
    assert len(video.scenes) == 3
    assert float(video.scene_vectors[1] @ of_colour(films.COLOURS[1])) > 0.99


def test_a_film_without_a_cut_is_one_scene(tmp_path: Path) -> None:
    video = indexed(films.shots(tmp_path, lengths_s=(5.0,)))
    assert [(scene.start_s, scene.end_s) for scene in video.scenes] == [(0.0, 5.0)]
    assert len(video.segments) == 1


def test_one_frame_is_a_clip_a_scene_and_a_segment(tmp_path: Path) -> None:
    video = indexed(films.one_frame(tmp_path))
    assert video.clip_times_s.tolist() == [[0.0, pytest.approx(0.04)]]
    assert len(video.scenes) == len(video.segments) == 1


def test_a_film_that_starts_late_keeps_its_own_times(tmp_path: Path) -> None:
    video = indexed(films.delayed(tmp_path, delay_s=2.0))
    assert video.video.start_s == pytest.approx(2.0)
    assert video.clip_times_s.tolist() == [[pytest.approx(2.0), pytest.approx(4.0)]]


def test_cuts_of_a_variable_frame_rate_lie_at_their_own_time(tmp_path: Path) -> None:
    film = films.variable_rate(tmp_path)
    assert [scene.start_s for scene in indexed(film).scenes] == pytest.approx(
        [film.times_s[0], *film.cuts_s]
    )


def test_ten_minutes_overlap_in_segments_and_report_progress(tmp_path: Path) -> None:
    film = films.long_film(tmp_path)
    progress: list[float] = []
    video = indexed(film, progress)
    assert len(video.clip_vectors) == 300
    assert [segment.first_clip for segment in video.segments] == [0, 60, 120, 180, 225]
    assert progress == sorted(progress)
    assert len(progress) > 100 and progress[-1] == pytest.approx(film.end_s)


def test_unreadable_packets_are_counted_and_the_rest_is_indexed(tmp_path: Path) -> None:
    film = films.damaged(films.shots(tmp_path, lengths_s=(4.0, 4.0)), packets=[60, 61, 62])
    video = indexed(film)
    assert len(video.clip_vectors) == 4
    assert video.video.unreadable_packets > 0
    assert any("unreadable" in note for note in video.video.notes)


@pytest.mark.parametrize("length_s", [4.0, 60.0], ids=["in its last batch", "amid the film"])
def test_an_encoder_that_fails_ends_the_film_with_its_own_error(
    tmp_path: Path, length_s: float
) -> None:
    class Broken(ColourEncoder):
        def encode(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
            raise MemoryError("no room for pictures")

    film = films.long_film(tmp_path, length_s, shot_s=2.0)
    with open_film(film.path) as opened, pytest.raises(MemoryError, match="no room"):
        index_film(opened, FIXITY, Broken(), IndexSettings(DEFAULT), lambda _position_s: None)
