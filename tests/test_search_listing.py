"""The listing as people, terminals and programs get it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from coloured_films import SureHead, film, searcher
from fakes import ColourWords
from hypothesis import given
from hypothesis import strategies as st

import commands.search
from cli import reelseek
from commands.search_table import percent
from commands.sparkline import ASCII, BLOCKS, COLUMNS, shortened, sparklines
from commands.terminal import say, shows, width
from commands.text import table
from search.moments.base import MomentHead
from search.moments.watershed import Watershed
from storage.records import IndexedVideo

Ask = Callable[..., Result]

SHOTS = [("red", 6.0), ("yellow", 5.0), ("green", 8.0), ("blue", 7.0)]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """The command itself, on an archive of coloured films; only the weights are stand-ins."""

    def ask(films: Sequence[IndexedVideo], *words: str, head: MomentHead | None = None) -> Result:
        searcher(tmp_path, films, head or SureHead())
        bundle = SimpleNamespace(languages=("en",), manifest=SimpleNamespace(model_id="colours-1"))
        monkeypatch.setattr(commands.search, "load_stamped_encoder", lambda _: bundle)
        monkeypatch.setattr(commands.search, "text_encoder", lambda _: ColourWords())
        monkeypatch.setattr(
            commands.search, "choose_head", lambda *_: SureHead() if head is None else head
        )
        command = ["search", *words, "--db", str(tmp_path / "dbs")]
        return CliRunner().invoke(reelseek, command, catch_exceptions=False)

    return ask


def object_of(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_the_table_says_how_sure_and_draws_the_curve(ask: Ask) -> None:
    done = ask([film("tape", *SHOTS)], "red", "--all")
    header, first, *others = done.stdout.splitlines()
    assert header.split() == ["rank", "sure", "file", "start–end", "scene", "curve"]
    assert first.split() == [
        "1", "99", "%", "/films/tape.mp4", "00:00:00.000–00:00:06.000", "1", "███",
    ]  # fmt: skip
    assert others[-1].split()[-1] == "▁▁▁▁"
    assert "moments: sure-1." in done.stderr


def test_what_is_not_shown_is_counted(ask: Ask) -> None:
    done = ask([film("tape", *SHOTS)], "red", "--min-confidence", "0.5")
    assert len(done.stdout.splitlines()) == 3
    assert "2 weaker hits not shown (less than 50 % sure): --all shows" in done.stderr


def test_nothing_matches_and_the_nearest_misses_are_marked(ask: Ask) -> None:
    films = [film("tape", *[("blue", 5.0 + number) for number in range(6)])]
    done = ask(films, "red")
    assert done.exit_code == 0
    said, misses, header, *rows = done.stdout.splitlines()
    assert said == 'Nothing in the archive matches "red".'
    assert misses == "The nearest misses, none of them 35 % sure:"
    assert header.startswith("rank  sure") and len(rows) == 3

    answer = object_of(ask(films, "red", "--json"))
    assert answer["matched"] is False and answer["min_confidence"] == 0.35
    assert [hit["match"] for hit in answer["hits"]] == [False] * 3


def test_copies_and_the_same_scene_are_one_row(ask: Ask) -> None:
    films = [film("a", *SHOTS), film("b", *SHOTS), film("c", *SHOTS)]
    films.append(film("d", ("blue", 2), ("red", 9)))
    done = ask(films, "red", "--top", "2", "--min-confidence", "0.9")
    first, second = done.stdout.splitlines()[1:]
    assert first.endswith("+2 copies")
    assert "/films/d.mp4" in second and "cop" not in second

    hits = object_of(ask([], "red", "--top", "2", "--min-confidence", "0.9", "--json"))["hits"]
    assert [Path(copy["path"]).stem for copy in hits[0]["copies"]] == ["b", "c"]
    for copy in hits[0]["copies"]:
        assert (copy["start_s"], copy["end_s"], copy["collapsed"]) == (0.0, 6.0, [])
        assert copy["similarity"] == pytest.approx(1.0, abs=1e-3)
    assert [hit["rank"] for hit in hits] == [1, 2]
    assert [hit["ranked"] for hit in hits] == [1, 4]


class Twice(SureHead):
    """Finds each shot whole, and the first four seconds of it again."""

    def _find(self, segment: Any, query: Any) -> Any:
        whole = super()._find(segment, query)
        parts = [
            span.__class__(span.start_s, span.start_s + 2, span.score / 2, {}, span.score / 2)
            for span in whole
        ]
        return [*whole, *parts]


def test_other_hits_of_a_scene_are_listed_in_its_row(ask: Ask) -> None:
    films = [film("tape", *SHOTS)]
    done = ask(films, "red", "--min-confidence", "0.9", head=Twice())
    (row,) = done.stdout.splitlines()[1:]
    assert row.endswith("+1 in this scene")
    (hit,) = object_of(ask([], "red", "--min-confidence", "0.9", "--json", head=Twice()))["hits"]
    (other,) = hit["collapsed"]
    assert (other["start_s"], other["end_s"], other["scene"]) == (0.0, 2.0, 1)


def test_json_carries_probability_curve_and_stages(ask: Ask) -> None:
    answer = object_of(ask([film("tape", *SHOTS)], "red", "--json"))
    assert answer["matched"] is True and answer["segments"] == 1 and answer["moments"] == 4
    assert set(answer["background"]) == {"mean", "deviation"}
    hit = answer["hits"][0]
    assert hit["probability"] == pytest.approx(1.0, abs=1e-3) and hit["match"] is True
    assert len(hit["curve"]) == 3
    assert {"segment_rank", "clip_similarity", "scene_similarity", "existence"} <= set(
        hit["stages"]
    )


def test_a_head_without_probabilities_is_listed_by_score(ask: Ask) -> None:
    films = [film("tape", *SHOTS)]
    done = ask(films, "red", "--min-confidence", "0.9", head=Watershed())
    assert "score" in done.stdout.splitlines()[0]
    assert "The head watershed gives no calibrated probabilities" in done.stderr
    assert "gives no calibrated probabilities" not in ask([], "red", head=Watershed()).stderr
    answer = object_of(ask([], "red", "--json", head=Watershed()))
    assert answer["matched"] is None and answer["min_confidence"] is None
    assert {hit["match"] for hit in answer["hits"]} == {None}
    assert {hit["probability"] for hit in answer["hits"]} == {None}


def test_explain_says_which_stage_put_it_where(ask: Ask) -> None:
    films = [film("a", *SHOTS), film("b", *SHOTS)]
    done = ask(films, "red", "--min-confidence", "0.9", "--explain")
    _, row, shortlist, head, ranking, copy = done.stdout.splitlines()
    assert row.startswith("   1")
    assert "shortlist: segment 1 of 2, its best clip 1.000, its best scene 1.000" in shortlist
    assert "chance here is" in shortlist and "deviations above" in shortlist
    assert "head sure-1: 99 % sure, existence 1.000" in head
    assert "place 1 of 8 moments, by its score 1.000; at least the 90 %" in ranking
    assert "copy: /films/b.mp4 00:00:00.000–00:00:06.000 (99 %), clips 1.000 alike" in copy


def test_explain_is_honest_about_a_head_that_gives_no_probability(ask: Ask) -> None:
    done = ask([film("tape", *SHOTS)], "red", "--explain", head=Watershed())
    assert "head watershed: gives no calibrated probability, peak similarity 1.000" in done.stdout
    assert "that a match takes" not in done.stdout


class WithSound(SureHead):
    """As a head's spans look once sound has raised them."""

    def _find(self, segment: Any, query: Any) -> Any:
        sound = {"heard": 0.8, "sound_asked": 0.5, "picture": 0.6}
        return [
            replace(span, stages={**span.stages, **sound}) for span in super()._find(segment, query)
        ]


