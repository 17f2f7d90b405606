"""From weights as they are published to moments: real footage, a tiny random CLIP, Cnn14 and head.

Every number on the way is computed once more, by transformers and torch alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from bringing import CLIP_DIM, SOUND_DIM, TEXT_WIDTH, save_tiny_clip
from numpy.typing import NDArray
from official_frames import official_frames

from indexer.encoders.panns_config import Cnn14Config
from indexer.media import open_film
from indexer.sound import WINDOW_SAMPLES, SoundWindows, mono
from search.moments.qd_detr_config import QDDETRConfig
from search.moments.qd_detr_inputs import MAX_TOKENS, normalised_as_demo, spans, video_input
from search.text.clip_tokens import ClipTokenizer
from storage.archive import open_snapshot
from storage.records import CLIP_S
from storage.view import Snapshot

torch = pytest.importorskip("torch", reason="official networks run on torch: `make networks`")
pytest.importorskip("librosa", reason="Cnn14 hears through librosa's mel filters")
transformers = pytest.importorskip("transformers", reason="CLIP is run by transformers")

from indexer.encoders.panns_network import Cnn14  # noqa: E402
from indexer.logmel import LogMel  # noqa: E402
from search.moments.qd_detr import QDDETR  # noqa: E402

SENTENCE = "a rabbit in a meadow, a bird sings"
BIN = Path(sys.executable).parent
CNN14 = Cnn14Config(widths=(4, 4, 8, 8, 16, 16), embedding=SOUND_DIM)
HEAD = QDDETRConfig(
    CLIP_DIM + 2, TEXT_WIDTH, SOUND_DIM + 2, hidden=32, heads=8, feedforward=64, queries=5
)


@dataclass(frozen=True)
class Place:
    """Brought models, two films, and what runs commands beside them."""

    folder: Path
    films: Path

    def reelseek(self, *arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            [str(BIN / "reelseek"), *map(str, arguments)],
            cwd=self.folder,
            env={"REELSEEK_MODELS": str(self.folder / "models"), "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == code, ended.stderr
        assert "Traceback" not in ended.stderr
        return ended

    def snapshot(self, db: str) -> Snapshot:
        return open_snapshot(self.folder / db)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, footage: Path) -> Place:
    """Three networks imported, and an archive `dbs` of films indexed with two of them."""
    folder = tmp_path_factory.mktemp("official")
    save_tiny_clip(folder / "tiny-clip")
    torch.manual_seed(1)
    cnn14, head = Cnn14(CNN14), QDDETR(HEAD)
    torch.save({"model": cnn14.state_dict(), "iteration": 1}, folder / "cnn14.pth")
    opt = argparse.Namespace(v_feat_dim=CLIP_DIM + 2, a_feat_dim=SOUND_DIM + 2, nheads=8)
    torch.save({"model": head.state_dict(), "epoch": 1, "opt": opt}, folder / "best.ckpt")
    here = Place(folder, footage)
    here.reelseek("models", "import", "tiny-clip", "--as", "clip")
    here.reelseek("models", "import", "cnn14.pth", "--as", "cnn14")
    here.reelseek("models", "import", "best.ckpt", "--as", "qd-detr")
    here.reelseek(
        *("index", "add", footage / "bigbuckbunny.mp4", footage / "bikes.mp4"),
        *("--encoder", "clip", "--sound", "cnn14", "--precision", "float32"),
    )
    return here


def rows_of(snapshot: Snapshot, name: str) -> slice:
    row = next(row for row, video in snapshot.live_videos() if Path(video.path).name == name)
    return snapshot.video_rows[row].clips


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-5)


def seen(place: Place, name: str) -> NDArray[np.float32]:
    """A vector for each official frame, by transformers' own processing of pixels."""
    with open_film(place.films / name) as film:
        frames = list(film.frames())
        count = round(film.end_s / CLIP_S)
    pictures = [f.picture_rgb(32, 32, "centre-crop") for f in official_frames(frames, count, 0.5)]
    model = transformers.CLIPModel.from_pretrained(place.folder / "tiny-clip").eval()
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    with torch.no_grad():
        features: Any = model.get_image_features(pixel_values=(pixels - mean) / std)
    return unit(getattr(features, "pooler_output", features).numpy())


