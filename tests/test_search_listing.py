"""The listing as people, terminals and programs get it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from coloured_films import SureHead, film, searcher
from fakes import ColourWords

import commands.search
from cli import reelseek
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


@pytest.mark.parametrize(
    ("least", "shown"), [("0.004", "0.4 %"), ("0.345", "34.5 %"), ("1", "100 %")]
)
def test_a_threshold_is_named_as_it_was_given(ask: Ask, least: str, shown: str) -> None:
    done = ask([film("tape", *SHOTS)], "red", "--min-confidence", least, "--explain")
    assert f"the {shown} that a match takes" in done.stdout


def test_a_row_that_misses_never_shows_what_a_match_takes(ask: Ask) -> None:
    done = ask([film("tape", *SHOTS)], "red", head=Odds(0.348))
    assert "The nearest miss, not 35 % sure:" in done.stdout
    assert done.stdout.splitlines()[-1].split()[1:3] == ["34.8", "%"]


def test_nothing_matches_and_the_nearest_misses_are_marked(ask: Ask) -> None:
    films = [film("tape", *[("blue", 5.0 + number) for number in range(6)])]
    done = ask(films, "red")
    assert done.exit_code == 0
    said, misses, header, *rows = done.stdout.splitlines()
    assert said == 'Nothing in the archive matches "red".'
    assert misses == "The nearest misses, none of them 35 % sure:"
    assert header.startswith("rank  sure") and len(rows) == 3
    hidden, advice, _ = done.stderr.splitlines()
    assert hidden.startswith("3 weaker hits not shown") and "--all shows" in hidden
    assert advice == "Another word for it may find more."

    answer = object_of(ask([], "red", "--json"))
    assert answer["matched"] is False and answer["min_confidence"] == 0.35
    assert answer["not_shown"] == 3
    assert [hit["match"] for hit in answer["hits"]] == [False] * 3


def test_with_all_the_misses_are_still_called_unsure(ask: Ask) -> None:
    done = ask([film("tape", ("blue", 5), ("green", 6))], "red", "--all")
    assert 'Nothing in the archive matches "red".' in done.stdout
    assert "none of it 35 % sure:" in done.stdout and "nearest miss" not in done.stdout
    assert "not shown" not in done.stderr


def test_nothing_in_some_videos_is_not_nothing_in_the_archive(ask: Ask) -> None:
    films = [film("tape", ("blue", 5)), film("other", ("red", 5))]
    said = ask(films, "red", "--video", "tape*").stdout.splitlines()[0]
    assert said == """Nothing in the videos that fit 'tape*' matches "red"."""


class Mute(SureHead):
    """Finds no moment at all."""

    def _find(self, segment: Any, query: Any) -> Any:
        return []


def test_an_archive_in_which_no_moment_is_found_is_not_called_empty(ask: Ask) -> None:
    done = ask([film("tape", *SHOTS)], "red", head=Mute())
    assert done.stdout == 'Nothing in the archive matches "red".\n'
    assert "empty" not in done.stderr


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


class Odds(SureHead):
    """Finds only the first shot, and is as sure of it as it was told."""

    def __init__(self, sure: float) -> None:
        super().__init__()
        self._sure = sure

    def _find(self, segment: Any, query: Any) -> Any:
        return [replace(super()._find(segment, query)[0], probability=self._sure)]


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
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["--min-confidence", "0.5"], "--min-confidence is"),
        (["--all", "--head", "watershed"], "--all and --head are"),
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_what_whole_videos_do_not_use_is_said_once(
    ask: Ask, given: list[str], named: str, form: list[str]
) -> None:
    done = ask([film("tape", *SHOTS)], "red", "--by", "video", *given, *form)
    assert done.stderr == f"Whole videos have no probability: {named} not used.\n"


def test_a_narrow_terminal_gets_shorter_names_then_shorter_times_then_fewer_columns(
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
    assert "00:00:00–00:00:06" in lines[1] and "█" in lines[1] and "long-name.mp4" in lines[1]
    monkeypatch.setattr(commands.search_table, "width", lambda: 54)
    header, row, *_ = ask([], "red", "--all").stdout.splitlines()
    assert len(row) <= 54
    assert header.split() == ["rank", "sure", "file", "start–end", "scene"]
    monkeypatch.setattr(commands.search_table, "width", lambda: 20)
    assert "00:00:00–00:00:06" in ask([], "red", "--all").stdout


def test_columns_go_in_their_order(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    films = [film("a", *SHOTS), film("b", *SHOTS)]
    left = []
    for columns in (200, 78, 68, 56, 46):
        monkeypatch.setattr(commands.search_table, "width", lambda columns=columns: columns)
        header, row, *_ = ask(films, "red", "--all", head=WithSound()).stdout.splitlines()
        films = []
        assert len(row) <= columns
        left.append([name for name in ("curve", "also", "found by", "scene") if name in header])
    assert left == [
        ["curve", "also", "found by", "scene"],
        ["also", "found by", "scene"],
        ["found by", "scene"],
        ["scene"],
        [],
    ]


def test_explained_lines_are_broken_with_a_hanging_indent(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = [film("tape", *SHOTS)]
    whole = ask(films, "red", "--explain", "--top", "1").stdout.splitlines()
    monkeypatch.setattr(commands.search, "width", lambda: 60)
    _, _, *told = ask([], "red", "--explain", "--top", "1").stdout.splitlines()
    assert len(told) > len(whole) - 2 and max(map(len, told)) <= 60
    assert [line[:8].isspace() for line in told[:2]] == [False, True]
    assert " ".join(" ".join(told).split()) == " ".join(" ".join(whole[2:]).split())
