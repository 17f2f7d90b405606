"""The directory of a zip archive, read strictly: names, sizes, and where the bytes lie.

Nothing is ever unpacked. An archive is refused when it could mean different things to different
readers (two members of one name, members that overlap, headers that contradict each other) or
names a place outside of itself. Layout: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.3.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from storage.checkpoints.errors import SAVE_AGAIN, Forbidden, Malformed, shown

MAX_MEMBERS = 65_536
_STORED = 0
_DEFLATE_LIMIT = 1032
"""Deflate cannot shrink anything further than this."""

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_IN_EXTRA, _IN_EXTRA_16 = 0xFFFFFFFF, 0xFFFF


@dataclass(frozen=True)
class Member:
    """One file in the archive."""

    name: str
    header: int
    """Offset of its own header, in bytes."""
    start: int
    """Offset of its data."""
    size: int
    """Bytes of its data as they lie there."""
    stored: bool
    """Whether the data lie there as they are, not compressed."""
    crc32: int
    """0 where torch was told not to compute it."""

    def read(self, data: memoryview) -> memoryview:
        """Its bytes, as a part of the archive's.

        Raises:
            Malformed: they are compressed, or not those that were written.
        """
        if not self.stored:
            raise Malformed(f"its member {shown(self.name)} is compressed", SAVE_AGAIN)
        content = data[self.start : self.start + self.size]
        if self.crc32 and zlib.crc32(content) != self.crc32:
            raise Malformed(f"its member {shown(self.name)} fails its checksum")
        return content


def read_directory(data: memoryview) -> dict[str, Member]:
    """Every member of an archive by name; folders are left out.

    Raises:
        Forbidden: a name leads out of the archive, or stands for two members.
        Malformed: no zip archive, cut short, encrypted, or one that contradicts itself.
    """
    start, size, count = _find_directory(data)
    members: dict[str, Member] = {}
    at = start
    for _ in range(count):
        member, at = _read_entry(data, at, start, start + size)
        if member.name in members:
            raise Forbidden(f"holds two members named {shown(member.name)}")
        members[member.name] = member
    if at != start + size:
        raise Malformed("its directory has not the size it should have")
    _check_overlap(list(members.values()))
    return {name: member for name, member in members.items() if not name.endswith("/")}


def _find_directory(data: memoryview) -> tuple[int, int, int]:
    """Offset, size and number of entries of the directory."""
    tail_start = max(0, len(data) - _END.size - 0xFFFF)
    tail = bytes(data[tail_start:])
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + _END.size > len(tail):
        raise Malformed("the end of its zip archive is missing")
    _, disk, first, here, count, size, start, comment = _END.unpack_from(tail, at)
    end = tail_start + at
    if end + _END.size + comment != len(data) or disk or first or here != count:
        raise Malformed("its zip archive does not end as it should")
    locator = end - _LOCATOR64.size
    if locator >= 0 and bytes(data[locator : locator + 4]) == b"PK\6\7":
        in_short = (start, size, count)
        start, size, count, end = _find_directory64(data, locator)
        # Where the short record has room for a number, it must say the same.
        for number, short in zip((start, size, count), in_short, strict=True):
            if short not in (number, _IN_EXTRA, _IN_EXTRA_16):
                raise Malformed("its zip archive ends in two ways")
    if start + size != end or count > MAX_MEMBERS:
        raise Malformed("its zip archive does not end as it should")
    return start, size, count


def _find_directory64(data: memoryview, locator: int) -> tuple[int, int, int, int]:
    """Offset, size and number of entries of the directory, and where the record of them lies."""
    _, disk, at, disks = _LOCATOR64.unpack_from(data, locator)
    if disk or disks > 1 or at + _END64.size > locator:
        raise Malformed("its zip archive does not end as it should")
    signature, own, _, _, disk, first, here, count, size, start = _END64.unpack_from(data, at)
    if signature != b"PK\6\6" or own + 12 != locator - at or disk or first or here != count:
        raise Malformed("its zip archive does not end as it should")
    return start, size, count, at


def _read_entry(data: memoryview, at: int, directory: int, end: int) -> tuple[Member, int]:
    """One member from the directory and its own header; and where the next entry begins."""
    if at + _CENTRAL.size > end:
        raise Malformed("its directory is cut short")
    fields = _CENTRAL.unpack_from(data, at)
    signature, _, _, flags, method, _, _, crc32, packed, unpacked = fields[:10]
    name_size, extra_size, comment_size, disk, _, _, header = fields[10:]
    name_at = at + _CENTRAL.size
    extra_at = name_at + name_size
    next_at = extra_at + extra_size + comment_size
    if signature != b"PK\1\2" or next_at > end or disk not in (0, _IN_EXTRA_16):
        raise Malformed("its directory is damaged")
    raw_name = bytes(data[name_at:extra_at])
    extra = bytes(data[extra_at : extra_at + extra_size])
    unpacked, packed, header = _with_zip64(extra, (unpacked, packed, header))
    name = _checked_name(raw_name)
    if flags & 0x2041:
        raise Malformed(f"its member {shown(name)} is encrypted", SAVE_AGAIN)
    stored = method == _STORED
    if (packed != unpacked) if stored else (unpacked > _DEFLATE_LIMIT * packed + 64):
        raise Malformed(f"its member {shown(name)} claims a size that it cannot have")
    start = _data_start(data, header, directory, raw_name, method)
    if start + packed > directory:
        raise Malformed(f"its member {shown(name)} reaches beyond the archive")
    return Member(name, header, start, packed, stored, crc32), next_at


def _with_zip64(extra: bytes, values: tuple[int, int, int]) -> tuple[int, int, int]:
    """Sizes and offset, the ones that did not fit into 32 bits from the zip64 field."""
    if _IN_EXTRA not in values:
        return values
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, at)
        at += 4
        if kind == 1:
            field = extra[at : at + size]
            numbers = iter([n for (n,) in struct.iter_unpack("<Q", field[: size // 8 * 8])])
            full = [next(numbers, None) if value == _IN_EXTRA else value for value in values]
            if None not in full:
                return full[0] or 0, full[1] or 0, full[2] or 0
            break
        at += size
    raise Malformed("its directory is damaged")


def _data_start(data: memoryview, at: int, directory: int, name: bytes, method: int) -> int:
    """Where the data of a member begin, after checking that its own header agrees."""
    if at + _LOCAL.size > directory:
        raise Malformed("its directory is damaged")
    signature, _, _, own_method, *_, name_size, extra_size = _LOCAL.unpack_from(data, at)
    name_at = at + _LOCAL.size
    own_name = bytes(data[name_at : name_at + name_size])
    if signature != b"PK\3\4" or own_name != name or own_method != method:
        raise Malformed("its directory contradicts its members")
    return int(name_at + name_size + extra_size)


def _checked_name(raw: bytes) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("one of its members has no readable name") from None
    parts = name.removesuffix("/").split("/")
    if {"", ".", ".."} & set(parts) or any(letter in name for letter in "\\:\0"):
        raise Forbidden(f"holds a member named {shown(name)}, which leads out of the archive")
    return name


def _check_overlap(members: list[Member]) -> None:
    end = 0
    for member in sorted(members, key=lambda member: member.header):
        if member.header < end:
            raise Malformed(f"its member {shown(member.name)} overlaps another")
        end = member.start + member.size
