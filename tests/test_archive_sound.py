"""An archive that keeps sound: what stands beside the clips, what it refuses, who can read it."""

from __future__ import annotations

import dataclasses
import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import SOUND, STAMP, make_video, probabilities

from storage import current as layout
from storage import encoding, formats, locks
from storage.archive import Archive, open_snapshot, stamps_of
from storage.errors import ArchiveDamaged, EncoderMismatch, NewerFormat
from storage.ledger import Change, open_ledger
from storage.locks import writer_lock
from storage.records import SoundFeatures, SoundStamp
from storage.verify import verify


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.create_or_open(tmp_path, STAMP, SOUND)


class TestWhatASearchSees:
    def test_vectors_and_tags_stand_beside_the_clips_of_all_videos(self, archive):
        a, b = make_video("a", clips=80, sound=SOUND), make_video("b", clips=4, sound=SOUND)
        archive.add(a)
        archive.add(b)
        snapshot = archive.snapshot()
        assert snapshot.sound_stamp == SOUND
        assert len(snapshot.sound_vectors) == len(snapshot.sound_tags) == len(snapshot.clip_table)
        assert np.array_equal(snapshot.sound_vectors[:80], a.sound.vectors)
        assert np.array_equal(snapshot.sound_vectors[80:], b.sound.vectors)
        row = snapshot.sound_tags[81]
        assert row["label"][0] == b.sound.tags[1].argmax()
        assert row["probability"].tolist() == sorted(b.sound.tags[1].tolist())[:-17:-1]
        assert np.array_equal(b.sound.tags[1][row["label"]], row["probability"])

    def test_they_are_mapped_and_not_to_be_written(self, archive):
        archive.add(make_video("a", sound=SOUND))
        snapshot = archive.snapshot()
        for mapped in (snapshot.sound_vectors, snapshot.sound_tags):
            assert isinstance(mapped, np.memmap) and not mapped.flags.writeable

    def test_an_archive_without_videos_gives_empty_columns_of_the_right_shape(self, archive):
        snapshot = archive.snapshot()
        assert snapshot.sound_vectors.shape == (0, SOUND.dim)
        assert snapshot.sound_tags.shape == (0, layout.TAGS_KEPT)
        assert snapshot.sound_tags.dtype == layout.TAG

    def test_without_sound_there_is_none(self, tmp_path):
        archive = Archive.create_or_open(tmp_path, STAMP)
        archive.add(make_video("a"))
        snapshot = archive.snapshot()
        assert snapshot.sound_stamp is snapshot.sound_vectors is snapshot.sound_tags is None

    def test_a_silent_film_has_zeros(self, archive):
        a = make_video("a", clips=3, sound=SOUND)
        silence = SoundFeatures(np.zeros_like(a.sound.vectors), np.zeros_like(a.sound.tags))
        archive.add(dataclasses.replace(a, sound=silence))
        snapshot = archive.snapshot()
        assert not snapshot.sound_vectors.any() and not snapshot.sound_tags["probability"].any()
        assert verify(archive.path) == []

    def test_a_tower_that_names_few_kinds_of_sound_has_narrower_rows(self, tmp_path):
        few = dataclasses.replace(SOUND, tags=3)
        archive = Archive.create_or_open(tmp_path, STAMP, few)
        archive.add(make_video("a", sound=few))
        assert archive.snapshot().sound_tags.shape == (6, 3)
        assert verify(tmp_path) == []

    def test_a_tower_that_names_nothing_has_vectors_alone(self, tmp_path):
        nameless = dataclasses.replace(SOUND, tags=0)
        archive = Archive.create_or_open(tmp_path, STAMP, nameless)
        assert archive.snapshot().sound_vectors.shape == (0, SOUND.dim)
        items = [make_video(name, clips=4, sound=nameless) for name in "ab"]
        for item in items:
            archive.add(item)
        archive.remove(items[0].video.video_id)
        before = archive.snapshot()
        archive.rebuild_view()
        for snapshot in (before, archive.snapshot()):
            assert snapshot.sound_stamp == nameless and snapshot.sound_tags is None
            heard = snapshot.sound_vectors[snapshot.clip_alive]
            assert np.array_equal(heard, items[1].sound.vectors)
        assert not list(tmp_path.rglob(layout.TAG_TABLE))
        assert verify(tmp_path) == []

    def test_a_replaced_video_is_heard_as_it_is_now(self, archive):
        archive.add(make_video("a", clips=3, sound=SOUND))
        archive.add(make_video("b", clips=4, sound=SOUND))
        again = make_video("a", clips=5, sound=SOUND)
        archive.add(again)
        snapshot = archive.snapshot()
        alive = snapshot.sound_vectors[snapshot.clip_alive & (snapshot.clip_table["video"] == 2)]
        assert np.array_equal(alive, again.sound.vectors)
        assert verify(archive.path) == []

    def test_a_view_made_anew_is_the_same(self, archive):
        for name in "abc":
            archive.add(make_video(name, clips=40, sound=SOUND))
        before = {v.path: row for row, v in archive.snapshot().live_videos()}
        old = archive.snapshot()
        archive.rebuild_view()
        new = archive.snapshot()
        for row, video in new.live_videos():
            then, now = old.video_rows[before[video.path]].clips, new.video_rows[row].clips
            assert np.array_equal(old.sound_vectors[then], new.sound_vectors[now])
            assert np.array_equal(old.sound_tags[then], new.sound_tags[now])


