"""The ledger: LevelDB as the truth, in whole commits, with a journal."""

from __future__ import annotations

from pathlib import Path

import pytest
from archives import with_and_without_sound
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import SOUND, STAMP, indexed_videos, make_video, same

from storage.errors import ArchiveDamaged, NewerFormat
from storage.formats import FORMAT
from storage.ledger import Change, create_ledger, open_ledger


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    create_ledger(tmp_path, STAMP)
    return tmp_path


@pytest.fixture
def archive_with_sound(tmp_path: Path) -> Path:
    create_ledger(tmp_path, STAMP, SOUND)
    return tmp_path


def test_a_new_ledger_is_empty_and_knows_its_encoder(archive):
    with open_ledger(archive) as ledger:
        assert ledger.stamps() == (STAMP, None)
        assert ledger.generation() == 0
        assert ledger.video_ids() == []
        assert ledger.journal(0) == []


@given(item=indexed_videos())
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_a_commit_puts_in_comes_out_after_reopening(archive, item):
    with open_ledger(archive) as ledger:
        ledger.commit(Change(put=(item,)))
    with open_ledger(archive) as ledger:
        assert same(ledger.read(item.video.video_id), item)


@given(item=indexed_videos(sound=SOUND))
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_heard_comes_out_too_after_reopening(archive_with_sound, item):
    with open_ledger(archive_with_sound) as ledger:
        assert ledger.stamps() == (STAMP, SOUND)
        ledger.commit(Change(put=(item,)))
    with open_ledger(archive_with_sound) as ledger:
        assert same(ledger.read(item.video.video_id), item)


def test_each_commit_raises_the_generation_and_leaves_a_journal_entry(archive):
    a, b = make_video("a"), make_video("b")
    with open_ledger(archive) as ledger:
        assert ledger.commit(Change(put=(a,))) == 1
        assert ledger.commit(Change(put=(b,), removed=(a.video.video_id,))) == 2
        assert ledger.commit(Change(relocated=(b.video,))) == 3
        entries = ledger.journal(after=1)
    assert [entry.generation for entry in entries] == [2, 3]
    assert entries[0].put == (b.video.video_id,)
    assert entries[0].removed == (a.video.video_id,)
    assert entries[1].relocated == (b.video.video_id,)


@with_and_without_sound
def test_removing_a_video_leaves_nothing_of_it(tmp_path, sound):
    create_ledger(tmp_path, STAMP, sound)
    a, b = make_video("a", sound=sound), make_video("b", sound=sound)
    with open_ledger(tmp_path) as ledger:
        ledger.commit(Change(put=(a, b)))
        ledger.commit(Change(removed=(a.video.video_id,)))
        assert ledger.video_ids() == [b.video.video_id]
        keys = [key for key in ledger._db.iterator(include_value=False)]
        with pytest.raises(KeyError):
            ledger.read(a.video.video_id)
    left = [key for key in keys if a.video.video_id.encode() in key]
    assert left == []


RECORDS = {
    "video/{}": "the metadata",
    "membership/{}": "the list of clips and scenes",
    "embedding/{}/clips": "the clip vectors",
    "embedding/{}/scenes": "the scene vectors",
    "embedding/{}/sounds": "the sound vectors",
    "embedding/{}/tags": "the tags of the sound",
}


@pytest.mark.parametrize("key", RECORDS)
def test_a_damaged_record_names_the_video_and_what_is_lost(archive_with_sound, key):
    a, b = make_video("a", sound=SOUND), make_video("b", sound=SOUND)
    with open_ledger(archive_with_sound) as ledger:
        ledger.commit(Change(put=(a, b)))
        name = key.format(a.video.video_id).encode()
        value = bytearray(ledger._db.get(name, verify_checksums=True))
        value[-1] ^= 1
        with ledger._db.write_batch(transaction=True, sync=True) as batch:
            batch.put(name, bytes(value))
        with pytest.raises(ArchiveDamaged) as caught:
            ledger.read(a.video.video_id)
        assert a.video.video_id in str(caught.value) and RECORDS[key] in str(caught.value)
        assert "index remove" in str(caught.value)
        assert same(ledger.read(b.video.video_id), b), "the other video is still readable"
        assert [name.decode() in problem for problem in ledger.unreadable_records()] == [True]


@given(later=st.integers(FORMAT + 1, 99))
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_ledger_of_a_newer_format_is_refused_in_words(archive, later):
    set_format(archive, later)
    with (
        open_ledger(archive) as ledger,
        pytest.raises(
            NewerFormat,
            match=rf"made by a newer reelseek \(format {later}; this one reads up to {FORMAT}\)",
        ),
    ):
        ledger.stamps()


def set_format(archive: Path, number: int) -> None:
    """Make the ledger look as if a later reelseek had written it."""
    from storage import encoding

    value = {"format": number, "encoder": {"unheard": "of"}}
    with open_ledger(archive) as ledger, ledger._db.write_batch(transaction=True, sync=True) as b:
        b.put(b"settings", encoding.seal(b"settings", encoding.dump_json(value)))
