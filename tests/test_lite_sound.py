"""The shipped sound tower: what it hears, how sure it is, and when an archive hears with it."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import films
import numpy as np
import pytest
from conftest import Run
from numpy.typing import NDArray

import storage.bundles
from indexer.encoders.choice import NO_SOUND, choose_sound, sound_encoder
from indexer.encoders.lite_sound import LiteSoundEncoder
from indexer.sound import SAMPLE_RATE, WINDOW_SAMPLES, Resampler, mono
from search.sound_text import SoundText, sound_text
from search.text.lite import LiteTextEncoder
from storage.bundles import DEFAULT_SOUND, load_encoder, load_sound
from storage.errors import BundleError, EncoderMismatch
from storage.manifest import MANIFEST, write_manifest

SOUNDS = Path(os.environ.get("REELSEEK_SOUNDS", Path(__file__).parents[2] / "shared" / "sounds"))


@pytest.fixture(scope="module")
def ears() -> LiteSoundEncoder:
    return LiteSoundEncoder(load_sound(DEFAULT_SOUND))


@pytest.fixture(scope="module")
def words() -> LiteTextEncoder:
    return LiteTextEncoder(load_encoder())


@pytest.fixture(scope="module")
def meaning() -> SoundText:
    found = sound_text(load_sound(DEFAULT_SOUND).stamp, load_encoder())
    assert found is not None
    return found


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All shipped bundles in a folder where they can be changed; the path of the sound tower's."""
    shutil.copytree(storage.bundles.SHIPPED, tmp_path / "bundles")
    monkeypatch.setattr(storage.bundles, "SHIPPED", tmp_path / "bundles")
    return tmp_path / "bundles" / DEFAULT_SOUND


def changed(folder: Path, **words: str) -> None:
    """Write another manifest over the same files, with other facts about the words."""
    fields = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    fields["sound"] = {**fields["sound"], "words": {**fields["sound"]["words"], **words}}
    write_manifest(folder, {k: v for k, v in fields.items() if k not in ("format", "files")})


class TestBundle:
    def test_every_file_has_its_checksum_and_is_small_enough_to_ship(self) -> None:
        bundle = load_sound(DEFAULT_SOUND)
        bundle.manifest.verify()
        beside = {f.name for f in bundle.manifest.path.iterdir()} - {"manifest.json"}
        assert set(bundle.manifest.checksums) == beside
        assert bundle.manifest.size < 10e6
        assert bundle.tags == 0

    def test_card_and_manifest_name_the_terms_and_what_is_thin(self) -> None:
        bundle = load_sound(DEFAULT_SOUND)
        card = (bundle.manifest.path / "MODEL_CARD.md").read_text(encoding="utf-8")
        for word in ("CC BY-NC", "UrbanSound8K", "ESC-50", "crowd", "applause", "whistle"):
            assert word in card
        assert "non-commercial" in bundle.manifest.fields["licence"]["weights"]

    def test_models_info_shows_it(self, run: Run) -> None:
        shown = run("reelseek", "models", "info", DEFAULT_SOUND)
        assert shown.returncode == 0, shown.stderr
        assert "256 numbers\n" in shown.stdout and "non-commercial" in shown.stdout
        assert "What it cannot hear" in shown.stdout

    def test_words_belong_to_the_shipped_text_tower(self) -> None:
        sound, encoder = load_sound(DEFAULT_SOUND), load_encoder()
        assert sound.words is not None
        assert encoder.manifest.checksums[encoder.text.file.name] == sound.words.text_sha256

    def test_words_and_calibration_can_be_fitted_anew_under_the_same_stamp(
        self, copied: Path
    ) -> None:
        before = load_sound(DEFAULT_SOUND).stamp
        (copied / "words.onnx").write_bytes(b"other words")
        changed(copied)
        assert load_sound(DEFAULT_SOUND).stamp == before
        (copied / "sound.onnx").write_bytes(b"another network")
        changed(copied)
        assert load_sound(DEFAULT_SOUND).stamp != before

    @pytest.mark.parametrize("file", ["sound.onnx", "words.onnx", "bank.f16"])
    def test_files_that_hold_something_else_are_refused_in_words(
        self, copied: Path, file: str, words: LiteTextEncoder
    ) -> None:
        (copied / file).write_bytes(b"this is no graph!")
        changed(copied)
        with pytest.raises(BundleError, match="install reelseek again"):
            if file == "sound.onnx":
                sound_encoder(load_sound(DEFAULT_SOUND)).load()
            else:
                sound_text(load_sound(DEFAULT_SOUND).stamp, load_encoder())


