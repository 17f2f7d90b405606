"""Fetching one large file over https: resumed where it was cut off, believed only by checksum."""

from __future__ import annotations

import hashlib
import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

from storage.errors import BundleError

TIMEOUT_S = 30.0
"""Without a byte for so long, a connection counts as lost."""

_ATTEMPTS = 5
"""In a row that bring not a byte, before fetching is given up."""

_PAUSE_S = 1.0
"""Before a server that is too busy is asked again; twice as long each time."""

_CHUNK = 2**18
_MAX_BYTES = 16 * 2**30

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there, and those that there will be, if the server says it."""


class NotFetched(BundleError):
    """A file could not be fetched, or not completely; what came of it is kept for the next time."""


class NotOffered(NotFetched):
    """The server has no such file for us, and asking again would bring the same answer."""


class WrongContent(BundleError):
    """What was fetched is not the file that it should be, and was thrown away."""


class Opener(Protocol):
    """Opens a request, as `urllib.request.OpenerDirector` does."""

    def open(self, fullurl: urllib.request.Request, /, *, timeout: float | None) -> Any: ...


@dataclass(frozen=True)
class Expected:
    """A checksum, by which a file is known whoever hands it over."""

    sha256: str = ""
    """In hex; "" where `git_blob` is given."""
    git_blob: str = ""

    def fits(self, file: Path) -> bool:
        """Whether the file has that checksum."""
        if self.sha256:
            digest = hashlib.sha256()
        else:
            digest = hashlib.sha1(b"blob %d\0" % file.stat().st_size, usedforsecurity=False)
        with file.open("rb") as opened:
            while chunk := opened.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest() == (self.sha256 or self.git_blob)


class _HttpsOnly(urllib.request.BaseHandler):
    """Refuses every request that is not encrypted, redirected ones too."""

    def http_request(self, request: urllib.request.Request) -> NoReturn:
        raise urllib.error.URLError(f"{request.full_url} is not https")

    ftp_request = file_request = http_request


def https_opener() -> urllib.request.OpenerDirector:
    """What fetches: https alone, by the proxies that the environment names."""
    return urllib.request.build_opener(_HttpsOnly())


def fetch(
    url: str,
    target: Path,
    expected: Expected,
    progress: Progress = lambda _done, _total: None,
    opener: Opener | None = None,
) -> None:
    """Fetch a file; it has its name once its checksum is right, and is `target`.part until then.

    A part that is there already is gone on from, if the server can and the file is still the same.

    Raises:
        NotOffered: the server has no such file, or does not let us have it.
        NotFetched: there is no network, the server stays too busy, or the connection is lost again
            and again.
        WrongContent: the checksum is another.
        OSError: the disk is full, or the folder cannot be written.
    """
    if target.exists() and expected.fits(target):
        return
    part = target.with_name(f"{target.name}.part")
    opener = opener or https_opener()
    went_on = _size(part) > 0
    _receive_all(url, part, opener, progress)
    if went_on and not expected.fits(part):  # perhaps a part of an older file: begin again
        _forget(part)
        _receive_all(url, part, opener, progress)
    if not expected.fits(part):
        _forget(part)
        raise WrongContent(
            f"What {url} sends is not the file that it should be: its checksum is not "
            f"{expected.sha256 or expected.git_blob}. It was thrown away; if that happens again, "
            "the file has been changed there, and is not to be trusted."
        )
    part.replace(target)
    _forget(part)


def _receive_all(url: str, part: Path, opener: Opener, progress: Progress) -> None:
    """Receive until the part is complete, over as many connections as that takes."""
    failures = 0
    while True:
        before = _size(part)
        busy = False
        try:
            if _receive(url, part, opener, progress):
                return
            reason = "the connection was cut"
        except urllib.error.HTTPError as error:
            answer = f"{error.code} {_first_line(error.reason)}".strip()
            busy = error.code in (408, 429) or error.code >= 500
            if not busy:
                raise NotOffered(f"the server answers {answer}") from error
            reason = f"the server answers {answer}"
        except urllib.error.URLError as error:
            reason = _first_line(getattr(error.reason, "strerror", None) or error.reason)
        except (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
            reason = _first_line(error) or type(error).__name__
        failures = failures + 1 if _size(part) <= before else 0
        if failures == _ATTEMPTS or (not busy and before == _size(part) == 0):
            raise NotFetched(reason)
        if busy:
            time.sleep(_PAUSE_S * 2 ** (failures - 1))


def _first_line(reason: object) -> str:
    """A reason fit for the middle of a sentence: urllib's own take several lines."""
    return str(reason).strip().partition("\n")[0].strip().removesuffix(".")


def _receive(url: str, part: Path, opener: Opener, progress: Progress) -> bool:
    """Append to a part, or begin it anew; whether it is complete now."""
    have, tag = _size(part), _tag_file(part)
    request = urllib.request.Request(url, headers={"User-Agent": "reelseek"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if tag.exists():
            request.add_header("If-Range", tag.read_text(encoding="ascii"))
    try:
        answer = opener.open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        # Nothing lies beyond the part: it is whole, or not of this file, as its checksum will say.
        return True
    with answer:
        if not _goes_on(answer, have):
            have = 0
            _remember_tag(tag, answer)
        total = _total(answer, have)
        with part.open("ab" if have else "wb") as file:
            progress(have, total)
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                have += len(chunk)
                if have > _MAX_BYTES:
                    raise NotFetched(f"{url} sends more than any model has")
                progress(have, total)
    return total is None or have == total


def _goes_on(answer: Any, have: int) -> bool:
    """Whether an answer continues where a part ends; else it is the whole file."""
    if answer.status != 206:
        return False
    starts = str(answer.headers.get("Content-Range", "")).removeprefix("bytes ").partition("-")[0]
    if starts != str(have):
        raise NotFetched("The server sends another part of the file than it was asked for")
    return True


def _total(answer: Any, have: int) -> int | None:
    length = str(answer.headers.get("Content-Length", ""))
    return have + int(length) if length.isascii() and length.isdigit() else None


def _remember_tag(tag: Path, answer: Any) -> None:
    """Keep what tells this version of the file from others: only a strong ETag does."""
    found = str(answer.headers.get("ETag", ""))
    if found.startswith('"') and found.isascii() and found.isprintable():
        tag.write_text(found, encoding="ascii")
    else:
        tag.unlink(missing_ok=True)


def _tag_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag_file(part).unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
