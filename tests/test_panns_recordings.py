"""Cnn14 gives what the official network was recorded to give, and refuses what is no Cnn14."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bringing import SOUND_DIM, save_thin_cnn14
from numpy.typing import NDArray
from recordings import case_folders, folders_or_skip, read_arrays, read_case, recorded_file

from indexer.encoders.panns import PannsEncoder
from indexer.encoders.panns_config import FRONT_END_SHAPES, MEL_KEY, Cnn14Config
from indexer.logmel import mel_filters
from indexer.sound import SoundWindows
from storage.errors import BundleError
from storage.records import SoundStamp

torch = pytest.importorskip("torch", reason="Cnn14 needs torch (pip install .[panns])")
pytest.importorskip("librosa", reason="mel filters need librosa (pip install .[panns])")
safetensors = pytest.importorskip("safetensors.torch")

CASES = case_folders("cnn14", fields=["widths", "embedding"], arrays=["embedding_.*"])

Tensors = dict[str, Any]


@dataclass(frozen=True)
class Recorded:
    """A recorded network: its case, its outputs, and our encoder with its weights."""

    case: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    encoder: PannsEncoder
    waves: dict[str, NDArray[np.float32]]

    def outputs(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The recorded outputs of this name, each by the name of the wave that it belongs to."""
        named = {name.removeprefix(prefix): array for name, array in self.arrays.items()}
        found = {name: array for name, array in named.items() if name in self.waves}
        if not found:
            pytest.skip(f"the waves to this case's {prefix}* are not recorded")
        return found


def waves_of(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Recorded waves by name, a case's own or those of cases with its seed, which share them."""
    seed = read_case(folder).get("seed")
    sharing = [other for other in CASES if read_case(other).get("seed") == seed]
    return {
        name.removeprefix("wave_"): array.astype(np.float32) / np.float32(32768)
        for other in [*sharing, folder]
        for name, array in read_arrays(other / "io.npz").items()
        if name.startswith("wave_")
    }


@pytest.fixture(scope="module", params=folders_or_skip(CASES, "Cnn14 networks", "cnn14"))
def recorded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Recorded]:
    folder: Path = request.param
    case = read_case(folder)
    written = tmp_path_factory.mktemp("cnn14") / "model.safetensors"
    weights = folder / "weights.safetensors"
    if not weights.exists():  # real widths: 327 MB that a rule gives anew
        safetensors.save_file(from_recipe(case), written)
        weights = written
    stamp = SoundStamp(f"cnn14-{folder.name}", "0" * 64, case["embedding"], classes(case))
    arrays, encoder = read_arrays(folder / "io.npz"), PannsEncoder(weights, stamp)
    yield Recorded(case, arrays, encoder, waves_of(folder))
    written.unlink(missing_ok=True)


def classes(case: dict[str, Any]) -> int:
    return int(case["config"]["classes_num"])


def from_recipe(case: dict[str, Any]) -> Tensors:
    """Weights from the rule that the recordings come with."""
    spec = importlib.util.spec_from_file_location("recipe", recorded_file("cnn14", "recipe.py"))
    assert spec is not None and spec.loader is not None
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    return {
        name: torch.from_numpy(np.asarray(recipe.tensor(name, tuple(facts["shape"]), case["seed"])))
        for name, facts in case["keys"].items()
        if name not in FRONT_END_SHAPES
    }


def assert_same_embedding(
    ours: NDArray[np.float32], expected: NDArray[np.float32], case: dict[str, Any], name: str
) -> None:
    assert ours.shape == expected.shape
    share = case["tolerance"]["embedding"]["max_abs_diff_over_max_abs"]
    atol = share * np.abs(expected).max()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=atol, err_msg=name)


def test_embeddings_and_tags_are_the_recorded_ones(recorded: Recorded) -> None:
    for name, expected in recorded.outputs("embedding_").items():
        embeddings, tags = recorded.encoder.features(recorded.waves[name][None])
        assert_same_embedding(embeddings[0], expected, recorded.case, name)
        np.testing.assert_allclose(
            tags[0],
            recorded.arrays[f"clipwise_{name}"],
            rtol=0,
            atol=recorded.case["tolerance"]["clipwise"]["atol"],
            err_msg=name,
        )


def test_a_track_has_the_recorded_windows(recorded: Recorded) -> None:
    for name, expected in recorded.outputs("windows_").items():
        track = SoundWindows(recorded.encoder.sample_rate)
        windows = np.concatenate([track.push(recorded.waves[name]), track.finish()])
        raw, _ = recorded.encoder.features(windows)
        unit, _ = recorded.encoder.encode(windows)
        assert_same_embedding(raw, expected, recorded.case, name)
        expected = recorded.arrays[f"windows_l2_infer_{name}"]
        assert_same_embedding(unit, expected, recorded.case, name)
        np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1.0, rtol=1e-6)