class TestVectors:
    def test_they_have_unit_length_and_do_not_depend_on_their_neighbours(
        self, ears: LiteSoundEncoder
    ) -> None:
        noise = np.random.default_rng(0).normal(0, 0.1, (ears.batch_size + 1, WINDOW_SAMPLES))
        windows = noise.astype(np.float32)
        vectors, tags = ears.encode(windows)
        assert vectors.shape == (len(windows), ears.stamp.dim) and tags.shape == (len(windows), 0)
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-4)
        one_by_one = np.concatenate([ears.encode(window[None])[0] for window in windows])
        assert np.allclose(vectors, one_by_one, atol=1e-4)

    def test_none_for_no_windows(self, ears: LiteSoundEncoder) -> None:
        vectors, tags = ears.encode(np.zeros((0, WINDOW_SAMPLES), np.float32))
        assert vectors.shape == (0, ears.stamp.dim) and tags.shape == (0, 0)

    def test_a_sentence_has_one_too_whatever_encodes_the_pictures(
        self, meaning: SoundText, words: LiteTextEncoder
    ) -> None:
        query = words.encode("a dog barking")
        vector = meaning.encode(query)
        assert vector.shape == (meaning.stamp.dim,)
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-4)
        lite = load_encoder()
        other = replace(lite, text=replace(lite.text, sentence=None))
        by_itself = sound_text(meaning.stamp, other)
        assert by_itself is not None
        foreign = replace(query, pooled=-query.pooled, sentence=None)
        assert np.allclose(by_itself.encode(foreign), vector, atol=1e-6)


class TestWhatIsHeard:
    @pytest.mark.parametrize("level", [0.0, 1e-3, 0.1], ids=["silence", "hiss", "loud noise"])
    def test_in_silence_and_noise_nothing_is_likely(
        self, ears: LiteSoundEncoder, meaning: SoundText, words: LiteTextEncoder, level: float
    ) -> None:
        noise = np.random.default_rng(0).normal(0, 1, (4, WINDOW_SAMPLES)) * level
        vectors, _ = ears.encode(noise.astype(np.float32))
        for query in ("dog barking", "piano music", "a woman speaking", "crowd cheering"):
            asked = meaning.encode(words.encode(query))
            assert meaning.probability(vectors @ asked, asked).max() < 0.2, query

    def test_real_sounds_it_was_not_trained_on_are_found_by_their_labels(
        self, ears: LiteSoundEncoder, meaning: SoundText, words: LiteTextEncoder
    ) -> None:
        """The test split of the sound set: 391 sounds, 83 labels; chance is 0.01 and 0.06."""
        labels, vectors = [], []
        for label, windows in judged_sounds():
            mean = ears.encode(windows)[0].mean(axis=0)
            labels.append(label)
            vectors.append(mean / np.linalg.norm(mean))
        table = np.stack(vectors)
        first = []
        for query in sorted(set(labels)):
            order = np.argsort(-(table @ meaning.encode(words.encode(query))))
            first.append([labels[row] for row in order].index(query))
        assert np.mean(np.array(first) < 1) > 0.55
        assert np.mean(np.array(first) < 5) > 0.78

    def test_what_is_heard_is_likelier_than_what_is_not(
        self, ears: LiteSoundEncoder, meaning: SoundText, words: LiteTextEncoder
    ) -> None:
        asked = {q: meaning.encode(words.encode(q)) for q in ("dog barking", "piano", "siren")}
        said: dict[bool, list[float]] = {True: [], False: []}
        for label, windows in judged_sounds():
            if label in asked:
                vectors, _ = ears.encode(windows)
                for query, vector in asked.items():
                    loudest = meaning.probability(vectors @ vector, vector).max()
                    said[query == label].append(float(loudest))
        assert np.median(said[True]) > 0.4
        assert np.median(said[False]) < 0.05


