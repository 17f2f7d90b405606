"""The one door to an archive: what adding, removing and moving do, and what is refused."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from strategies import SOUND, STAMP, make_video

from storage.archive import Archive, open_snapshot
from storage.errors import ArchiveNotFound, EncoderMismatch, VideoNotFound
from storage.records import EncoderStamp, Location, SoundStamp
from storage.verify import verify


def names(path: Path) -> list[str]:
    """File names of the videos that a search would see."""
    return [Path(video.path).name for _, video in open_snapshot(path).live_videos()]


def test_an_added_video_is_there_for_the_next_snapshot(tmp_path):
    archive = Archive.create_or_open(tmp_path / "dbs", STAMP)
    assert archive.created
    assert archive.add(make_video("a")) == 1
    assert names(tmp_path / "dbs") == ["a.mp4"]
    assert not Archive.create_or_open(tmp_path / "dbs", STAMP).created


def test_adding_a_video_again_replaces_it(tmp_path):
    archive = Archive.create_or_open(tmp_path, STAMP)
    archive.add(make_video("a", clips=6))
    archive.add(make_video("b"))
    archive.add(make_video("a", clips=9))
    assert sorted(names(tmp_path)) == ["a.mp4", "b.mp4"]
    snapshot = archive.snapshot()
    row = next(row for row, video in snapshot.live_videos() if "a.mp4" in video.path)
    assert np.count_nonzero(snapshot.clip_table["video"][snapshot.clip_alive] == row) == 9
    assert verify(tmp_path) == []


def test_a_removed_video_is_gone_and_can_come_back(tmp_path):
    archive = Archive.create_or_open(tmp_path, STAMP)
    a = make_video("a")
    archive.add(a)
    archive.add(make_video("b"))
    archive.remove(a.video.video_id)
    assert names(tmp_path) == ["b.mp4"]
    archive.add(a)
    assert names(tmp_path) == ["b.mp4", "a.mp4"]
    assert verify(tmp_path) == []


def test_a_moved_file_keeps_its_vectors_and_gets_its_new_path(tmp_path):
    archive = Archive.create_or_open(tmp_path, STAMP)
    a = make_video("a")
    archive.add(a)
    before = archive.snapshot()
    archive.relocate(a.video.video_id, (Location("/elsewhere/z.mp4", 1, 2),))
    after = archive.snapshot()
    assert names(tmp_path) == ["z.mp4"]
    assert after.generation == before.generation + 1
    assert len(after.clip_table) == len(before.clip_table)
    assert [v.path for _, v in before.live_videos()] == ["/films/a.mp4"], "as it was then"
    assert verify(tmp_path) == []


def test_unknown_videos_are_named_in_the_refusal(tmp_path):
    archive = Archive.create_or_open(tmp_path, STAMP)
    with pytest.raises(VideoNotFound, match="holds no video beef"):
        archive.remove("beef")
    with pytest.raises(VideoNotFound, match="holds no video beef"):
        archive.relocate("beef", (Location("/x", 1, 2),))
    assert archive.snapshot().generation == 0


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(STAMP, encoder_id="other-2.0"),
        dataclasses.replace(STAMP, fingerprint="0" * 64),
        dataclasses.replace(STAMP, dim=16),
    ],
)
def test_vectors_of_another_encoder_are_refused(tmp_path, other: EncoderStamp):
    Archive.create_or_open(tmp_path, STAMP).add(make_video("a"))
    with pytest.raises(EncoderMismatch, match=r"made with the encoder fake-1\.0"):
        Archive.create_or_open(tmp_path, other)
    assert Archive.open(tmp_path).stamp == STAMP


def test_parts_that_do_not_fit_together_never_reach_the_archive(tmp_path):
    archive = Archive.create_or_open(tmp_path, STAMP)
    item = make_video("a")
    nan = item.clip_vectors.copy()
    nan[0, 0] = np.nan
    for wrong in (
        dataclasses.replace(item, clip_vectors=item.clip_vectors[:-1]),
        dataclasses.replace(item, clip_vectors=item.clip_vectors.astype(np.float32)),
        dataclasses.replace(item, clip_vectors=nan),
        dataclasses.replace(item, scenes=item.scenes[:1]),
        dataclasses.replace(item, segments=()),
        dataclasses.replace(item, video=dataclasses.replace(item.video, video_id="../up")),
    ):
        with pytest.raises(ValueError):
            archive.add(wrong)
    assert archive.snapshot().generation == 0


def test_only_one_process_at_a_time_claims_a_video(tmp_path):
    archive = Archive.create_or_open(tmp_path, STAMP)
    with archive.claim("aa") as mine, archive.claim("aa") as again, archive.claim("bb") as other:
        assert (mine, again, other) == (True, False, True)
    with archive.claim("aa") as mine:
        assert mine
    assert list((tmp_path / "claims").iterdir()) == [], "nothing is left behind"


class TestWhatIsAnArchive:
    def test_an_empty_folder_with_git_s_files_becomes_one(self, tmp_path):
        (tmp_path / ".gitignore").write_text("*")
        (tmp_path / ".gitkeep").touch()
        assert Archive.create_or_open(tmp_path, STAMP).created

    def test_a_folder_with_other_files_is_left_alone(self, tmp_path):
        (tmp_path / "letter.txt").write_text("dear archive")
        with pytest.raises(ArchiveNotFound, match=r"not an archive and holds.*letter\.txt"):
            Archive.create_or_open(tmp_path, STAMP)
        assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]

    def test_a_file_is_left_alone(self, tmp_path):
        film = tmp_path / "film.mp4"
        film.write_bytes(b"film")
        with pytest.raises(ArchiveNotFound, match="is a file, not an archive folder"):
            Archive.create_or_open(film, STAMP)
        with pytest.raises(ArchiveNotFound):
            open_snapshot(film)
        assert film.read_bytes() == b"film"

    def test_a_missing_folder_is_not_made_by_looking(self, tmp_path):
        for look in (Archive.open, open_snapshot, verify):
            with pytest.raises(ArchiveNotFound, match="no archive at"):
                look(tmp_path / "dbs")
        assert list(tmp_path.iterdir()) == []


def test_looking_at_an_archive_loads_no_database_lock_or_index_library(tmp_path):
    Archive.create_or_open(tmp_path, STAMP).add(make_video("a"))
    code = (
        "import sys; from pathlib import Path; from storage.archive import open_snapshot;"
        "assert open_snapshot(Path(sys.argv[1])).live_videos();"
        "loaded = {'plyvel', 'plyvel_next', 'filelock', 'faiss'} & set(sys.modules);"
        "sys.exit(f'loaded {loaded}' if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class AnyHistory(RuleBasedStateMachine):
    """Whatever is added, removed, moved or reopened: the archive shows what a dict would."""

    sound: SoundStamp | None = None

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.archive = Archive.create_or_open(self.path, STAMP, self.sound)
        self.expected: dict[str, tuple[str, int]] = {}

    @rule(name=st.sampled_from("abcde"), clips=st.integers(1, 5))
    def add(self, name, clips):
        item = make_video(name, clips=clips, scenes=1, sound=self.sound)
        self.archive.add(item)
        self.expected[item.video.video_id] = (item.video.path, clips)

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def remove(self, data):
        video_id = data.draw(st.sampled_from(sorted(self.expected)))
        self.archive.remove(video_id)
        del self.expected[video_id]

    @precondition(lambda self: self.expected)
    @rule(data=st.data(), path=st.sampled_from(["/x", "/y"]))
    def relocate(self, data, path):
        video_id = data.draw(st.sampled_from(sorted(self.expected)))
        self.archive.relocate(video_id, (Location(path, 1, 2),))
        self.expected[video_id] = (path, self.expected[video_id][1])

    @rule()
    def reopen(self):
        self.archive = Archive.create_or_open(self.path, STAMP, self.sound)

    @rule()
    def lose_the_view(self):
        (self.path / "view" / "CURRENT").unlink()
        self.archive = Archive.create_or_open(self.path, STAMP, self.sound)

    @invariant()
    def shows_what_a_dict_would(self):
        snapshot = open_snapshot(self.path)
        clips = np.bincount(
            snapshot.clip_table["video"][snapshot.clip_alive], minlength=len(snapshot.videos)
        )
        shown = {v.video_id: (v.path, int(clips[row])) for row, v in snapshot.live_videos()}
        assert shown == self.expected

    def teardown(self):
        assert verify(self.path) == []
        self.folder.cleanup()


class AnyHistoryWithSound(AnyHistory):
    """The same in an archive that keeps sound: what is heard stays with its film."""

    sound = SOUND

    @invariant()
    def sounds_stay_with_their_clips(self):
        snapshot = open_snapshot(self.path)
        for row, video in snapshot.live_videos():
            clips = snapshot.video_rows[row].clips
            name = next(n for n in "abcde" if make_video(n).video.video_id == video.video_id)
            item = make_video(name, clips.stop - clips.start, scenes=1, sound=SOUND)
            assert np.array_equal(snapshot.sound_vectors[clips], item.sound.vectors)


TestAnyHistory = AnyHistory.TestCase
TestAnyHistoryWithSound = AnyHistoryWithSound.TestCase
TestAnyHistory.settings = TestAnyHistoryWithSound.settings = settings(
    max_examples=10,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
