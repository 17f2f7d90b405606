"""The bytes of the ledger's records: whatever goes in comes out, and no flipped bit goes unseen."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import DIM, indexed_videos, make_video, video_records

from storage import encoding
from storage.errors import NewerFormat


@given(video_records())
def test_metadata_survives_the_round_trip_through_json(video):
    payload = encoding.dump_json(encoding.video_to_json(video))
    assert encoding.video_from_json(encoding.load_json(payload)) == video
    assert b"\n" not in payload, "a record must stay one line of videos.jsonl"


@given(indexed_videos())
def test_times_scenes_and_segments_survive_the_round_trip(item):
    times, scenes, segments = encoding.unpack_membership(encoding.pack_membership(item))
    assert (times == item.clip_times_s).all()
    assert (scenes, segments) == (item.scenes, item.segments)


@given(indexed_videos())
def test_vectors_survive_bit_by_bit(item):
    back = encoding.unpack_vectors(encoding.pack_vectors(item.clip_vectors))
    assert back.tobytes() == item.clip_vectors.tobytes() and back.shape[1] == DIM


@given(st.binary(max_size=60), st.data())
def test_one_flipped_bit_anywhere_in_a_record_is_noticed(payload, data):
    record = bytearray(encoding.seal(b"video/x", payload))
    bit = data.draw(st.integers(0, 8 * len(record) - 1))
    record[bit // 8] ^= 1 << bit % 8
    with pytest.raises(encoding.BadRecord):
        encoding.unseal(b"video/x", bytes(record))


@given(st.binary(max_size=60), st.data())
def test_a_record_that_was_cut_short_is_noticed(payload, data):
    record = encoding.seal(b"video/x", payload)
    length = data.draw(st.integers(0, len(record) - 1))
    with pytest.raises(encoding.BadRecord):
        encoding.unseal(b"video/x", record[:length])


def test_a_record_under_another_video_s_key_is_noticed():
    record = encoding.seal(b"video/aaaa", b"{}")
    with pytest.raises(encoding.BadRecord):
        encoding.unseal(b"video/bbbb", record)


def test_a_record_of_a_later_version_asks_for_an_update():
    key, version, payload = b"video/x", bytes([encoding.RECORD_VERSION + 1]), b"who knows"
    record = version + struct.pack("<I", zlib.crc32(key + version + payload)) + payload
    with pytest.raises(NewerFormat, match=r"made by a newer reelseek.*update reelseek"):
        encoding.unseal(key, record)


def test_fields_that_a_later_minor_version_adds_are_ignored():
    video = make_video("a").video
    fields = encoding.video_to_json(video) | {"colour_space": "bt709"}
    assert encoding.video_from_json(fields) == video


def test_the_documented_bytes_of_a_small_record():
    """Written out by hand from docs/internals/storage-format.md, not by the code under test."""
    item = make_video("a", clips=1, scenes=1)
    assert encoding.pack_membership(item) == (
        struct.pack("<III", 1, 1, 1)
        + struct.pack("<dd", 0.0, 2.0)
        + struct.pack("<Idd", 1, 0.0, 2.0)
        + struct.pack("<III", 0, 0, 1)
    )
    halves = item.clip_vectors[0].tolist()
    assert encoding.pack_vectors(item.clip_vectors) == struct.pack(f"<II{DIM}e", 1, DIM, *halves)
