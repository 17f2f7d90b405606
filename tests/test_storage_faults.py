"""What may happen to an archive: kill, full disk, foreign locks, two writers, no permission.

`verify` is the oracle: after each misfortune it finds nothing, or names what is broken.
Children come from a fork server that has loaded the storage modules, so that a kill costs little.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archives import copy, shown, with_and_without_sound
from strategies import STAMP, make_video

from storage import files, locks, publisher
from storage.archive import Archive, open_snapshot
from storage.errors import (
    ArchiveBusy,
    ArchiveError,
    ArchiveFull,
    ArchiveReadOnly,
    ReelseekError,
)
from storage.ledger import Ledger, open_ledger
from storage.records import SoundStamp
from storage.verify import verify

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses fork, signals and rlimits")

resource = pytest.importorskip("resource", reason="not on Windows")

CHILDREN = multiprocessing.get_context("forkserver" if sys.platform != "win32" else None)
if sys.platform != "win32":
    CHILDREN.set_forkserver_preload(["test_storage_faults"])


def run(target: Callable[..., None], *args: Any) -> int | None:
    """Run a function in a child process; its exit code, negative for a signal."""
    child = CHILDREN.Process(target=target, args=args)
    child.start()
    child.join(60)
    assert child.exitcode is not None, "the child hangs"
    return child.exitcode


class TestKill:
    """kill -9 before each step by which a commit touches the disk, and at any other time."""

    @with_and_without_sound
    def test_at_any_step_of_a_commit_all_or_nothing_is_there(self, tmp_path, sound):
        archive = Archive.create_or_open(tmp_path / "intact", STAMP, sound)
        archive.add(make_video("a", sound=sound))
        outcomes = set()
        for step in range(200):
            path = copy(tmp_path / "intact", tmp_path)
            ended = run(add_and_die, path, step, sound)
            assert shown(path) in ({"a"}, {"a", "b"}), "readable before anybody mends it"
            Archive.create_or_open(path, STAMP, sound)
            assert verify(path) == []
            outcomes.add(frozenset(shown(path)))
            if ended == 0:
                break
            assert ended == -signal.SIGKILL
        assert step > 10, "there are more steps than that"
        assert outcomes == {frozenset("a"), frozenset("ab")}

    def test_at_any_step_of_making_an_archive_the_next_one_makes_it(self, tmp_path):
        for step in range(200):
            path = tmp_path / str(step)
            ended = run(create_and_die, path, step)
            Archive.create_or_open(path, STAMP).add(make_video("a"))
            assert verify(path) == [] and shown(path) == {"a"}
            if ended == 0:
                break
        assert step > 3

    def test_at_any_moment_what_was_acknowledged_stays(self, tmp_path):
        Archive.create_or_open(tmp_path, STAMP)
        numbers = np.random.default_rng(5)
        expected: set[str] = set()
        for turn in range(6):
            ours, theirs = CHILDREN.Pipe(duplex=False)
            child = CHILDREN.Process(target=add_until_killed, args=(tmp_path, turn, theirs))
            child.start()
            theirs.close()
            acknowledged = [ours.recv()]
            time.sleep(numbers.uniform(0, 0.15))
            child.kill()
            child.join()
            with contextlib.suppress(EOFError):
                while True:
                    acknowledged.append(ours.recv())
            expected |= set(acknowledged)
            assert expected <= shown(tmp_path) | unfinished(tmp_path)
            Archive.create_or_open(tmp_path, STAMP)
            assert expected <= shown(tmp_path)
            assert verify(tmp_path) == []
            expected = shown(tmp_path)


class TestFullDisk:
    @with_and_without_sound
    def test_no_limit_on_file_size_leaves_half_a_video(self, tmp_path, sound):
        """A limit on file size stops LevelDB and the columns alike, at each place in turn."""
        archive = Archive.create_or_open(tmp_path, STAMP, sound)
        archive.add(make_video("a", clips=100, sound=sound))
        seen = set()
        for limit in (0, 300, 700, 1500, 2500, 4000, 6000, 9000, 100_000):
            seen.add(run(add_with_little_room, tmp_path, limit, sound))
            Archive.open(tmp_path)
            assert verify(tmp_path) == []
            assert {"a"} <= shown(tmp_path)
        assert seen == {0, exit_code(ArchiveFull)}
        assert shown(tmp_path) == {"a", "b"}

    def test_on_a_full_disk_the_archive_stays_readable_and_goes_on_when_there_is_room(
        self, small_disk
    ):
        path = small_disk / "dbs"
        archive = Archive.create_or_open(path, STAMP)
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(1_000_000))  # more than LevelDB needs to tidy up all the rest
        added = set()
        with pytest.raises(ArchiveFull, match=r"is full.*was not made.*free some space"):
            for number in range(200):
                archive.add(make_video(f"v{number}", clips=500))
                added.add(f"v{number}")
        assert len(added) > 3
        assert shown(path) == added
        with pytest.raises(ArchiveFull):
            archive.add(make_video("more", clips=500))
        ballast.unlink()
        Archive.create_or_open(path, STAMP).add(make_video("small"))
        assert verify(path) == []
        assert shown(path) == added | {"small"}

    def test_no_room_for_a_faster_index_does_not_undo_the_commit(
        self, tmp_path, monkeypatch, caplog
    ):
        archive = Archive.create_or_open(tmp_path, STAMP)

        def no_room(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(publisher.sealing, "seal", no_room)
        archive.add(make_video("a"))
        assert shown(tmp_path) == {"a"} and verify(tmp_path) == []
        assert "slower than need be" in caplog.text


class TestTwoWriters:
    def test_several_processes_adding_at_once_lose_nothing(self, tmp_path):
        children = [
            CHILDREN.Process(target=add_several, args=(tmp_path, f"p{number}-", 8))
            for number in range(4)
        ]
        for child in children:
            child.start()
        readings = []
        while any(child.is_alive() for child in children):
            with contextlib.suppress(ReelseekError):  # not made yet
                snapshot = open_snapshot(tmp_path)
                readings.append(snapshot.generation)
                assert len(snapshot.live_videos()) == snapshot.generation
        assert [child.exitcode for child in children] == [0] * 4
        assert shown(tmp_path) == {f"p{p}-{k}" for p in range(4) for k in range(8)}
        assert open_snapshot(tmp_path).generation == 32
        assert readings == sorted(readings), "a generation never goes back"
        assert verify(tmp_path) == []

    def test_waiting_is_told_after_a_while_and_ends_when_the_other_is_done(
        self, tmp_path, monkeypatch, caplog
    ):
        caplog.set_level(logging.INFO)
        monkeypatch.setattr(locks, "QUIET_S", 0.1)
        archive = Archive.create_or_open(tmp_path, STAMP)
        with held_by_another(hold_writer_lock, tmp_path, 0.5):
            archive.add(make_video("a"))
        assert f"waiting for another reelseek that is writing to {tmp_path}" in caplog.text
        assert shown(tmp_path) == {"a"}

    def test_leveldb_s_own_lock_held_by_a_foreign_program_is_waited_for(
        self, tmp_path, monkeypatch
    ):
        archive = Archive.create_or_open(tmp_path, STAMP)
        with held_by_another(hold_leveldb_lock, tmp_path, 0.5):
            assert shown(tmp_path) == set(), "a search does not even notice"
            archive.add(make_video("a"))
        assert shown(tmp_path) == {"a"}

    @pytest.mark.parametrize("hold", ["hold_writer_lock", "hold_leveldb_lock"])
    def test_waiting_ends_at_last_with_a_sentence(self, tmp_path, monkeypatch, hold):
        monkeypatch.setattr(locks, "PATIENCE_S", 0.2)
        archive = Archive.create_or_open(tmp_path, STAMP)
        with (
            held_by_another(globals()[hold], tmp_path, 30),
            pytest.raises(ArchiveBusy, match=r"has kept .* for 0 minutes: see what is writing"),
        ):
            archive.add(make_video("a"))

    def test_a_claim_ends_with_the_process_that_had_it(self, tmp_path):
        archive = Archive.create_or_open(tmp_path, STAMP)
        with held_by_another(hold_claim, tmp_path, 30), archive.claim("aa") as mine:
            assert not mine
        with archive.claim("aa") as mine:  # the other was killed in the middle
            assert mine


class TestReadOnly:
    @pytest.fixture
    def read_only(self) -> Iterator[Path]:
        """An archive that its reader may not write (in a folder that other users may enter)."""
        top = Path(tempfile.mkdtemp())
        top.chmod(0o755)
        Archive.create_or_open(top / "dbs", STAMP).add(make_video("a"))
        everything = [top / "dbs", *(top / "dbs").rglob("*")]
        for path in everything:
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield top / "dbs"
        for path in everything:
            path.chmod(0o755)
        shutil.rmtree(top)

    def test_it_can_be_searched(self, read_only):
        assert run(look_without_rights, read_only) == 0

    def test_without_the_right_to_read_the_file_is_named(self, read_only):
        (read_only / "view" / "CURRENT").chmod(0)
        assert run(look_without_rights_and_be_told, read_only) == 0

    def test_writing_is_refused_before_any_work_is_done(self, read_only):
        assert run(open_without_rights, read_only) == exit_code(ArchiveReadOnly)

    def test_making_an_archive_in_a_read_only_place_is_refused(self, read_only):
        assert run(open_without_rights, read_only / "new") == exit_code(ArchiveReadOnly)


# What the children do. --------------------------------------------------------------------------


def die_at(step: int) -> None:
    """Kill this process before the given one of all steps that touch the disk."""
    left = [step]

    def deadly(owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def step_then(*args: Any, **kwargs: Any) -> Any:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return function(*args, **kwargs)

        setattr(owner, name, step_then)

    deadly(files, "write_synced")
    deadly(files, "replace")
    deadly(files, "sync")
    deadly(files, "sync_folder")
    deadly(files.Appender, "append")
    deadly(Ledger, "commit")
    deadly(Path, "mkdir")
    deadly(Path, "rename")


def add_and_die(path: Path, step: int, sound: SoundStamp | None) -> None:
    archive = Archive.create_or_open(path, STAMP, sound)
    die_at(step)
    archive.add(make_video("b", sound=sound))


def create_and_die(path: Path, step: int) -> None:
    die_at(step)
    Archive.create_or_open(path, STAMP)


def add_until_killed(path: Path, turn: int, acknowledge: Any) -> None:
    archive = Archive.create_or_open(path, STAMP)
    for number in range(10_000):
        archive.add(make_video(f"t{turn}-{number}", clips=40))
        acknowledge.send(f"t{turn}-{number}")


def add_with_little_room(path: Path, limit: int, sound: SoundStamp | None) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    archive = Archive.open(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    exit_with_the_error_of(lambda: archive.add(make_video("b", clips=100, sound=sound)))


def add_several(path: Path, prefix: str, count: int) -> None:
    for number in range(count):
        Archive.create_or_open(path, STAMP).add(make_video(f"{prefix}{number}"))


def hold_writer_lock(path: Path, seconds: float, ready: Any) -> None:
    with locks.writer_lock(path):
        ready.set()
        time.sleep(seconds)


def hold_leveldb_lock(path: Path, seconds: float, ready: Any) -> None:
    with open_ledger(path):
        ready.set()
        time.sleep(seconds)


def hold_claim(path: Path, seconds: float, ready: Any) -> None:
    with Archive.open(path).claim("aa"):
        ready.set()
        time.sleep(seconds)


def look_without_rights(path: Path) -> None:
    import mmap  # noqa: F401  (loaded while we may still read everything)

    give_up_rights()
    assert shown(path) == {"a"}


def look_without_rights_and_be_told(path: Path) -> None:
    give_up_rights()
    with pytest.raises(ArchiveError, match=r"view/CURRENT cannot be read \(Permission denied\)"):
        open_snapshot(path)


def open_without_rights(path: Path) -> None:
    import filelock  # noqa: F401  (loaded while we may still read everything)

    give_up_rights()
    exit_with_the_error_of(lambda: Archive.create_or_open(path, STAMP))


def give_up_rights() -> None:
    if os.geteuid() == 0:
        os.setresuid(65534, 65534, 65534)


def exit_with_the_error_of(work: Callable[[], object]) -> None:
    try:
        work()
    except ReelseekError as error:
        sys.exit(exit_code(type(error)))


def exit_code(error: type[ReelseekError]) -> int:
    """A child's exit code for an error; its words could not be written to a full disk."""
    return 100 + [ArchiveFull, ArchiveReadOnly].index(error)


# Helpers of this side. --------------------------------------------------------------------------


@contextlib.contextmanager
def held_by_another(hold: Callable[..., None], path: Path, seconds: float) -> Iterator[None]:
    """While another process holds something for so many seconds; killed at the end."""
    ready = CHILDREN.Event()
    child = CHILDREN.Process(target=hold, args=(path, seconds, ready))
    child.start()
    assert ready.wait(30)
    try:
        yield
    finally:
        child.kill()
        child.join()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB, where the system lets us make one."""
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "reelseek-test", tmp_path], capture_output=True
    )
    if made.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def unfinished(path: Path) -> set[str]:
    """Names of the videos that the ledger holds."""
    with locks.writer_lock(path), open_ledger(path) as ledger:
        return {Path(ledger.video(name).path).stem for name in ledger.video_ids()}
