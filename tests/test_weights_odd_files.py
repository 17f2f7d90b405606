"""Weights as they also come: wrapped, contradicting themselves, or from a server in trouble."""

from __future__ import annotations

import hashlib
import http.server
import math
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from bringing import checkpoint_of, head_tensors, save_thin_cnn14
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from test_weights_download import needs_networks

import weights.downloading
from search.moments.qd_detr_config import QDDETRConfig
from storage.errors import BundleError
from weights.downloading import NotFetched, NotOffered
from weights.getting import get_weights
from weights.importing import Imported, Wishes, import_weights
from weights.known import KnownFile
from weights.moment_heads import HeadFacts, HeadWishes, read_head
from weights.recognise import recognise, unwrapped

HEAD = QDDETRConfig(video_dim=514, text_dim=512)
PLAIN = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models folder."""
    monkeypatch.setenv("REELSEEK_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


# Saved inside DataParallel


def wrapped(file: Path, beginning: str = "module.") -> Path:
    """The same weights as torch's DataParallel would have named them."""
    tensors = {beginning + name: values for name, values in load_file(file).items()}
    save_file(tensors, file)
    return file


def test_a_network_saved_inside_data_parallel_is_imported_and_that_is_said(
    tmp_path: Path, models: Path
) -> None:
    needs_networks()
    plain = load_file(save_thin_cnn14(tmp_path / "thin.safetensors"))
    imported = import_weights(wrapped(tmp_path / "thin.safetensors"), "cnn14")
    assert "DataParallel" in " ".join(imported.notes)
    written = load_file(imported.manifest.path / "model.safetensors")
    assert written.keys() == plain.keys()
    assert all(np.array_equal(written[name], plain[name]) for name in plain)


def test_a_network_saved_as_it_is_gets_no_note(tmp_path: Path, models: Path) -> None:
    needs_networks()
    imported = import_weights(save_thin_cnn14(tmp_path / "thin.safetensors"), "cnn14")
    assert "DataParallel" not in " ".join(imported.notes)


def test_what_was_inside_is_checked_as_strictly(tmp_path: Path, models: Path) -> None:
    tensors = head_tensors(QDDETRConfig(video_dim=514, text_dim=512, hidden=32, heads=4))
    del tensors["saliency_proj1.bias"]
    save_file(tensors, tmp_path / "head.safetensors")
    with pytest.raises(BundleError, match=r"saliency_proj1\.bias"):
        import_weights(
            wrapped(tmp_path / "head.safetensors"), "qd-detr", Wishes(head=HeadWishes(heads=4))
        )


def test_a_beginning_that_not_all_names_share_stays() -> None:
    shapes = {f"module.{name}": shape for name, shape in HEAD.shapes().items()}
    inside = unwrapped(checkpoint_of(shapes))
    assert inside is not None and recognise(inside).word == "qd-detr"
    assert unwrapped(checkpoint_of({**shapes, "epoch": ()})) is None
    assert unwrapped(checkpoint_of(HEAD.shapes())) is None
    assert unwrapped(checkpoint_of({})) is None


# Heads whose options make no sense


def head_facts(**options: object) -> HeadFacts:
    said = {"nheads": 8, **options}
    return read_head(checkpoint_of(HEAD.shapes(), {"opt": said}), HeadWishes(), None)


@given(st.floats(0.1, 60.0) | st.integers(1, 60))
def test_clips_of_a_length_that_heads_have_are_believed(length: float) -> None:
    assert head_facts(clip_length=length).clip_s == length


def test_a_head_that_does_not_say_its_clips_reads_two_seconds() -> None:
    assert head_facts().clip_s == head_facts(clip_length=None).clip_s == 2.0


@given(
    st.floats(max_value=0.1, exclude_max=True)
    | st.floats(min_value=60.0, exclude_min=True)
    | st.sampled_from([math.nan, True, "2", [2.0], -2, 0, 61, 10**600])
)
def test_clips_of_any_other_length_are_refused(length: object) -> None:
    with pytest.raises(BundleError, match=r"clip_length\), which are 0\.1 to 60 in any head") as no:
        head_facts(clip_length=length)
    assert len(str(no.value)) < 250


def test_words_of_another_width_than_the_tensors_read_are_refused() -> None:
    assert head_facts(t_feat_dim=512).config.text_dim == 512
    with pytest.raises(BundleError, match=r"contradicts itself.* 768 .*t_feat_dim.* 512"):
        head_facts(t_feat_dim=768)