@given(st.tuples(st.integers(1, 4), st.integers(1, 40)).flatmap(probabilities))
def test_the_most_likely_tags_are_those_that_sorting_all_would_give(tags):
    kept = layout.most_likely(tags)
    for found, row in zip(kept.tolist(), tags.tolist(), strict=True):
        by_hand = sorted(range(len(row)), key=lambda label: (-row[label], label))
        assert found == [(label, row[label]) for label in by_hand[: layout.TAGS_KEPT]]


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("made_with", "opened_with", "sentence"),
        [
            (SOUND, None, r"made with the sound tower fake-ears-1\.0 \(.{12}\), not without sound"),
            (None, SOUND, r"made without sound, not with the sound tower fake-ears-1\.0"),
            *(
                (SOUND, dataclasses.replace(SOUND, **other), r"made with the sound tower fake-ears")
                for other in (
                    {"encoder_id": "other-2.0"},
                    {"fingerprint": "0" * 64},
                    {"dim": 6},
                    {"tags": 21},
                )
            ),
        ],
    )
    def test_another_tower_or_none_is_sent_to_a_new_archive(
        self, tmp_path, made_with, opened_with, sentence
    ):
        Archive.create_or_open(tmp_path, STAMP, made_with).add(make_video("a", sound=made_with))
        with pytest.raises(EncoderMismatch, match=sentence + r".*another folder with --db"):
            Archive.create_or_open(tmp_path, STAMP, opened_with)
        assert Archive.open(tmp_path).sound == made_with
        assert len(open_snapshot(tmp_path).live_videos()) == 1

    def test_sound_that_does_not_fit_never_reaches_the_archive(self, archive):
        item = make_video("a", sound=SOUND)
        vectors, tags = item.sound.vectors, item.sound.tags

        def changed(values: np.ndarray, value: float) -> np.ndarray:
            values = values.copy()
            values[1, 2] = value
            return values

        for wrong in (
            None,
            SoundFeatures(vectors[:-1], tags),
            SoundFeatures(vectors, tags[:-1]),
            SoundFeatures(vectors[:, :-1], tags),
            SoundFeatures(vectors, tags[:, :-1]),
            SoundFeatures(vectors.astype(np.float32), tags),
            SoundFeatures(vectors, tags.astype(np.float32)),
            SoundFeatures(changed(vectors, np.nan), tags),
            SoundFeatures(changed(vectors, np.inf), tags),
            SoundFeatures(vectors, changed(tags, np.nan)),
            SoundFeatures(vectors, changed(tags, -0.001)),
            SoundFeatures(vectors, changed(tags, 1.001)),
        ):
            with pytest.raises(ValueError, match="sound"):
                archive.add(dataclasses.replace(item, sound=wrong))
        assert archive.snapshot().generation == 0

    def test_an_archive_without_sound_takes_none(self, tmp_path):
        archive = Archive.create_or_open(tmp_path, STAMP)
        with pytest.raises(ValueError, match="archive without sound: sound"):
            archive.add(make_video("a", sound=SOUND))
        assert archive.snapshot().generation == 0


