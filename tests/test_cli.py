"""The two console commands as they are typed, on real footage with the shipped encoder."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from pathlib import Path

import pytest
from conftest import Run

TIME = r"(\d\d:\d\d:\d\d\.\d{3})"
LISTED = re.compile(rf"^ *(\d+) +(-?\d\.\d{{3}}|<?\d\d?(?:\.\d)? %)  (\S+) +{TIME}–{TIME} +(\d+)\b")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, footage: Path) -> Path:
    """An archive of two real films, made by the command itself."""
    import subprocess
    import sys

    db = tmp_path_factory.mktemp("archive") / "dbs"
    command = Path(sys.executable).parent / "index"
    films = [footage / "bigbuckbunny.mp4", footage / "bikes.mp4"]
    subprocess.run([command, "add", *films, "--db", db], check=True, capture_output=True)
    return db


def test_index_and_search_exactly_as_written(run: Run, footage: Path, tmp_path: Path) -> None:
    shutil.copy(footage / "bigbuckbunny.mp4", tmp_path / "work" / "video.mp4")

    added = run("index", "add", "video.mp4")
    assert added.returncode == 0, added.stderr
    assert added.stdout.startswith("video.mp4: indexed 00:00:05.2")
    assert "Made a new archive in" in added.stderr
    assert (tmp_path / "work" / "dbs").is_dir()

    found = run("search", "pass miss scene")
    assert found.returncode == 0, found.stderr
    header, *lines = found.stdout[found.stdout.index("rank") :].splitlines()
    rank, _, file, times, scene, *_ = header.split()
    assert [rank, file, times, scene] == ["rank", "file", "start–end", "scene"]
    first = LISTED.match(lines[0])
    assert first and first[1] == "1" and first[3] == "video.mp4"
    assert re.search(r"^Pictures: lite-\d+\.\d+, .*moments: \S+\.$", found.stderr, re.M)


def test_a_second_run_skips_what_is_unchanged(run: Run, footage: Path) -> None:
    film = footage / "carphone_pristine.mp4"
    run("reelseek", "index", "add", film)
    again = run("reelseek", "index", "add", film)
    assert again.returncode == 0
    assert again.stdout == f"{film}: unchanged, skipped\n"


def test_the_right_film_comes_first(run: Run, archive: Path) -> None:
    for query, film in (
        ("a cartoon rabbit in a green meadow", "bigbuckbunny.mp4"),
        ("people riding bicycles in a city street", "bikes.mp4"),
    ):
        found = run("search", query, "--db", archive, "--json")
        assert json.loads(found.stdout)["hits"][0]["path"].endswith(film), query


def test_json_is_one_object_with_the_documented_fields(run: Run, archive: Path) -> None:
    command = ["search", "a bicycle", "--db", archive, "--top", "2", "--json"]
    answer = json.loads(run(*command, "--head", "watershed").stdout)
    assert list(answer) == [
        "query", "database", "encoder", "sound", "head", "generation", "matched",
        "min_confidence", "not_shown", "background", "segments", "moments", "hits",
    ]  # fmt: skip
    assert answer["query"] == "a bicycle"
    assert answer["database"] == str(archive)
    assert answer["head"] == "watershed"
    assert answer["generation"] == 2
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2]
    hit = answer["hits"][0]
    assert list(hit) == [
        "rank", "ranked", "score", "probability", "video_id", "path", "start_s", "end_s",
        "scene", "found_by", "curve", "match", "stages", "collapsed", "copies",
    ]  # fmt: skip
    assert 0 <= hit["start_s"] < hit["end_s"]
    assert answer["hits"][0]["score"] >= answer["hits"][1]["score"]


def test_a_long_question_that_nothing_matches_is_told_to_be_plainer(
    run: Run, archive: Path
) -> None:
    found = run("search", "a submarine under the ice", "--db", archive, "--min-confidence", "1")
    assert found.stdout.startswith('Nothing in the archive matches "a submarine under the ice".')
    assert "none of them 100 % sure:" in found.stdout
    assert "Fewer, plainer words may find more" in found.stderr


def test_search_within_one_film(run: Run, archive: Path) -> None:
    found = run("search", "a rabbit", "--db", archive, "--video", "bikes*", "--json")
    paths = {hit["path"] for hit in json.loads(found.stdout)["hits"]}
    assert {Path(path).name for path in paths} == {"bikes.mp4"}


def test_whole_videos_are_ranked_once_each(run: Run, archive: Path) -> None:
    found = run("search", "a rabbit", "--db", archive, "--by", "video", "--json")
    hits = json.loads(found.stdout)["hits"]
    assert sorted(Path(hit["path"]).name for hit in hits) == ["bigbuckbunny.mp4", "bikes.mp4"]
    assert hits[0]["stages"]["best_scene_similarity"] >= hits[0]["score"]


def test_list_info_remove(run: Run, archive: Path, tmp_path: Path) -> None:
    db = tmp_path / "dbs"
    shutil.copytree(archive, db)
    listed = run("index", "list", "--db", db)
    assert "bigbuckbunny.mp4" in listed.stdout and "bikes.mp4" in listed.stdout

    info = run("index", "info", "bikes.mp4", "--db", db, "--json")
    facts = json.loads(info.stdout)
    assert facts["duration_s"] == pytest.approx(10.0, abs=0.1)
    assert facts["scenes"][0]["start_s"] == 0.0
    shown = run("index", "info", facts["video_id"][:8], "--db", db)
    assert facts["sha256"] in shown.stdout

    spared = run("index", "remove", "bikes.mp4", "--db", db, "--dry-run")
    assert spared.stdout.startswith("Would remove")
    removed = run("index", "remove", "bikes.mp4", "--db", db)
    assert removed.returncode == 0
    assert "bikes.mp4" not in run("index", "list", "--db", db).stdout
    assert "bikes.mp4" not in run("search", "bicycle", "--db", db).stdout
    assert run("index", "verify", "--db", db).returncode == 0


def test_a_folder_needs_recursive_and_reports_bad_files(
    run: Run, footage: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "films"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(footage / "carphone_pristine.mp4", folder / "deep" / "good.mp4")
    (folder / "bad.mp4").write_text("this is not a film\n" * 100)
    (folder / "._good.mp4").write_bytes(b"\0" * 100)
    (folder / "notes.txt").write_text("not looked at")

    refused = run("index", "add", folder)
    assert refused.returncode == 3
    assert "--recursive" in refused.stderr

    added = run("index", "add", folder, "--recursive")
    assert added.returncode == 3
    assert "bad.mp4" in added.stderr and "Traceback" not in added.stderr
    assert "1 indexed, 1 failed" in added.stderr
    assert "good.mp4" in run("index", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["search", ""], 2, "empty"),
        (["search", "word " * 2000], 2, "2000 words"),
        (["search", "dog", "--top", "0"], 2, "--top"),
        (["search", "dog", "--by", "colour"], 2, "--by"),
        (["search", "dog", "--min-confidence", "1.5"], 2, "--min-confidence"),
        (["search", "собака"], 2, "Cyrillic"),
        (["search", "!!!"], 2, "no word"),
        (["search", "dog", "--head", "psychic"], 7, "psychic"),
        (["search", "dog", "--video", "nothing*"], 8, "nothing*"),
        (["index", "info", "nothing.mp4"], 8, "nothing.mp4"),
        (["index", "remove", "nothing.mp4"], 8, "nothing.mp4"),
        (["index", "add", "missing.mp4"], 3, "missing.mp4"),
        (["index", "add", "x.mp4", "--scenes", "magic"], 2, "magic"),
        (["index", "add", "x.mp4", "--segment-overlap", "200"], 2, "148"),
        (["index", "add", "x.mp4", "--encoder", "unknown"], 7, "unknown"),
        (["index", "add"], 2, "PATHS"),
        (["reelseek", "fly"], 2, "fly"),
    ],
)
def test_wrong_use_is_one_sentence_and_a_code(
    run: Run, archive: Path, arguments: list[str], code: int, said: str
) -> None:
    command = arguments if arguments[0] == "reelseek" else [*arguments, "--db", str(archive)]
    ended = run(*command)
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_no_archive_there(run: Run) -> None:
    ended = run("search", "dog")
    assert ended.returncode == 4
    assert "index add" in ended.stderr


def test_debug_shows_where_an_error_arose(run: Run) -> None:
    assert "Traceback" in run("search", "dog", REELSEEK_DEBUG="1").stderr


def test_the_archive_of_the_environment(run: Run, archive: Path) -> None:
    assert run("search", "bicycle", REELSEEK_DB=str(archive)).returncode == 0


def test_search_on_a_read_only_archive(run: Run, archive: Path, tmp_path: Path) -> None:
    db = tmp_path / "dbs"
    shutil.copytree(archive, db)
    before = {path: path.stat().st_mtime_ns for path in db.rglob("*")}
    for path in [*db.rglob("*"), db]:
        path.chmod(stat.S_IRUSR | (stat.S_IXUSR if path.is_dir() else 0))
    try:
        assert run("search", "bicycle", "--db", db).returncode == 0
    finally:
        for path in [db, *db.rglob("*")]:
            path.chmod(stat.S_IRWXU)
    assert {path: path.stat().st_mtime_ns for path in db.rglob("*")} == before


def test_a_broken_pipe_is_no_error(archive: Path) -> None:
    import subprocess
    import sys

    search = Path(sys.executable).parent / "search"
    process = subprocess.Popen(
        [search, "bicycle", "--db", archive], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.wait(60)
    assert errors == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk always full")
@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_output_onto_a_full_disk_is_one_sentence(archive: Path, arguments: list[str]) -> None:
    import subprocess
    import sys

    search = Path(sys.executable).parent / "search"
    command = [search, "bicycle", "--head", "watershed", "--db", archive, *arguments]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "Error: The output could not be written: No space left on device."
    )
    assert "Unexpected" not in ended.stderr and "Exception" not in ended.stderr


def test_names_that_no_terminal_should_see_raw(run: Run, footage: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"new\nline \xff\x1b[31m.mp4")
    shutil.copy(footage / "carphone_pristine.mp4", tmp_path / "work" / name)
    added = run("index", "add", tmp_path / "work", "--recursive")
    assert added.returncode == 0
    (line,) = added.stdout.splitlines()
    assert line.startswith(r"new\nline \udcff\x1b[31m.mp4: indexed")
    listed = json.loads(run("index", "list", "--json").stdout)
    assert Path(listed["videos"][0]["path"]).name == name
    found = json.loads(run("search", "a man", "--json").stdout)
    assert Path(found["hits"][0]["path"]).name == name


def test_a_file_that_may_not_be_read_does_not_stop_the_others(
    run: Run, footage: Path, tmp_path: Path
) -> None:
    shutil.copy(footage / "carphone_pristine.mp4", tmp_path / "work" / "b.mp4")
    ended = run("index", "add", "/dev/zero", "b.mp4")
    assert ended.returncode == 3
    assert "b.mp4: indexed" in ended.stdout
    assert "/dev/zero is not a regular file" in ended.stderr


def test_a_folder_without_films_says_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    ended = run("index", "add", tmp_path / "none", "-r")
    assert ended.returncode == 3
    assert "no video" in ended.stderr
    assert not (tmp_path / "work" / "dbs").exists()


def test_version_and_completion(run: Run) -> None:
    assert re.fullmatch(r"reelseek, version \d+\.\d+\.\d+\n", run("reelseek", "--version").stdout)
    assert run("search", "--version").stdout == run("reelseek", "--version").stdout
    for shell in ("bash", "zsh", "fish"):
        script = run("reelseek", "completion", shell).stdout
        assert "_REELSEEK_COMPLETE" in script and "_SEARCH_COMPLETE" in script


def test_the_default_search_loads_no_torch(archive: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, cli\n"
        "try: cli.search_main()\n"
        "finally: print(sorted({'torch', 'transformers', 'plyvel', 'plyvel_next', 'av', 'cv2', "
        "'filelock'} & set(sys.modules)), file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, "bicycle", "--db", archive],
        capture_output=True, text=True, env=os.environ,
    )  # fmt: skip
    assert ended.stderr.splitlines()[-1] == "[]"
