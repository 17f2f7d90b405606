"""Runs of `index add` as a user starts, watches and stops them: processes, signals, terminals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import films
import pytest
from conftest import BIN, Run
from fakes import STAMP
from strategies import make_video

from storage.archive import Archive
from storage.bundles import load_encoder
from storage.records import EncoderStamp
from storage.verify import verify

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and terminals")


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(BIN / "reelseek"), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def names(db: Path) -> set[str]:
    return {Path(video.path).name for _, video in Archive.open(db).snapshot().live_videos()}


@pytest.fixture(scope="module")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty minutes, which take some seconds to index."""
    folder = tmp_path_factory.mktemp("long")
    return films.long_film(folder, length_s=1200.0, shot_s=10.0).path


def test_searching_works_at_any_moment_of_a_run(run: Run, tmp_path: Path, long_film: Path) -> None:
    db = tmp_path / "dbs"
    run("index", "add", films.shots(tmp_path).path, "--db", db)
    indexer = start("index", "add", long_film, "--db", db)
    searches = 0
    while indexer.poll() is None:
        found = run("search", "a red wall", "--db", db, "--video", "shots.mp4")
        assert found.returncode == 0, found.stderr
        assert "shots.mp4" in found.stdout
        searches += 1
    assert indexer.returncode == 0
    assert searches >= 2
    assert "long.mp4" in run("search", "a red wall", "--db", db).stdout


def test_two_runs_on_one_archive_both_succeed(tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(5):
        films.shots(folder, lengths_s=(2.0, 1.0 + number), name=f"film{number}.mp4")
    db = tmp_path / "dbs"
    runs = [start("index", "add", folder, "--recursive", "--db", db) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in runs]
    assert [process.returncode for process in runs] == [0, 0], outputs
    assert not any("LOCK" in text for output in outputs for text in output)
    assert names(db) == {f"film{number}.mp4" for number in range(5)}
    assert verify(db) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_was_finished(
    run: Run, tmp_path: Path, long_film: Path, how: signal.Signals
) -> None:
    db = tmp_path / "dbs"
    indexer = start("index", "add", films.shots(tmp_path).path, long_film, "--db", db)
    assert indexer.stdout is not None
    assert "shots.mp4: indexed" in indexer.stdout.readline()
    time.sleep(0.5)
    indexer.send_signal(how)
    _, errors = indexer.communicate(timeout=30)
    assert indexer.returncode == 130
    assert errors.splitlines()[-1] == "Error: Interrupted; what was finished is kept."
    assert names(db) == {"shots.mp4"}
    assert verify(db) == []
    again = run("index", "add", tmp_path / "shots.mp4", long_film, "--db", db)
    assert "shots.mp4: unchanged" in again.stdout and "long.mp4: indexed" in again.stdout


@pytest.mark.parametrize("delay_s", [0.2, 1.0, 2.0, 3.0])
def test_pressing_twice_at_any_time_is_as_clean(
    tmp_path: Path, long_film: Path, delay_s: float
) -> None:
    indexer = start("index", "add", long_film, "--db", tmp_path / "dbs")
    time.sleep(delay_s)
    indexer.send_signal(signal.SIGINT)
    time.sleep(0.02)
    indexer.send_signal(signal.SIGINT)
    _, errors = indexer.communicate(timeout=30)
    if delay_s >= 1.0:  # before that, Python itself may still be starting
        assert indexer.returncode in (0, 130), errors
        assert "terminate" not in errors and "Traceback" not in errors


def test_a_killed_run_loses_only_the_video_in_work(
    run: Run, tmp_path: Path, long_film: Path
) -> None:
    db = tmp_path / "dbs"
    indexer = start("index", "add", films.shots(tmp_path).path, long_film, "--db", db)
    assert indexer.stdout is not None
    indexer.stdout.readline()
    time.sleep(0.5)
    indexer.kill()
    indexer.communicate()
    assert names(db) == {"shots.mp4"}
    assert run("index", "add", long_film, "--db", db).returncode == 0
    assert names(db) == {"shots.mp4", "long.mp4"}


def test_a_terminal_shows_a_bar_and_a_pipe_does_not(
    run: Run, tmp_path: Path, long_film: Path
) -> None:
    import pty
    import termios

    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 120))
    process = subprocess.Popen(
        [BIN / "reelseek", "index", "add", long_film, "--db", tmp_path / "dbs"],
        stdout=subprocess.DEVNULL,
        stderr=slave,
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            shown += os.read(master, 4096)
        except OSError:  # the other end is closed
            break
    process.wait()
    os.close(master)
    text = shown.decode()
    assert re.search(r"\|█+.? *\| \d\d:\d\d:\d\d of 00:20:00, [\d.]+ × real time, ETA 00:0\d", text)

    piped = run("index", "add", long_film, "--db", tmp_path / "other")
    assert "|" not in piped.stderr and "\r" not in piped.stderr


def test_another_encoders_archive_is_refused_by_both_verbs(run: Run, tmp_path: Path) -> None:
    db = tmp_path / "dbs"
    stamp = load_encoder("lite").stamp
    Archive.create_or_open(db, EncoderStamp(stamp.encoder_id, "0" * 64, stamp.dim))
    for command in (["index", "add", films.shots(tmp_path).path], ["search", "dog"]):
        ended = run(*command, "--db", db)
        assert ended.returncode == 5, ended.stderr
        assert "--db" in ended.stderr and "Traceback" not in ended.stderr


def test_an_archive_of_an_unknown_encoder_is_named(run: Run, tmp_path: Path) -> None:
    db = tmp_path / "dbs"
    Archive.create_or_open(db, STAMP).add(make_video("x", dim=STAMP.dim))
    ended = run("search", "dog", "--db", db)
    assert ended.returncode == 7
    assert "'colours'" in ended.stderr


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "missing.mp4", "does not exist"),
        (lambda folder: _file(folder / "empty.mp4", b""), "empty"),
        (lambda folder: _file(folder / "text.mp4", b"once upon a time\n" * 99), "not"),
        (lambda folder: films.cut_off(films.shots(folder)).path, "moov"),
        (lambda folder: films.sound_only(folder).path, "sound"),
        (lambda folder: films.still(folder).path, "still"),
    ],
    ids=["missing", "empty", "text", "no moov", "sound only", "still"],
)
def test_a_bad_file_is_one_sentence_and_leaves_the_archive_whole(  # type: ignore[no-untyped-def]
    run: Run, tmp_path: Path, make, said: str
) -> None:
    db = tmp_path / "dbs"
    run("index", "add", films.one_frame(tmp_path).path, "--db", db)
    ended = run("index", "add", make(tmp_path), "--db", db)
    assert ended.returncode == 3
    (sentence,) = ended.stderr.splitlines()
    assert sentence.startswith("Error: ") and said in sentence
    assert ended.stdout == ""
    assert names(db) == {"one.mp4"}
    assert verify(db) == []


def _file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
