"""A tape's own time: what editors' tables say, and that nothing is lost on the way."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.timecode import Timecode

NTSC = Fraction(30000, 1001)
NTSC_60 = Fraction(60000, 1001)
FILM = Fraction(24000, 1001)
PAL = Fraction(25)


@pytest.mark.parametrize(
    ("text", "rate", "frames"),
    [
        ("00:00:00:00", PAL, 0),
        ("01:00:00:00", PAL, 90_000),
        ("10:00:00:00", FILM, 864_000),
        ("00:00:59;29", NTSC, 1799),
        ("00:01:00;02", NTSC, 1800),  # 00:01:00;00 and ;01 do not exist
        ("00:10:00;00", NTSC, 17_982),
        ("01:00:00;00", NTSC, 107_892),
        ("01:00:00:00", NTSC, 108_000),
        ("00:01:00;04", NTSC_60, 3600),
        ("01:00:00;00", NTSC_60, 215_784),
        ("23:59:59;29", NTSC, 2_589_407),
    ],
)
def test_known_frame_counts(text: str, rate: Fraction, frames: int) -> None:
    timecode = Timecode.parse(text, rate)
    assert timecode.frames == frames
    assert str(timecode) == text


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("00:01:00;00", NTSC),
        ("00:00:00:25", PAL),
        ("00:00:00;00", PAL),
        ("00:60:00:00", PAL),
        ("noon", PAL),
        ("", PAL),
        ("00:00:00:00", Fraction(0)),
    ],
)
def test_what_is_no_timecode_is_refused(text: str, rate: Fraction) -> None:
    with pytest.raises(ValueError, match=r"timecode|exist|drop-frame"):
        Timecode.parse(text, rate)


@given(
    frames=st.integers(0, 24 * 3600 * 30 - 2 * 9 * 6 * 24 - 1),
    kind=st.sampled_from(
        [(NTSC, True), (NTSC, False), (NTSC_60, True), (PAL, False), (FILM, False)]
    ),
)
def test_text_and_frames_say_the_same(frames: int, kind: tuple[Fraction, bool]) -> None:
    rate, drop = kind
    frames %= 24 * 3600 * 24
    timecode = Timecode(frames, round(rate), drop)
    assert Timecode.parse(str(timecode), rate) == timecode


@given(st.integers(0, 2_589_406))
def test_drop_frame_keeps_step_with_the_clock(frames: int) -> None:
    """After any number of frames the reading is within two and a bit frames of real time."""
    text = str(Timecode(frames, 30, drop_frame=True))
    hours, minutes, seconds, frame = (int(part) for part in text.replace(";", ":").split(":"))
    shown_s = 3600 * hours + 60 * minutes + seconds + frame / 30
    true_s = float(frames / NTSC)
    assert abs(shown_s - true_s) < 0.08 + 3.6e-6 * true_s


def test_a_moment_of_the_film_on_the_tape() -> None:
    start = Timecode.parse("10:00:00;00", NTSC)
    assert str(start.after(60.06, NTSC)) == "10:01:00;02"
    assert str(start.after(0.0, NTSC)) == "10:00:00;00"
    assert str(Timecode.parse("09:59:59:24", PAL).after(0.04, PAL)) == "10:00:00:00"