class TestWhatAnArchiveWasMadeWith:
    @pytest.mark.parametrize("sound", [None, SOUND])
    def test_it_is_told_even_while_another_process_writes(self, tmp_path, monkeypatch, sound):
        monkeypatch.setattr(locks, "PATIENCE_S", 0.2)
        Archive.create_or_open(tmp_path, STAMP, sound)
        with writer_lock(tmp_path), open_ledger(tmp_path):
            assert stamps_of(tmp_path) == (STAMP, sound)

    @pytest.mark.parametrize("sound", [None, SOUND])
    def test_without_a_view_the_ledger_tells(self, tmp_path, sound):
        Archive.create_or_open(tmp_path, STAMP, sound)
        shutil.rmtree(tmp_path / "view")
        assert stamps_of(tmp_path) == (STAMP, sound)

    def test_where_there_is_no_archive_nothing_is_told_and_nothing_made(self, tmp_path):
        film = tmp_path / "film.mp4"
        film.write_bytes(b"film")
        for path in (tmp_path, tmp_path / "dbs", film):
            assert stamps_of(path) is None
        assert list(tmp_path.iterdir()) == [film]


class TestVerify:
    def test_nameless_sound_that_differs_between_ledger_and_view_is_found(self, tmp_path):
        nameless = dataclasses.replace(SOUND, tags=0)
        a = make_video("a", sound=nameless)
        Archive.create_or_open(tmp_path, STAMP, nameless).add(a)
        rows = encoding.pack_vectors(a.sound.vectors[::-1])
        _put(tmp_path, f"embedding/{a.video.video_id}/sounds", rows)
        assert verify(tmp_path) == [f"video {a.video.video_id} is not the same in ledger and view"]

    @pytest.mark.parametrize("kind", ["sounds", "tags"])
    def test_sound_that_differs_between_ledger_and_view_is_found(self, archive, kind):
        a = make_video("a", sound=SOUND)
        archive.add(a)
        archive.add(make_video("b", sound=SOUND))
        rows = a.sound.vectors if kind == "sounds" else a.sound.tags
        _put(
            archive.path, f"embedding/{a.video.video_id}/{kind}", encoding.pack_vectors(rows[::-1])
        )
        assert verify(archive.path) == [
            f"video {a.video.video_id} is not the same in ledger and view"
        ]

    def test_a_missing_record_names_the_video_which_can_be_removed(self, archive):
        a, b = make_video("a", sound=SOUND), make_video("b", sound=SOUND)
        archive.add(a)
        archive.add(b)
        with (
            open_ledger(archive.path) as ledger,
            ledger._db.write_batch(transaction=True, sync=True) as batch,
        ):
            batch.delete(f"embedding/{a.video.video_id}/tags".encode())
        assert [a.video.video_id in problem for problem in verify(archive.path)] == [True]
        with pytest.raises(ArchiveDamaged, match="the tags of the sound of video"):
            archive.rebuild_view()
        archive.remove(a.video.video_id)
        assert verify(archive.path) == []