# Names


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_no_wish_for_the_usual_one(
    name: str, tmp_path: Path, models: Path
) -> None:
    file = save_thin_cnn14(tmp_path / "thin.safetensors")
    with pytest.raises(BundleError, match="cannot be the name"):
        import_weights(file, "cnn14", Wishes(name))
    known = KnownFile("thin", "cnn14", "a thin one", "https://127.0.0.1:9/x", "here", "MIT")
    with pytest.raises(BundleError, match="cannot be the name"):
        get_weights(known, Wishes(name), False, lambda *_: None)
    assert not models.exists()


# Servers in trouble, and two who fetch the same


@dataclass
class Publisher:
    """A server that answers with these statuses first, and then with its file."""

    url: str = ""
    content: bytes = b""
    statuses: list[int] = field(default_factory=list)
    asked: int = 0
    may_answer: threading.Event = field(default_factory=threading.Event)
    is_asked: threading.Event = field(default_factory=threading.Event)

    def known(self) -> KnownFile:
        sha256 = hashlib.sha256(self.content).hexdigest()
        return KnownFile("thin", "cnn14", "a thin one", self.url, "here", "MIT", sha256)

    def get(self, wishes: Wishes | None = None) -> Imported:
        return get_weights(self.known(), wishes or Wishes(), False, lambda *_: None, PLAIN)[0]


@pytest.fixture
def publisher(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    needs_networks()
    monkeypatch.setattr(weights.downloading, "_PAUSE_S", 0.001)
    state = Publisher(content=save_thin_cnn14(tmp_path / "published.safetensors").read_bytes())
    state.may_answer.set()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked += 1
            status = state.statuses.pop(0) if state.statuses else 200
            if status == 302:
                state.statuses.append(302)
                self.send_response(302)
                self.send_header("Location", state.url)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if status != 200:
                self.send_error(status)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(state.content)))
            self.end_headers()
            half = len(state.content) // 2
            self.wfile.write(state.content[:half])
            self.wfile.flush()
            state.is_asked.set()
            state.may_answer.wait(30)
            self.wfile.write(state.content[half:])

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/weights.pt"
    yield state
    state.may_answer.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("status", [429, 500, 503, 520])
def test_a_server_that_is_busy_at_first_is_asked_again(status: int, publisher: Publisher) -> None:
    publisher.statuses = [status] * 4
    assert publisher.get().manifest.name == "thin"
    assert publisher.asked == 5


def test_a_server_that_stays_busy_is_given_up_for_now(publisher: Publisher) -> None:
    publisher.statuses = [503] * 100
    with pytest.raises(NotFetched, match=r"503 Service Unavailable.*Run the same command again"):
        publisher.get()
    assert publisher.asked == 5


@pytest.mark.parametrize("status", [403, 404, 410])
def test_nobody_is_sent_again_for_a_file_that_is_not_offered(
    status: int, publisher: Publisher
) -> None:
    publisher.statuses = [status] * 100
    with pytest.raises(NotOffered, match=f"{status} .*moved or withdrawn") as refusal:
        publisher.get()
    assert publisher.asked == 1
    assert "same command again" not in str(refusal.value)
    assert "reelseek models import weights.pt --as cnn14 --name thin" in str(refusal.value)


def test_a_circle_of_redirects_is_told_in_one_line(publisher: Publisher) -> None:
    publisher.statuses = [302]
    with pytest.raises(NotOffered, match=r"302 .*infinite loop") as refusal:
        publisher.get()
    assert "\n" not in str(refusal.value) and r"\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("second", "names"), [(Wishes(), {"thin"}), (Wishes("other"), {"thin", "other"})], ids=str
)
def test_two_who_fetch_the_same_do_so_one_after_the_other(
    second: Wishes, names: set[str], publisher: Publisher, models: Path
) -> None:
    """The second finds it done, or fetches it for a name of its own."""
    publisher.may_answer.clear()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(publisher.get)
        assert publisher.is_asked.wait(30)
        other = threads.submit(publisher.get, second)
        with pytest.raises(TimeoutError):
            other.result(timeout=0.5)
        assert publisher.asked == 1  # the second waits, though the first has only half of it
        publisher.may_answer.set()
        assert first.result(60).manifest.name == "thin"
        if second.name is None:
            with pytest.raises(BundleError, match="already"):
                other.result(60)
        else:
            other.result(60)
    assert {file.parent.name for file in models.glob("*/manifest.json")} == names
    assert list((models / ".downloads").iterdir()) == []
