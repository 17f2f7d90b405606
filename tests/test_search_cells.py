"""What stands in a cell of the listing, and what reaches a terminal of it."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from commands.search_table import percent, short_times, threshold
from commands.sparkline import ASCII, BLOCKS, COLUMNS, shortened, sparklines
from commands.terminal import say, shows, width
from commands.text import table


def test_short_times_hold_the_whole_moment() -> None:
    (row,) = [SimpleNamespace(start_s=59.9, end_s=61.2)]
    assert short_times(row) == "00:00:59–00:01:02"  # type: ignore[arg-type]


def test_names_of_wide_characters_keep_the_columns_straight() -> None:
    lines = table(("file", "scene"), [("映画.mp4", "1"), ("cafe\u0301.mp4", "2")])
    assert lines.split("\n") == ["file      scene", "映画.mp4  1", "cafe\u0301.mp4  2"]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_only_a_terminal_has_a_width_and_a_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "71")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    assert width() is None and shows(BLOCKS)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    assert not shows(BLOCKS)
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    assert width() == 71 and shows(BLOCKS)
    monkeypatch.setenv("TERM", "dumb")
    assert not shows(BLOCKS) and shows(ASCII)


def test_output_that_only_knows_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(kept, encoding="ascii"))
    say("00:01–00:02  …/caf\u00e9.mp4  0.1 ± 0.2")
    sys.stdout.flush()
    assert kept.getvalue() == b"00:01-00:02  ~/caf\\xe9.mp4  0.1 +/- 0.2\n"


def test_standard_error_has_an_encoding_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(kept, encoding="ascii"))
    say("2 × 3 …", err=True)
    sys.stderr.flush()
    assert kept.getvalue() == b"2 x 3 ~\n"


def test_percent_never_claims_certainty() -> None:
    assert [percent(p) for p in (None, 0.0, 0.004, 0.123, 0.996, 1.0)] == [
        "-", "<1 %", "<1 %", "12 %", "99 %", "99 %",
    ]  # fmt: skip


@given(st.floats(0, 1), st.floats(0.01, 1))
@example(0.345, 0.35)
@example(0.07, 0.07)
@example(0.9999, 1.0)
@example(0.2453, 0.2454)
@example(0.2449, 0.244868)
def test_percent_is_on_the_side_of_the_threshold_that_it_should_be(
    sure: float, least: float
) -> None:
    shown, wanted = percent(sure, least), float(threshold(least).removesuffix(" %"))
    if shown.startswith("<"):
        assert sure < 0.01 and sure < least
    elif sure < least:
        assert float(shown.removesuffix(" %")) < wanted
    else:
        assert float(shown.removesuffix(" %")) >= min(wanted, 99.9)


def test_a_threshold_is_short() -> None:
    assert [threshold(least) for least in (0.004, 0.07, 0.244868, 0.35, 1.0)] == [
        "0.4 %", "7 %", "24.5 %", "35 %", "100 %",
    ]  # fmt: skip


curves = st.lists(
    st.lists(st.floats(-1e3, 1e3, allow_nan=False), max_size=40).map(tuple), max_size=6
)


@given(curves, st.sampled_from([BLOCKS, ASCII]))
def test_sparklines_share_one_scale(drawn: list[tuple[float, ...]], levels: str) -> None:
    lines = sparklines(drawn, levels)
    assert [len(line) for line in lines] == [min(len(curve), COLUMNS) for curve in drawn]
    points = [
        (value, levels.index(level))
        for curve, line in zip(drawn, lines, strict=True)
        for value, level in zip(shortened(curve), line, strict=True)
    ]
    points.sort()
    assert [level for _, level in points] == sorted(level for _, level in points)
    if points:
        assert points[-1][1] == len(levels) - 1


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=200))
def test_a_shortened_curve_keeps_its_peak(curve: list[float]) -> None:
    assert max(shortened(curve)) == max(curve)
