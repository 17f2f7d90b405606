"""`python -m benchmarks.quality` on a measuring set of made films, and what it writes."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import films
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import contenders, sound_set, tables
from benchmarks.contenders import PART_1, Contender, models_with_part_1
from benchmarks.footage import read_questions, tapes_in
from storage.bundles import load_encoder

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def measuring_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips, a tape of another name than the shared set has, and a broken clip."""
    folder = tmp_path_factory.mktemp("footage")
    clips = folder / "clips"
    clips.mkdir()
    shown = films.shots(clips, (4.0, 4.0), Fraction(10), name="a.mp4")
    films.shots(clips, (3.0,), Fraction(10), name="b.mp4")
    (clips / "broken.mp4").write_bytes(b"no film at all")
    shutil.copy(shown.path, folder / "reel.mp4")
    (folder / "reel.json").write_text("{}")
    whole = {"clips/a.mp4": [[0.0, 8.0]]}
    rows = [
        {"query": "red bands", "kind": "visual", "videos": whole, "reel": [[0.0, 4.0]]},
        {"query": "stripes", "kind": "sport", "videos": whole, "reel": [[0.0, 4.0], [4.0, 8.0]]},
        {"query": "a bell", "kind": "audio", "videos": {"audio/bell.ogg": [[0.0, 1.0]]}},
        {"query": "a ship", "kind": "absent", "videos": {}},
    ]
    lines = [json.dumps({"lang": "en", "style": "keywords", "reel": [], **row}) for row in rows]
    (folder / "queries.jsonl").write_text("\n".join(lines))
    cuts = {"clips/a.mp4": {"hard": [4.0], "soft": []}}
    (folder / "cuts.json").write_text(json.dumps({"clips": cuts, "clips_not_judged": []}))
    return folder