def test_sound_that_took_part_is_named_in_the_table_and_explained(ask: Ask) -> None:
    done = ask([film("tape", *SHOTS)], "red", "--explain", "--top", "1", head=WithSound())
    header, row, *told = done.stdout.splitlines()
    assert "found by" in header and "picture + sound" in row
    assert any(
        line.strip() == "sound: heard 0.800, asked for as a sound 0.500, by its picture alone 0.600"
        for line in told
    )


def test_explain_whole_videos(ask: Ask) -> None:
    done = ask([film("tape", *SHOTS)], "red", "--by", "video", "--explain")
    assert "over 4 scenes, the best is scene 1 with 1.000" in done.stdout
    told = ask([], "red", "--by", "video", "--min-confidence", "0.5").stderr
    assert "Whole videos have no probability" in told


def test_a_narrow_terminal_gets_shorter_names_and_then_no_curves(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = [film("a-tape-with-quite-a-long-name", *SHOTS)]
    monkeypatch.setattr(commands.search_table, "width", lambda: 80)
    lines = ask(films, "red", "--all").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" in lines[1] and "long-name.mp4" in lines[1] and "█" in lines[1]
    monkeypatch.setattr(commands.search_table, "width", lambda: 64)
    lines = ask([], "red", "--all").stdout.splitlines()
    assert max(map(len, lines)) <= 64
    assert "curve" not in lines[0] and "long-name.mp4" in lines[1]
    monkeypatch.setattr(commands.search_table, "width", lambda: 20)
    assert "00:00:00.000–00:00:06.000" in ask([], "red", "--all").stdout


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
    say("00:01–00:02  …/caf\u00e9.mp4")
    sys.stdout.flush()
    assert kept.getvalue() == b"00:01-00:02  ~/caf\\xe9.mp4\n"


def test_percent_never_claims_certainty() -> None:
    assert [percent(p) for p in (None, 0.0, 0.123, 0.996, 1.0)] == [
        "-", "0 %", "12 %", "99 %", "99 %",
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