def test_silence_has_as_many_windows_as_recorded(recorded: Recorded) -> None:
    for samples, shape in recorded.case["windows_of_silence"].items():
        windows = SoundWindows(recorded.encoder.sample_rate).push(np.zeros(int(samples), "f4"))
        vectors, tags = recorded.encoder.encode(windows)
        assert vectors.shape == tuple(shape)
        assert tags.shape == (shape[0], classes(recorded.case))


def test_sounds_too_short_for_the_network_fail_as_recorded(recorded: Recorded) -> None:
    for samples in recorded.case["too_short"]:
        with pytest.raises(RuntimeError):
            recorded.encoder.features(np.zeros((1, int(samples)), np.float32))


def test_sizes_are_read_off_the_recorded_tensors(recorded: Recorded) -> None:
    shapes = {name: tuple(facts["shape"]) for name, facts in recorded.case["keys"].items()}
    config = Cnn14Config.from_shapes(shapes)
    assert list(config.widths) == recorded.case["widths"]
    assert config.embedding == recorded.case["embedding"]
    assert config.classes == classes(recorded.case)
    assert {**config.shapes(), **FRONT_END_SHAPES} == shapes


@pytest.fixture
def tensors(tmp_path: Path) -> Tensors:
    """A small random network, to be spoilt."""
    loaded: Tensors = safetensors.load_file(save_thin_cnn14(tmp_path / "thin.safetensors"))
    return loaded


def encoder_with(tensors: Tensors, folder: Path) -> PannsEncoder:
    safetensors.save_file(tensors, folder / "model.safetensors")
    stamp = SoundStamp("cnn14", "0" * 64, SOUND_DIM, Cnn14Config().classes)
    return PannsEncoder(folder / "model.safetensors", stamp)


def test_windows_are_encoded_alike_alone_and_among_others(tensors: Tensors, tmp_path: Path) -> None:
    encoder = encoder_with(tensors, tmp_path)
    windows = np.random.default_rng(5).uniform(-0.3, 0.3, (encoder.batch_size + 2, 64_000))
    windows = windows.astype(np.float32)
    together, tags = encoder.encode(windows)
    assert together.shape == (len(windows), encoder.stamp.dim)
    for row in (0, encoder.batch_size):
        alone, its_tags = encoder.encode(windows[row : row + 1])
        np.testing.assert_allclose(alone[0], together[row], rtol=0, atol=1e-6)
        np.testing.assert_allclose(its_tags[0], tags[row], rtol=0, atol=1e-6)


def test_a_vector_of_zeros_stays_one(tensors: Tensors, tmp_path: Path) -> None:
    tensors["fc1.bias"] = torch.full_like(tensors["fc1.bias"], -1e6)
    vectors, _ = encoder_with(tensors, tmp_path).encode(np.zeros((1, 64_000), np.float32))
    assert (vectors == 0.0).all()


def test_the_official_front_end_may_be_among_the_tensors(tensors: Tensors, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    wave = np.random.default_rng(6).uniform(-0.3, 0.3, (1, 64_000)).astype(np.float32)
    expected, _ = encoder_with(tensors, plain).encode(wave)
    front_end = {name: torch.zeros(shape) for name, shape in FRONT_END_SHAPES.items()}
    front_end[MEL_KEY] = torch.from_numpy(mel_filters().T.copy())
    ours, _ = encoder_with(tensors | front_end, tmp_path).encode(wave)
    assert np.array_equal(ours, expected)


def test_a_network_for_other_spectrograms_is_refused(tensors: Tensors, tmp_path: Path) -> None:
    from librosa.filters import mel

    wider = mel(sr=32_000, n_fft=1024, n_mels=64, fmin=0, fmax=16_000)
    tensors[MEL_KEY] = torch.from_numpy(wider.T.copy())
    with pytest.raises(BundleError, match=r"trained on other spectrograms.*import the 32 kHz"):
        encoder_with(tensors, tmp_path).load()


def test_the_16_khz_network_is_refused(tensors: Tensors, tmp_path: Path) -> None:
    tensors[MEL_KEY] = torch.zeros(257, 64)
    with pytest.raises(BundleError, match=rf"misshapen {MEL_KEY} \(257, 64\) instead of"):
        encoder_with(tensors, tmp_path).load()


def test_tensors_that_are_missing_or_surplus_are_named(tensors: Tensors, tmp_path: Path) -> None:
    del tensors["conv_block3.bn2.running_var"]
    tensors["att_block.bias"] = torch.zeros(3)
    expected = "missing conv_block3.bn2.running_var; surplus att_block.bias"
    with pytest.raises(BundleError, match=re.escape(expected)):
        encoder_with(tensors, tmp_path).load()


def test_training_counters_may_be_missing(tensors: Tensors, tmp_path: Path) -> None:
    without = {n: t for n, t in tensors.items() if not n.endswith("num_batches_tracked")}
    assert len(without) < len(tensors)
    encoder_with(without, tmp_path).load()


def test_a_damaged_file_is_refused_with_advice(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"\x08\0\0\0\0\0\0\0no json!")
    with pytest.raises(BundleError, match="cannot be used as a Cnn14 sound network"):
        PannsEncoder(file, SoundStamp("cnn14", "0" * 64, 64, 527)).load()