class TestWhoHears:
    def test_a_new_archive_of_the_default_encoder(self) -> None:
        heard = choose_sound(None, load_encoder(), None)
        assert heard is not None and heard.manifest.name == DEFAULT_SOUND

    def test_not_one_that_is_to_be_silent(self) -> None:
        assert choose_sound(NO_SOUND, load_encoder(), None) is None

    def test_not_one_of_another_encoder_unless_it_is_asked_for(self) -> None:
        lite = load_encoder()
        clip = replace(lite, manifest=replace(lite.manifest, name="clip"))
        assert choose_sound(None, clip, None) is None
        heard = choose_sound(DEFAULT_SOUND, clip, None)
        assert heard is not None and heard.manifest.name == DEFAULT_SOUND

    def test_an_archive_goes_on_as_it_began(self) -> None:
        lite, sound = load_encoder(), load_sound(DEFAULT_SOUND)
        assert choose_sound(None, lite, (lite.stamp, None)) is None
        again = choose_sound(None, lite, (lite.stamp, sound.stamp))
        assert again is not None and again.stamp == sound.stamp

    def test_the_command_line_says_so(self, run: Run, tmp_path: Path) -> None:
        film = films.shots(tmp_path, (2.0, 3.0), wave=films.tone(5.0)).path
        added = run("index", "add", film, "--db", "heard")
        assert added.returncode == 0, added.stderr
        shown = json.loads(run("index", "info", film.name, "--db", "heard", "--json").stdout)
        assert shown["sound_encoder"] == load_sound(DEFAULT_SOUND).stamp.encoder_id
        assert run("index", "verify", "--db", "heard").returncode == 0
        found = run("search", "a dog barking", "--db", "heard", "--json")
        assert found.returncode == 0, found.stderr
        assert json.loads(found.stdout)["sound"] == shown["sound_encoder"]
        run("index", "add", film, "--db", "silent", "--sound", "none")
        assert "sound encoder   none" in run("index", "info", film.name, "--db", "silent").stdout
        again = run("index", "add", film, "--db", "silent")
        assert again.returncode == 0 and "unchanged" in again.stdout
        refused = run("index", "add", film, "--db", "silent", "--sound", "lite-sound")
        assert refused.returncode != 0 and "made without sound" in refused.stderr


class TestMismatch:
    def test_a_tower_that_names_sounds_has_no_words(self, meaning: SoundText) -> None:
        assert sound_text(replace(meaning.stamp, tags=527), load_encoder()) is None

    def test_other_weights_of_the_same_name_are_refused(self, meaning: SoundText) -> None:
        with pytest.raises(EncoderMismatch, match=r"another one .*bring the weights"):
            sound_text(replace(meaning.stamp, fingerprint="0" * 64), load_encoder())

    def test_a_tower_that_is_gone_is_named(self, meaning: SoundText) -> None:
        with pytest.raises(BundleError, match=r"gone-sound-2\.0, which is not here"):
            sound_text(replace(meaning.stamp, encoder_id="gone-sound-2.0"), load_encoder())

    def test_words_of_another_text_tower_are_refused(self, copied: Path) -> None:
        changed(copied, text_sha256="0" * 64)
        with pytest.raises(BundleError, match="trained with another text tower"):
            sound_text(load_sound(DEFAULT_SOUND).stamp, load_encoder())


def judged_sounds() -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Label and 2 s windows, half a second apart, of each sound of the set's test split."""
    if not (SOUNDS / "metadata.jsonl.gz").is_file():
        pytest.skip(f"no sounds in {SOUNDS}: set REELSEEK_SOUNDS to the folder of the sound set")
    with gzip.open(SOUNDS / "metadata.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["split"] == "test"]
    with tarfile.open(SOUNDS / rows[0]["shard"]) as tar:
        for row in rows:
            member = tar.extractfile(row["file"])
            assert member is not None
            yield row["labels"][0], overlapping(decoded(member.read()))


def decoded(opus: bytes) -> NDArray[np.float32]:
    """Mono at 32 kHz."""
    with av.open(io.BytesIO(opus)) as file:
        rate = file.streams.audio[0].rate
        blocks = [mono(frame.to_ndarray(), 1) for frame in file.decode(audio=0)]
    resampler = Resampler(rate)
    return np.concatenate([resampler.push(np.concatenate(blocks)), resampler.finish()])


def overlapping(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    wave = np.pad(wave, (0, max(0, WINDOW_SAMPLES - len(wave))))
    starts = range(0, len(wave) - WINDOW_SAMPLES + 1, SAMPLE_RATE // 2)
    return np.stack([wave[start : start + WINDOW_SAMPLES] for start in starts])