def heard(place: Place, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cnn14's vectors and tags of each whole window, decoded and cut here."""
    with av.open(str(place.films / name)) as container:
        track = container.streams.audio[0]
        pieces = [
            mono(frame.to_ndarray(), frame.layout.nb_channels) for frame in container.decode(track)
        ]
        windows = SoundWindows(track.rate)
    whole = windows.push(np.concatenate(pieces))
    whole = np.concatenate([whole, windows.finish()])
    assert whole.shape[1] == WINDOW_SAMPLES
    network = Cnn14(CNN14).eval()
    network.load_state_dict(torch.load(place.folder / "cnn14.pth")["model"])
    with torch.no_grad():
        embedding, tags = network(LogMel()(torch.from_numpy(whole)))
    return unit(embedding.numpy()), tags.numpy()


def read(place: Place, sentence: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The vector of a sentence and those of its words, by transformers."""
    ids = torch.tensor([ClipTokenizer().for_words(sentence)])
    model = transformers.CLIPModel.from_pretrained(place.folder / "tiny-clip").eval()
    with torch.no_grad():
        hidden = model.text_model(input_ids=ids)
        pooled = model.text_projection(hidden.pooler_output)
    return unit(pooled[0].numpy()), hidden.last_hidden_state[0].numpy()


def test_pictures_are_stored_as_official_code_sees_them(place: Place) -> None:
    snapshot = place.snapshot("dbs")
    for name, official in (("bigbuckbunny.mp4", 3), ("bikes.mp4", 5)):
        stored = snapshot.clip_vectors[rows_of(snapshot, name)].astype(np.float32)
        wanted = seen(place, name)
        assert len(wanted) == official == len(stored)
        np.testing.assert_allclose(stored, wanted, atol=1e-3)


def test_sound_is_stored_as_official_code_hears_it(place: Place) -> None:
    snapshot = place.snapshot("dbs")
    assert snapshot.sound_vectors is not None and snapshot.sound_tags is not None
    rows = rows_of(snapshot, "bigbuckbunny.mp4")
    vectors, tags = heard(place, "bigbuckbunny.mp4")
    assert len(vectors) == 2  # of 5.3 s
    stored = snapshot.sound_vectors[rows].astype(np.float32)
    np.testing.assert_allclose(stored[:2], vectors, atol=1e-3)
    assert not stored[2].any()
    for kept, every in zip(snapshot.sound_tags[rows][:2], tags, strict=True):
        np.testing.assert_allclose(kept["probability"], every[kept["label"]], atol=1e-3)
        assert kept["probability"][-1] >= np.sort(every)[-len(kept)] - 1e-3
    assert not snapshot.sound_vectors[rows_of(snapshot, "bikes.mp4")].any()


def test_moments_are_those_of_the_network(place: Place) -> None:
    """The same pictures, sound and words through torch: the same spans, in the film's time."""
    answer = json.loads(place.reelseek("search", SENTENCE, "--json", "--top", "50").stdout)
    assert answer["head"].startswith("qd-detr-") and answer["encoder"].startswith("clip-")
    assert answer["sound"].startswith("cnn14-")
    by_head = [hit for hit in answer["hits"] if "picture" in hit["found_by"]]
    found = [h for h in by_head if h["path"].endswith("bigbuckbunny.mp4")]
    assert found

    snapshot = place.snapshot("dbs")
    rows = rows_of(snapshot, "bigbuckbunny.mp4")
    assert snapshot.sound_vectors is not None
    pictures = snapshot.clip_vectors[rows][:2].astype(np.float32)  # the third has no whole sound
    sounds = snapshot.sound_vectors[rows][:2].astype(np.float32)
    _, words = read(place, SENTENCE)
    network = QDDETR(HEAD).eval()
    state = torch.load(place.folder / "best.ckpt", weights_only=False)["model"]
    network.load_state_dict(state)
    video = video_input(normalised_as_demo(pictures), normalised_as_demo(sounds))
    text = normalised_as_demo(words[:MAX_TOKENS])
    with torch.no_grad():
        out = network(
            torch.from_numpy(text)[None],
            torch.ones(1, len(text)),
            torch.from_numpy(video)[None],
            torch.ones(1, len(video)),
        )
    wanted = spans(out["pred_logits"][0].numpy(), out["pred_spans"][0].numpy(), 2 * CLIP_S)
    end_s = float(snapshot.clip_table["end_s"][rows][-1])
    inside = [(max(0.0, start), min(end_s, end), score) for start, end, score in wanted.tolist()]
    for hit in found:  # those that the ranking kept of ones that overlap
        best = min(inside, key=lambda span, hit=hit: abs(span[0] - hit["start_s"]))
        assert hit["start_s"] == pytest.approx(best[0], abs=0.02)
        assert hit["end_s"] == pytest.approx(best[1], abs=0.02)
        assert hit["stages"]["head_probability"] == pytest.approx(best[2], abs=0.01)


def test_the_shortlist_compares_by_cosine(place: Place) -> None:
    answer = json.loads(place.reelseek("search", SENTENCE, "--json", "--top", "50").stdout)
    pooled, _ = read(place, SENTENCE)
    snapshot = place.snapshot("dbs")
    for hit in answer["hits"]:
        rows = rows_of(snapshot, Path(hit["path"]).name)
        cosines = snapshot.clip_vectors[rows].astype(np.float32) @ pooled
        if "clip_similarity" in hit["stages"]:
            assert hit["stages"]["clip_similarity"] == pytest.approx(cosines.max(), abs=2e-3)


def test_a_search_with_brought_models_starts_without_torch(place: Place) -> None:
    code = (
        "import sys, cli\n"
        "try: cli.search_main()\n"
        "finally: print(sorted({'torch', 'transformers', 'librosa', 'onnx', 'av'}"
        " & set(sys.modules)), file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, SENTENCE, "--json"],
        cwd=place.folder,
        env={"REELSEEK_MODELS": str(place.folder / "models"), "HOME": str(place.folder)},
        capture_output=True,
        text=True,
    )
    assert json.loads(ended.stdout)["head"].startswith("qd-detr-")
    assert ended.stderr.strip() == "[]"


def test_the_listing_and_the_information_name_the_models(place: Place) -> None:
    listed = place.reelseek("search", SENTENCE)
    for model in ("clip-", "cnn14-", "qd-detr-"):
        assert model in listed.stderr
    shown = place.reelseek("index", "info", "bikes.mp4").stdout
    assert "clip-" in shown and "cnn14-" in shown


def test_an_archive_goes_on_with_the_models_that_made_it(place: Place) -> None:
    again = place.reelseek("index", "add", place.films / "bikes.mp4", "--again")
    assert "indexed" in again.stdout
    refused = place.reelseek(
        "index", "add", place.films / "bikes.mp4", "--encoder", "lite", "--sound", "none", code=5
    )
    assert "--db" in refused.stderr


@pytest.mark.parametrize("fit", ["letterbox", "squash"])
def test_an_archive_remembers_how_its_pictures_were_prepared(place: Place, fit: str) -> None:
    place.reelseek(
        *("index", "add", place.films / "bikes.mp4", "--db", fit),
        *("--encoder", "clip", "--fit", fit, "--precision", "float32"),
    )
    assert f"clip-{place.snapshot('dbs').stamp.encoder_id.rpartition('-')[2]}+{fit}" in (
        place.reelseek("index", "info", "bikes.mp4", "--db", fit).stdout
    )
    assert place.reelseek("search", "bicycle", "--db", fit).stdout.count("bikes.mp4") >= 1
    place.reelseek("index", "add", place.films / "bigbuckbunny.mp4", "--db", fit)  # the same way
    assert len(place.snapshot(fit).live_videos()) == 2
    cropped = place.snapshot("dbs")
    ours = place.snapshot(fit).clip_vectors[:5].astype(np.float32)
    other = cropped.clip_vectors[rows_of(cropped, "bikes.mp4")].astype(np.float32)
    assert np.abs(ours - other).max() > 0.01
    mixed = place.reelseek(
        *("index", "add", place.films / "bigbuckbunny.mp4", "--db", fit, "--again"),
        *("--encoder", "clip", "--fit", "centre-crop"),
        code=5,
    )
    assert f"+{fit}" in mixed.stderr


def test_a_head_that_does_not_fit_is_refused_by_name(place: Place) -> None:
    place.reelseek("index", "add", place.films / "bikes.mp4", "--db", "lite")
    refused = place.reelseek("search", "bicycle", "--db", "lite", "--head", "qd-detr", code=5)
    assert "qd-detr" in refused.stderr and "lite-2.0" in refused.stderr
    by_itself = place.reelseek("search", "bicycle", "--db", "lite", "--json")
    assert json.loads(by_itself.stdout)["head"].startswith("lite-moments-")
    unknown = place.reelseek("search", "bicycle", "--db", "lite", "--head", "moment", code=7)
    assert "models list" in unknown.stderr
