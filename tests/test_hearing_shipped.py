"""What ships hears what is asked for: sentences, real sounds, an archive, moments."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from strategies import make_video

from indexer.encoders.lite_sound import LiteSoundEncoder
from indexer.sound import WINDOW_SAMPLES, Resampler, mono
from search.moments.watershed import Watershed
from search.searcher import Hit, Searcher
from search.text.lite import LiteTextEncoder
from storage.archive import Archive
from storage.bundles import DEFAULT_SOUND, load_encoder, load_sound
from storage.records import SoundFeatures

SOUNDS = Path(os.environ.get("REELSEEK_SOUNDS", Path(__file__).parents[2] / "shared" / "sounds"))

ASKED = {
    "siren": "a police siren",
    "piano": "someone plays the piano",
    "rooster crowing": "a rooster crows",
    "gunshot": "gun shots",
    "dog barking": "dog barking",
    "rain": "heavy rain",
}
"""First labels of the sound set, and what is typed for them."""

CLIPS_EACH = 5
"""Of which the middle one holds the sound."""


def sounds_of_test_split() -> dict[str, NDArray[np.float32]]:
    """One long sound of each label, (64000,) at 32 kHz, that nothing was trained on."""
    if not SOUNDS.is_dir():
        pytest.skip(f"no sounds in {SOUNDS}: set REELSEEK_SOUNDS to a folder of the sound set")
    with gzip.open(SOUNDS / "metadata.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    chosen = {}
    for row in rows:
        label = row["labels"][0]
        if row["split"] == "test" and label in ASKED and row["duration_s"] >= 3.0:
            chosen.setdefault(label, row)
    return {label: decoded(row)[16_000:][:WINDOW_SAMPLES] for label, row in chosen.items()}


def decoded(row: dict[str, str]) -> NDArray[np.float32]:
    with tarfile.open(SOUNDS / row["shard"]) as tar:
        stream = tar.extractfile(row["file"])
        assert stream is not None
        data = io.BytesIO(stream.read())
    with av.open(data) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        channels = container.streams.audio[0].channels
    samples = mono(np.concatenate(frames, axis=1), channels)
    resampler = Resampler(48_000)
    return np.concatenate([resampler.push(samples), resampler.finish()])


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> tuple[Searcher, list[str]]:
    """An archive of one film of noise with a sound in every fifth clip; the labels in order."""
    sounds = sounds_of_test_split()
    ears = LiteSoundEncoder(load_sound(DEFAULT_SOUND))
    clips = CLIPS_EACH * len(sounds)
    windows = np.random.default_rng(0).normal(0, 0.003, (clips, WINDOW_SAMPLES))
    for place, wave in enumerate(sounds.values()):
        windows[CLIPS_EACH * place + CLIPS_EACH // 2, : len(wave)] += wave
    encoder = load_encoder()
    words = LiteTextEncoder(encoder)
    item = make_video("tape", clips=clips, dim=encoder.dim, sound=ears.stamp)
    vectors, _ = ears.encode(windows.astype(np.float32))
    heard = SoundFeatures(vectors.astype(np.float16), np.zeros((clips, 0), np.float16))
    folder = tmp_path_factory.mktemp("archive") / "dbs"
    archive = Archive.create_or_open(folder, words.stamp, ears.stamp)
    archive.add(replace(item, sound=heard))
    return Searcher(archive.snapshot(), words, Watershed()), list(sounds)


def first_by_sound(hits: list[Hit]) -> Hit | None:
    return next((hit for hit in hits if "sound" in hit.found_by), None)


def test_most_sounds_are_found_in_the_clip_in_which_they_are_heard(
    tape: tuple[Searcher, list[str]],
) -> None:
    """The tower's own recall at 1 is about two thirds, in a much larger choice."""
    searcher, labels = tape
    found = []
    for place, label in enumerate(labels):
        centre_s = 2.0 * (CLIPS_EACH * place + CLIPS_EACH // 2) + 1.0
        hit = first_by_sound(searcher.moments(ASKED[label], top=30))
        found.append(hit is not None and hit.start_s <= centre_s <= hit.end_s)
    assert sum(found) >= 4, dict(zip(labels, found, strict=True))


def test_a_sentence_about_a_picture_finds_nothing_by_sound_alone_before_its_pictures(
    tape: tuple[Searcher, list[str]],
) -> None:
    searcher, _ = tape
    for sentence in ("a man in a red coat on a bench", "snowy mountains at sunrise"):
        hits = searcher.moments(sentence, top=30)
        assert hits[0].found_by == ("picture",)