class TestFormats:
    def test_an_archive_without_sound_is_what_version_0_1_0_makes(self, tmp_path):
        """The very bytes that the first release wrote, and nothing beside them."""
        Archive.create_or_open(tmp_path, STAMP)
        encoder = f'{{"dim":8,"encoder_id":"fake-1.0","fingerprint":"{STAMP.fingerprint}"}}'
        assert _payload(tmp_path, "settings").decode() == f'{{"encoder":{encoder},"format":1}}'
        columns = (
            "clips.f16",
            "clips.table",
            "scenes.f16",
            "scenes.table",
            "segments.table",
            "videos.jsonl",
        )
        nothing = ",".join(f'"{name}":{{"crc32":0,"size":0}}' for name in columns)
        assert (tmp_path / "view" / "CURRENT").read_text().splitlines()[0] == (
            f'{{"clip_index":null,"columns":{{{nothing}}},"encoder":{encoder},"epoch":"000001",'
            '"format":1,"generation":0,"scene_index":null}'
        )
        assert {path.name for path in (tmp_path / "view" / "000001").iterdir()} == set(columns)

    def test_and_stays_so_whatever_is_added_and_removed(self, tmp_path):
        archive = Archive.create_or_open(tmp_path, STAMP)
        a, b = make_video("a").video.video_id, make_video("b").video.video_id
        archive.add(make_video("a"))
        archive.add(make_video("b"))
        archive.remove(a)
        with open_ledger(tmp_path) as ledger:
            keys = {key.decode() for key in ledger._db.iterator(include_value=False)}
        assert keys == {
            "settings",
            "generation",
            *(f"journal/{generation:020d}" for generation in (1, 2, 3)),
            f"video/{b}",
            f"membership/{b}",
            f"embedding/{b}/clips",
            f"embedding/{b}/scenes",
        }
        assert _current(tmp_path)["format"] == 1 and "sound" not in _current(tmp_path)
        assert set(_current(tmp_path)["columns"]) == set(layout.COLUMNS)

    def test_an_archive_with_sound_says_so_in_ledger_and_view(self, archive):
        stamp = {
            "encoder_id": "fake-ears-1.0",
            "fingerprint": SOUND.fingerprint,
            "dim": 5,
            "tags": 20,
        }
        for fields in (json.loads(_payload(archive.path, "settings")), _current(archive.path)):
            assert fields["format"] == 2 and fields["sound"] == stamp

    def test_one_whose_tower_names_nothing_is_kept_from_versions_that_want_tags(
        self, tmp_path, monkeypatch
    ):
        nameless = dataclasses.replace(SOUND, tags=0)
        Archive.create_or_open(tmp_path, STAMP, nameless)
        assert json.loads(_payload(tmp_path, "settings"))["format"] == 3
        assert _current(tmp_path)["format"] == 3
        monkeypatch.setattr(formats, "FORMAT", 2)
        for look in (open_snapshot, Archive.open, verify, stamps_of):
            with pytest.raises(NewerFormat, match=r"format 3; this one reads up to 2\): update"):
                look(tmp_path)

    def test_a_version_that_knows_format_1_only_refuses_it_in_words(self, archive, monkeypatch):
        archive.add(make_video("a", sound=SOUND))
        monkeypatch.setattr(formats, "FORMAT", 1)
        for look in (open_snapshot, Archive.open, verify, stamps_of):
            with pytest.raises(NewerFormat, match=r"format 2; this one reads up to 1\): update"):
                look(archive.path)

    @pytest.mark.parametrize("sound", [{}, {"encoder_id": "x", "fingerprint": "y", "dim": 5}])
    def test_settings_of_format_2_without_a_whole_sound_stamp_are_damaged(self, archive, sound):
        fields = json.loads(_payload(archive.path, "settings")) | {"sound": sound}
        _put(archive.path, "settings", encoding.dump_json(fields))
        with pytest.raises(ArchiveDamaged, match="settings: not a sound stamp"):
            Archive.open(archive.path)

    def test_the_documented_bytes_of_a_clip_s_sound(self, archive):
        """Written out by hand from docs/internals/storage-format.md, not by the code under test."""
        item = make_video("a", clips=1, sound=SOUND)
        archive.add(item)
        epoch = archive.path / "view" / "000001"
        vector, tags = item.sound.vectors[0].tolist(), item.sound.tags[0].tolist()
        assert (epoch / "sounds.f16").read_bytes() == struct.pack("<5e", *vector)
        best = sorted(range(20), key=lambda label: (-tags[label], label))[:16]
        pairs = [number for label in best for number in (label, tags[label])]
        assert (epoch / "tags.table").read_bytes() == struct.pack("<" + "He" * 16, *pairs)
        records = {"sounds": vector, "tags": tags}
        for kind, row in records.items():
            assert _payload(archive.path, f"embedding/{item.video.video_id}/{kind}") == (
                struct.pack("<II", 1, len(row)) + struct.pack(f"<{len(row)}e", *row)
            )

    def test_a_view_of_another_tower_than_the_ledger_s_is_made_anew(self, archive, tmp_path):
        archive.add(make_video("a", sound=SOUND))
        current = layout.read_current(archive.path)
        other = dataclasses.replace(current, sound=SoundStamp("other-1", "0" * 64, 5, 20))
        (archive.path / "view" / "CURRENT").write_bytes(layout.encode(other))
        assert "view: names another encoder or sound tower" in verify(archive.path)[0]
        Archive.open(archive.path)
        assert open_snapshot(archive.path).sound_stamp == SOUND
        assert verify(archive.path) == []


def test_a_commit_of_several_videos_keeps_each_one_s_sound(archive):
    items = tuple(make_video(name, clips=3, sound=SOUND) for name in "abc")
    archive._commit(lambda _: Change(put=items))
    expected = np.concatenate([item.sound.vectors for item in items])
    assert np.array_equal(archive.snapshot().sound_vectors, expected)


def _current(path: Path) -> dict[str, object]:
    fields: dict[str, object] = json.loads((path / "view" / "CURRENT").read_text().split("\n")[0])
    return fields


def _payload(path: Path, key: str) -> bytes:
    with open_ledger(path) as ledger:
        return encoding.unseal(key.encode(), ledger._db.get(key.encode(), verify_checksums=True))


def _put(path: Path, key: str, payload: bytes) -> None:
    """Change a record of the ledger, with a good checksum."""
    with open_ledger(path) as ledger, ledger._db.write_batch(transaction=True, sync=True) as batch:
        batch.put(key.encode(), encoding.seal(key.encode(), payload))