def quality(footage: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.quality", *map(str, options)],
        cwd=ROOT,
        env={"REELSEEK_VIDEOS": str(footage), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_measures_what_is_there_and_says_what_is_not(measuring_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "quality.json"
    done = quality(
        measuring_set,
        *("--encoder", "lite", "--head", "watershed", "--out", out),
        *("--images", tmp_path / "nowhere", "--sounds", tmp_path / "nowhere"),
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(out.read_text())
    figures = results["figures"]["lite + watershed"]
    assert figures["videos"]["R@5"] == {"value": 100.0, "ci95": [100.0, 100.0], "n": 2}
    assert figures["tapes"]["R1@0.3"]["n"] == figures["tapes: reel"]["R1@0.3"]["n"] == 2
    assert figures["refusal"]["refusal recall"]["n"] == 6  # three questions, two archives
    assert "calibration" not in figures or figures["calibration"] == {}
    assert results["cuts"]["right"] == 1
    assert "| lite + watershed |" in done.stdout
    assert "name their folder with --images" in results["skipped"]["photos"]
    assert "clips/broken.mp4" in results["skipped"]
    assert str(measuring_set) not in out.read_text()


def test_without_footage_the_rest_still_runs(tmp_path: Path) -> None:
    done = quality(tmp_path, "--only", "videos", "--only", "cuts")
    assert done.returncode == 0, done.stderr
    assert "set REELSEEK_VIDEOS to the footage" in done.stdout


def test_an_unknown_encoder_is_skipped_in_one_sentence(measuring_set: Path) -> None:
    done = quality(measuring_set, "--only", "videos", "--encoder", "nonesuch")
    assert done.returncode == 0, done.stderr
    assert "There is no model named 'nonesuch'" in done.stdout


# Tapes and questions


def test_tapes_are_the_films_beside_their_composition(measuring_set: Path) -> None:
    assert tapes_in(measuring_set) == ("reel",)
    asked = read_questions(measuring_set, ("reel",))
    assert asked[0].windows == {"reel": ((0.0, 4.0),)}
    assert [question.is_absent for question in asked] == [False, False, False, True]


# Contenders


def test_part_1_comes_out_of_the_history_under_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought = tmp_path / "brought"
    shutil.copytree(ROOT / "storage" / "bundles" / "lite", brought / "mine")
    monkeypatch.setenv("REELSEEK_MODELS", str(brought))
    with models_with_part_1(tmp_path / "models") as missing:
        if missing is not None:
            pytest.skip(missing)
        bundle = load_encoder(PART_1)
        bundle.manifest.verify()
        assert bundle.stamp.encoder_id == "lite-part1-1.0"
        assert load_encoder("mine").dim == bundle.dim  # what the user brought is still there
    assert load_encoder("mine").manifest.path == brought / "mine"


def test_without_history_the_reason_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REELSEEK_MODELS", str(tmp_path / "brought"))
    monkeypatch.setattr(contenders, "PART_1_COMMIT", "0" * 40)
    with models_with_part_1(tmp_path / "models") as missing:
        assert missing is not None
        assert "git fetch --unshallow" in missing
        with pytest.raises(contenders.Skipped, match="unshallow"):
            contenders.encoder_bundle(PART_1, missing)


def test_contenders_are_compared_where_one_thing_differs() -> None:
    plain = Contender("lite", "watershed", hears=False)
    assert plain.differs_by_one(Contender("lite", "watershed", hears=True))
    assert plain.differs_by_one(Contender("other", "watershed", hears=False))
    assert not plain.differs_by_one(plain)
    assert not plain.differs_by_one(Contender("other", "watershed", hears=True))


# Sounds


@pytest.mark.parametrize(("length_s", "windows"), [(0.3, 1), (2.0, 1), (3.9, 1), (5.0, 2)])
def test_sounds_are_cut_as_indexing_cuts_them(
    length_s: float, windows: int, tmp_path: Path
) -> None:
    soundfile = pytest.importorskip("soundfile", reason="writes the sound of this test")
    wave = films.tone(length_s, rate=32_000)[0]
    file = io.BytesIO()
    soundfile.write(file, wave, 32_000, format="WAV", subtype="FLOAT")
    file.seek(0)
    cut = sound_set.windows(sound_set.wave_of(file))
    assert cut.shape == (windows, 64_000)
    heard = min(len(wave), 64_000 * windows)
    assert cut.ravel()[:heard] == pytest.approx(wave[:heard], abs=1e-4)
    assert not cut.ravel()[heard:].any()
    overlapping = sound_set.windows(wave, sound_set.OVERLAPPING)
    assert (overlapping[::4] == sound_set.windows(wave)).all()


# Results on paper

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=40,
)


@given(json_values)
def test_compact_json_says_the_same(value: object) -> None:
    assert json.loads(tables.compact(value)) == value


def test_a_figure_stays_on_its_line() -> None:
    figure = {"value": 41.2, "ci95": [33.4, 49.0], "n": 154}
    written = tables.compact({"figures": {f"R@{k}": figure for k in range(9)}})
    assert len(written.splitlines()) == 9 + 4


def test_the_readme_shows_what_was_stored() -> None:
    results = json.loads(tables.RESULTS.read_text())
    if "figures" not in results:
        pytest.skip("the stored results are of an older kind: `make bench-quality` renews them")
    readme = tables.README.read_text()
    assert tables.with_figures(readme, results) == readme


def test_differences_that_leave_zero_out_stand_out() -> None:
    def figure(value: float, low: float, high: float) -> dict[str, object]:
        return {"value": value, "ci95": [low, high], "n": 9}

    shown = tables.markdown(
        {
            "figures": {"a": {"tapes": {"R1@0.5": figure(40.0, 30.0, 50.0)}}},
            "differences": {
                "b minus a": {"tapes": {"R1@0.5": figure(6.0, 1.0, 11.0)}},
                "c minus a": {"tapes": {"R1@0.5": figure(-2.0, -9.0, 4.0)}},
            },
        }
    )
    assert "| a | 40.0 [30.0, 50.0] |" in shown
    assert "| *b minus a* | **+6.0 [+1.0, +11.0]** |" in shown
    assert "| *c minus a* | -2.0 [-9.0, +4.0] |" in shown
