"""What a user gets from a film file: its facts, its frames at the right times, or a sentence."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import awkward_films
import films
import numpy as np
import pytest
from films import MadeFilm, measuring_set
from hypothesis import given
from hypothesis import strategies as st

from indexer.clock import PresentationClock, StampChooser
from indexer.media import MediaInfo, open_film

Maker = Callable[[Path], MadeFilm]


def times_of(path: Path) -> list[float]:
    with open_film(path) as film:
        return [frame.time_s for frame in film.frames()]


def info_of(path: Path) -> MediaInfo:
    with open_film(path) as film:
        return film.info


# Times


@pytest.mark.parametrize(
    "make",
    [
        films.shots,
        films.variable_rate,
        films.delayed,
        lambda folder: films.delayed(folder, name="delayed.mkv"),
        films.transport_stream,
        awkward_films.edited,
        films.one_frame,
        awkward_films.size_changes,
        lambda folder: films.shots(folder, (1.0,), name="bframes.avi", codec="mpeg4"),
        lambda folder: films.shots(folder, (1.0,), name="no-stamps.h264"),
        lambda folder: films.shots(folder, (1.0,), Fraction(30000, 1001), name="ntsc.mov"),
    ],
    ids=[
        "even rate",
        "variable rate",
        "late start in MP4",
        "late start in Matroska",
        "transport stream",
        "edit list",
        "one frame",
        "glued streams of two sizes",
        "AVI",
        "no timestamps at all",
        "29.97",
    ],
)
def test_frames_come_at_their_own_times(make: Maker, tmp_path: Path) -> None:
    made = make(tmp_path)
    with open_film(made.path) as film:
        times = [frame.time_s for frame in film.frames()]
        end_s = film.end_s
    assert times == pytest.approx(made.times_s, abs=1e-3)
    if made.end_s:
        assert end_s == pytest.approx(made.end_s, abs=1e-3)


def test_end_is_where_the_last_frame_handed_out_ends(tmp_path: Path) -> None:
    with open_film(films.shots(tmp_path, (1.0,)).path) as film:
        assert film.end_s == 0.0
        frames = film.frames()
        next(frames)
        assert film.end_s == pytest.approx(0.04)


def test_a_film_is_read_once(tmp_path: Path) -> None:
    with open_film(films.one_frame(tmp_path).path) as film:
        list(film.frames())
        with pytest.raises(RuntimeError, match="open it again"):
            next(film.frames())


@given(st.lists(st.one_of(st.none(), st.floats(-1e4, 1e6)), max_size=60), st.booleans())
def test_time_never_stands_still_or_runs_back(stamps: list[float | None], jumps: bool) -> None:
    clock = PresentationClock(25.0, zero_s=0.0, may_jump=jumps)
    times = [clock.time(stamp, 0.04) for stamp in stamps]
    assert all(later > earlier for earlier, later in pairwise(times))
    assert not times or times[0] >= 0.0


def test_a_broken_broadcast_clock_is_mended() -> None:
    clock = PresentationClock(25.0, zero_s=1000.0, may_jump=True)
    times = [clock.time(stamp, 0.04) for stamp in (1000.0, 1000.04, 5.0, 5.04)]
    assert times == pytest.approx([0.0, 0.04, 0.08, 0.12])
    assert clock.jumps == 1


def test_stamps_in_the_wrong_order_give_way_to_decoding_order() -> None:
    """The pattern of AVI files with packed B-frames (clip s077 of the measuring set)."""
    chooser = StampChooser()
    pairs = [(1, 1), (2, 2), (4, 3), (3, 4), (5, 5), (7, 6), (6, 7), (8, 8)]
    assert [chooser.choose(*pair) for pair in pairs][3:] == [4, 5, 6, 7, 8]


# Facts


def test_what_probing_tells(tmp_path: Path) -> None:
    made = films.shots(tmp_path, (1.0,), rate=Fraction(24), wave=films.tone(1.0))
    info = info_of(made.path)
    assert (info.path, info.codec, info.pixel_format) == (made.path, "h264", "yuv420p")
    assert (info.width, info.height, info.sample_aspect) == (160, 96, 1)
    assert info.frame_rate == 24
    assert info.duration_s == pytest.approx(1.0, abs=0.05)
    assert info.has_audio and not info.interlaced
    assert info.rotation == 0 and info.start_timecode is None and info.notes == ()


def test_narrow_pixels_are_recorded(tmp_path: Path) -> None:
    def widescreen(stream: object) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(16, 11)  # type: ignore[attr-defined]

    path = films.write(tmp_path / "pal.mp4", [films.plain((9, 9, 9))], adjust=widescreen)
    assert info_of(path).sample_aspect == Fraction(16, 11)


@pytest.mark.parametrize(
    ("name", "timecode", "rate"),
    [
        ("tape.mov", "10:00:00;00", Fraction(30000, 1001)),
        ("tape.mov", "09:59:30:12", Fraction(25)),
        ("tape.mxf", "01:00:00:00", Fraction(25)),
    ],
)
def test_start_timecode(name: str, timecode: str, rate: Fraction, tmp_path: Path) -> None:
    made = films.with_timecode(tmp_path, timecode, rate, name)
    assert info_of(made.path).start_timecode == timecode


# Real footage


@pytest.mark.footage
@pytest.mark.parametrize(
    ("name", "frames", "start_s", "end_s"),
    [
        ("s027.mpg", 249, 0.011, 9.97),  # interlaced; the sound starts first
        ("s028.webm", 240, 0.007, 8.0),
        ("s038.ts", 240, 0.064, 8.06),  # the sound starts first
        ("s077.avi", 164, 0.04, 6.6),  # packed B-frames
        ("s091.mp4", 160, 0.0, 10.01),  # variable frame rate
        ("s112.mov", 300, 0.0, 10.0),  # stored turned
    ],
)
def test_containers_met_in_the_wild(name: str, frames: int, start_s: float, end_s: float) -> None:
    with open_film(measuring_set() / "clips" / name) as film:
        times = [frame.time_s for frame in film.frames()]
        assert film.unreadable_packets == 0
        assert film.end_s == pytest.approx(end_s, abs=0.04)
    assert len(times) == frames
    assert times[0] == pytest.approx(start_s, abs=0.002)
    assert all(np.diff(times) > 0)
