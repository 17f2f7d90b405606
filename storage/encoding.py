"""The bytes of the ledger's records: version and checksum, then JSON or packed numbers.

A record is ``version (1 byte) | CRC-32 (4 bytes, little-endian) | payload``. The checksum covers
the key, the version byte and the payload, so that a value under a wrong key is noticed too.
"""

from __future__ import annotations

import dataclasses
import json
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import ArchiveDamaged, NewerFormat
from storage.records import (
    EncoderStamp,
    IndexedVideo,
    Location,
    Scene,
    Segment,
    SoundStamp,
    VideoRecord,
)

RECORD_VERSION = 1

_HEADER = struct.Struct("<BI")
_COUNTS = struct.Struct("<III")
_SHAPE = struct.Struct("<II")

CLIP_TIME = np.dtype([("start_s", "<f8"), ("end_s", "<f8")])
SCENE = np.dtype([("number", "<u4"), ("start_s", "<f8"), ("end_s", "<f8")])
SEGMENT = np.dtype([("number", "<u4"), ("first_clip", "<u4"), ("clip_count", "<u4")])
VECTOR = np.dtype("<f2")


class BadRecord(Exception):
    """The bytes are not a whole record; `Ledger` turns this into ArchiveDamaged with a place."""


def seal(key: bytes, payload: bytes) -> bytes:
    """Put the header before a payload."""
    version = bytes([RECORD_VERSION])
    return _HEADER.pack(RECORD_VERSION, zlib.crc32(payload, zlib.crc32(key + version))) + payload


def unseal(key: bytes, record: bytes) -> bytes:
    """The payload of a record; BadRecord if it is damaged, NewerFormat if we cannot read it."""
    if len(record) < _HEADER.size:
        raise BadRecord(f"only {len(record)} bytes")
    version, checksum = _HEADER.unpack_from(record)
    payload = record[_HEADER.size :]
    if zlib.crc32(payload, zlib.crc32(key + record[:1])) != checksum:
        raise BadRecord("checksum does not match")
    if version > RECORD_VERSION:
        raise NewerFormat(
            f"the record {key.decode(errors='replace')} was made by a newer reelseek "
            f"(record version {version}; this one reads up to {RECORD_VERSION}): update reelseek."
        )
    return payload


def dump_json(value: Any) -> bytes:
    """Compact JSON in UTF-8, one line; paths that are not UTF-8 survive as escaped surrogates."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode("ascii")


def load_json(payload: bytes) -> Any:
    """The value of `dump_json`; BadRecord if it is not JSON."""
    try:
        return json.loads(payload)
    except ValueError as error:
        raise BadRecord("not JSON") from error


def video_to_json(video: VideoRecord) -> dict[str, Any]:
    """The fields of a record under their own names."""
    fields = dict(vars(video))
    fields["locations"] = [[place.path, place.size, place.mtime_ns] for place in video.locations]
    fields["notes"] = list(video.notes)
    return fields


def video_from_json(fields: Any) -> VideoRecord:
    """The record of `video_to_json`; BadRecord if a field is missing, others are ignored."""
    try:
        known = {name: fields[name] for name in _VIDEO_FIELDS}
        known["locations"] = tuple(Location(*place) for place in known["locations"])
        known["notes"] = tuple(known["notes"])
    except (KeyError, TypeError) as error:
        raise BadRecord(f"not a video: {error}") from error
    return VideoRecord(**known)


_VIDEO_FIELDS = tuple(field.name for field in dataclasses.fields(VideoRecord))


def stamp_to_json(stamp: EncoderStamp | SoundStamp) -> dict[str, Any]:
    """The fields of a stamp under their own names."""
    return dataclasses.asdict(stamp)


def stamp_from_json(fields: Any) -> EncoderStamp:
    """The stamp of `stamp_to_json`; BadRecord if a field is missing."""
    try:
        return EncoderStamp(
            str(fields["encoder_id"]), str(fields["fingerprint"]), int(fields["dim"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadRecord(f"not an encoder stamp: {error}") from error


def sound_stamp_from_json(fields: Any) -> SoundStamp:
    """The stamp of `stamp_to_json`; BadRecord if a field is missing."""
    try:
        return SoundStamp(
            str(fields["encoder_id"]),
            str(fields["fingerprint"]),
            int(fields["dim"]),
            int(fields["tags"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadRecord(f"not a sound stamp: {error}") from error


def pack_membership(item: IndexedVideo) -> bytes:
    """Three counts, then the clip times, scenes and segments as packed rows."""
    scenes = np.array([(s.number, s.start_s, s.end_s) for s in item.scenes], SCENE)
    segments = np.array([(s.number, s.first_clip, s.clip_count) for s in item.segments], SEGMENT)
    clips = np.ascontiguousarray(item.clip_times_s, "<f8")
    counts = _COUNTS.pack(len(clips), len(scenes), len(segments))
    return counts + clips.tobytes() + scenes.tobytes() + segments.tobytes()


def unpack_membership(
    payload: bytes,
) -> tuple[NDArray[np.float64], tuple[Scene, ...], tuple[Segment, ...]]:
    """Clip times (clips, 2) in seconds, scenes, segments; BadRecord if the lengths do not agree."""
    if len(payload) < _COUNTS.size:
        raise BadRecord("membership without counts")
    clips, scenes, segments = _COUNTS.unpack_from(payload)
    sizes = (clips * CLIP_TIME.itemsize, scenes * SCENE.itemsize, segments * SEGMENT.itemsize)
    if len(payload) != _COUNTS.size + sum(sizes):
        raise BadRecord("membership of another length than its counts say")
    at = _COUNTS.size
    times = np.frombuffer(payload, "<f8", 2 * clips, at).reshape(clips, 2).astype(np.float64)
    scene_rows = np.frombuffer(payload, SCENE, scenes, at + sizes[0]).tolist()
    segment_rows = np.frombuffer(payload, SEGMENT, segments, at + sizes[0] + sizes[1]).tolist()
    return (
        times,
        tuple(Scene(*row) for row in scene_rows),
        tuple(Segment(*row) for row in segment_rows),
    )


def pack_vectors(vectors: NDArray[np.float16]) -> bytes:
    """Rows and dimensions, then the rows as float16, little-endian."""
    return _SHAPE.pack(*vectors.shape) + np.ascontiguousarray(vectors, VECTOR).tobytes()


def unpack_vectors(payload: bytes) -> NDArray[np.float16]:
    """(rows, dim) float16; BadRecord if the length does not agree."""
    if len(payload) < _SHAPE.size:
        raise BadRecord("vectors without a shape")
    rows, dim = _SHAPE.unpack_from(payload)
    if len(payload) != _SHAPE.size + rows * dim * VECTOR.itemsize:
        raise BadRecord("vectors of another length than their shape says")
    return np.frombuffer(payload, VECTOR, rows * dim, _SHAPE.size).reshape(rows, dim)


def damaged_video(archive: object, video_id: str, what: str) -> ArchiveDamaged:
    """The error for a video whose records cannot be trusted, with the way out."""
    return ArchiveDamaged(
        f"the ledger of {archive} is damaged: {what} of video {video_id} cannot be read. "
        f"Remove that video (reelseek index remove {video_id}) and index its file again."
    )
