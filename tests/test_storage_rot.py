"""Flipped bits, cut, lost and foreign files: `verify` names what is broken, or finds nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from archives import copy, shown
from strategies import SOUND, STAMP, make_video, same

from storage.archive import Archive, open_snapshot
from storage.errors import (
    ArchiveDamaged,
    NewerFormat,
    ReelseekError,
)
from storage.ledger import open_ledger
from storage.records import SoundStamp
from storage.verify import verify


@pytest.fixture(scope="module", params=[None, SOUND], ids=["without sound", "with sound"])
def sound(request: pytest.FixtureRequest) -> SoundStamp | None:
    """The sound tower of the archive."""
    tower: SoundStamp | None = request.param
    return tower


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory, sound: SoundStamp | None) -> Path:
    """An archive with two videos, a removed one and a FAISS file."""
    path = tmp_path_factory.mktemp("intact") / "dbs"
    archive = Archive.create_or_open(path, STAMP, sound)
    archive.add(make_video("a", clips=1500, scenes=30, sound=sound))
    archive.add(make_video("b", sound=sound))
    archive.remove(make_video("b").video.video_id)
    archive.add(make_video("c", sound=sound))
    assert verify(path) == [] and open_snapshot(path).clip_index is not None
    return path


class TestRot:
    """One flipped bit, or half of the file gone, in every file there is."""

    def damaged_copies(self, intact: Path, part: str, tmp_path: Path) -> Iterator[tuple[str, Path]]:
        names = sorted(
            str(file.relative_to(intact))
            for file in (intact / part).rglob("*")
            if file.is_file() and file.stat().st_size
        )
        assert len(names) >= 4
        for name in names:
            size = (intact / name).stat().st_size
            for at in sorted({0, size // 3, size - 1}):
                path = copy(intact, tmp_path)
                flip_bit(path / name, at, bit=at % 8)
                yield f"{name}, bit at {at}", path
            path = copy(intact, tmp_path)
            os.truncate(path / name, size // 2)
            yield f"{name}, cut in half", path
            path = copy(intact, tmp_path)
            (path / name).unlink()
            yield f"{name}, deleted", path

    def test_in_the_view_is_found_and_mended_from_the_ledger(self, intact, tmp_path):
        for what, path in self.damaged_copies(intact, "view", tmp_path):
            assert verify(path), what
            with contextlib.suppress(ReelseekError):
                assert shown(path) == {"a", "c"}, what
            open_despite_damage(path).rebuild_view()
            assert verify(path) == [], what
            assert shown(path) == {"a", "c"}, what

    def test_in_what_a_search_parses_is_reported_and_the_next_writer_mends_it(
        self, intact, tmp_path, sound
    ):
        epoch = next(entry for entry in (intact / "view").iterdir() if entry.is_dir()).name
        for name in (
            "CURRENT",
            *(
                f"{epoch}/{column}"
                for column in ("videos.jsonl", "clips.table", "scenes.table", "segments.table")
            ),
        ):
            path = copy(intact, tmp_path)
            flip_bit(path / "view" / name, (intact / "view" / name).stat().st_size // 2, bit=1)
            with pytest.raises(ArchiveDamaged, match="nothing is lost, the next"):
                open_snapshot(path)
            Archive.open(path).add(make_video("d", sound=sound))
            assert verify(path) == [] and shown(path) == {"a", "c", "d"}

    def test_in_the_vectors_is_noticed_when_a_new_index_is_made_of_them(
        self, intact, tmp_path, caplog, sound
    ):
        path = copy(intact, tmp_path)
        column = next((path / "view").rglob("clips.f16"))
        flip_bit(column, 1000, bit=3)
        Archive.open(path).add(make_video("d", clips=2000, sound=sound))
        assert "clips.f16: checksum does not match" in caplog.text
        assert verify(path) == [] and shown(path) == {"a", "c", "d"}

    def test_in_the_ledger_is_found_and_searching_goes_on(self, intact, tmp_path, sound):
        found = 0
        for what, path in self.damaged_copies(intact, "ledger", tmp_path):
            assert shown(path) == {"a", "c"}, what
            problems = verify(path)
            found += bool(problems)
            if not problems:  # a file that means nothing, such as LOG
                with open_ledger(path) as ledger:
                    for name, clips, scenes in (("a", 1500, 30), ("c", 6, 2)):
                        item = make_video(name, clips, scenes, sound=sound)
                        assert same(ledger.read(item.video.video_id), item), what
                Archive.open(path).add(make_video("d", sound=sound))
                continue
            try:
                Archive.open(path).add(make_video("d", sound=sound))
            except ArchiveDamaged as error:
                assert "ledger" in str(error), what
            assert {"a", "c"} <= shown(path), what
        assert found > 10

    def test_a_video_with_a_damaged_record_can_be_removed_and_indexed_again(
        self, intact, tmp_path, sound
    ):
        path = copy(intact, tmp_path)
        a = make_video("a", clips=1500, scenes=30, sound=sound)
        key = f"embedding/{a.video.video_id}/clips".encode()
        with open_ledger(path) as ledger, ledger._db.write_batch(transaction=True, sync=True) as b:
            b.put(key, b"rotten")
        with pytest.raises(ArchiveDamaged, match=f"clip vectors of video {a.video.video_id}"):
            Archive.open(path).rebuild_view()
        archive = Archive.open(path)
        archive.remove(a.video.video_id)
        archive.add(a)
        assert verify(path) == [] and shown(path) == {"a", "c"}

    def test_a_lost_ledger_is_not_replaced_by_an_empty_one(self, intact, tmp_path):
        path = copy(intact, tmp_path)
        shutil.rmtree(path / "ledger")
        for open_it in (lambda: Archive.create_or_open(path, STAMP), lambda: Archive.open(path)):
            with pytest.raises(ArchiveDamaged, match="missing"):
                open_it()
        assert shown(path) == {"a", "c"}


def flip_bit(path: Path, at: int, bit: int) -> None:
    mode = path.stat().st_mode
    path.chmod(mode | stat.S_IWUSR)
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(bytes(data))


def open_despite_damage(path: Path) -> Archive:
    """Open an archive; a CURRENT that reads like a newer format has to be deleted first."""
    try:
        return Archive.open(path)
    except NewerFormat:
        shutil.rmtree(path / "view")
        return Archive.open(path)
