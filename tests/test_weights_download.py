"""A download goes on where it was cut off, and is believed by its checksum alone."""

from __future__ import annotations

import hashlib
import http.server
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from bringing import save_thin_cnn14

from storage.errors import BundleError
from weights.downloading import (
    Expected,
    NotFetched,
    WrongContent,
    fetch,
    https_opener,
)
from weights.getting import find_known, get_weights
from weights.importing import Wishes
from weights.known import KnownFile

CONTENT = bytes(range(256)) * 4000
RIGHT = Expected(sha256=hashlib.sha256(CONTENT).hexdigest())
PLAIN = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens http as well: the server below speaks nothing else."""


@dataclass
class Publisher:
    """A server whose every answer follows the next plan; the last plan stays."""

    url: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    etag: str = '"one"'
    cuts: list[int] = field(default_factory=list)
    """After so many bytes an answer breaks off, one answer each."""
    status: int = 200
    asked: list[str | None] = field(default_factory=list)
    """The Range of each request."""


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    state = Publisher()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            if state.status != 200:
                self.send_error(state.status)
                return
            start = 0
            same = self.headers.get("If-Range", state.etag) == state.etag
            if wanted and state.ranges and same:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(state.content):
                    self.send_error(416)
                    return
                self.send_response(206)
                last = len(state.content) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{last + 1}")
            else:
                self.send_response(200)
            body = state.content[start:]
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", state.etag)
            self.end_headers()
            self.wfile.write(body[: state.cuts.pop(0)] if state.cuts else body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/weights.pt"
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def needs_networks() -> None:
    """Nothing is fetched that could not be imported then."""
    for package in ("torch", "librosa", "onnxscript"):
        pytest.importorskip(package, reason="importing takes pip install '.[networks]'")


def receive(
    publisher: Publisher, file: Path, expected: Expected = RIGHT
) -> list[tuple[int, int | None]]:
    """Fetch it; all that was told about the progress."""
    told: list[tuple[int, int | None]] = []
    fetch(publisher.url, file, expected, lambda *now: told.append(now), PLAIN)
    return told


def test_a_file_arrives_whole_with_progress_to_the_end(
    publisher: Publisher, tmp_path: Path
) -> None:
    told = receive(publisher, tmp_path / "weights.pt")
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT
    assert told[0] == (0, len(CONTENT)) and told[-1] == (len(CONTENT), len(CONTENT))
    assert [file.name for file in tmp_path.iterdir()] == ["weights.pt"]


def test_a_file_can_be_known_by_the_id_that_git_gives_it(
    publisher: Publisher, tmp_path: Path
) -> None:
    blob = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
    receive(publisher, tmp_path / "weights.pt", Expected(git_blob=blob))
    assert (tmp_path / "weights.pt").exists()


def test_cut_connections_are_taken_up_where_they_broke_off(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.cuts = [1000, 5000, 1]
    receive(publisher, tmp_path / "weights.pt")
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT
    assert publisher.asked == [None, "bytes=1000-", "bytes=6000-", "bytes=6001-"]


def test_the_next_run_goes_on_with_what_the_last_one_left(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.cuts = [70_000, *[0] * 5]
    with pytest.raises(NotFetched, match="cut"):
        receive(publisher, tmp_path / "weights.pt")
    assert not (tmp_path / "weights.pt").exists()
    publisher.asked.clear()
    receive(publisher, tmp_path / "weights.pt")
    assert publisher.asked == ["bytes=70000-"]
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


def test_a_server_that_cannot_resume_sends_all_of_it_again(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.ranges, publisher.cuts = False, [1000]
    receive(publisher, tmp_path / "weights.pt")
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_begun_anew(publisher: Publisher, tmp_path: Path) -> None:
    publisher.cuts = [1000, *[0] * 5]
    publisher.content = b"an older version" * 1000
    with pytest.raises(NotFetched):
        receive(publisher, tmp_path / "weights.pt")
    publisher.cuts, publisher.content, publisher.etag = [], CONTENT, '"two"'
    receive(publisher, tmp_path / "weights.pt")
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"rubbish", CONTENT + b"and more"], ids=["short", "too long"])
def test_a_part_of_something_else_is_thrown_away(
    left: bytes, publisher: Publisher, tmp_path: Path
) -> None:
    (tmp_path / "weights.pt.part").write_bytes(left)
    receive(publisher, tmp_path / "weights.pt")
    assert (tmp_path / "weights.pt").read_bytes() == CONTENT


def test_another_content_than_the_pinned_one_is_never_given_the_name(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.content = CONTENT[:-1] + b"!"
    with pytest.raises(WrongContent, match=RIGHT.sha256):
        receive(publisher, tmp_path / "weights.pt")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_said_at_once(publisher: Publisher, tmp_path: Path) -> None:
    publisher.status = 404
    with pytest.raises(NotFetched, match="404"):
        receive(publisher, tmp_path / "weights.pt")
    assert len(publisher.asked) == 1


def test_nothing_is_fetched_over_an_open_line(publisher: Publisher, tmp_path: Path) -> None:
    with pytest.raises(NotFetched, match="not https"):
        fetch(publisher.url, tmp_path / "weights.pt", RIGHT, opener=https_opener())
    assert publisher.asked == []


def test_without_a_network_the_file_and_the_command_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REELSEEK_MODELS", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens at the discard port
    needs_networks()
    known = find_known("qd-detr-sf-clip")
    with pytest.raises(NotFetched) as error:
        get_weights(known, Wishes(), keep=False, progress=lambda *_: None)
    assert known.url in str(error.value)
    command = (
        "reelseek models import video_model_best_sf+c.ckpt --as qd-detr --name qd-detr-sf-clip"
    )
    assert command in str(error.value)


def test_what_was_fetched_is_checked_imported_and_thrown_away(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_networks()
    publisher.content = save_thin_cnn14(tmp_path / "published.safetensors").read_bytes()
    sha256 = hashlib.sha256(publisher.content).hexdigest()
    known = KnownFile("thin", "cnn14", "a thin one", publisher.url, "here", "MIT", sha256)
    monkeypatch.setenv("REELSEEK_MODELS", str(tmp_path))
    imported, kept = get_weights(known, Wishes(), False, lambda *_: None, PLAIN)
    assert imported.manifest.name == "thin" and imported.manifest.version == sha256[:8]
    assert kept is None and list((tmp_path / ".downloads").iterdir()) == []
    _, kept = get_weights(known, Wishes("again"), True, lambda *_: None, PLAIN)
    assert kept is not None and kept.read_bytes() == publisher.content


def test_a_name_that_is_taken_is_refused_before_anything_is_fetched(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REELSEEK_MODELS", str(tmp_path))
    (tmp_path / "thin").mkdir()
    known = KnownFile("thin", "cnn14", "a thin one", publisher.url, "here", "MIT", "0" * 64)
    with pytest.raises(BundleError, match="--replace"):
        get_weights(known, Wishes(), False, lambda *_: None, PLAIN)
    assert publisher.asked == []
