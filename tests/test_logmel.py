"""Our log-mel spectrograms are those that the official front end was recorded with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from recordings import case_folders, folders_or_skip, read_arrays, read_case, recorded_file

from indexer.logmel import LogMel, hann_window, mel_filters

torch = pytest.importorskip("torch", reason="spectrograms need torch (pip install .[panns])")
pytest.importorskip("librosa", reason="mel filters need librosa (pip install .[panns])")


def log_mel(waves: NDArray[np.int16]) -> NDArray[np.float32]:
    spectrograms = LogMel()(torch.from_numpy(waves.astype(np.float32) / 32768))
    result: NDArray[np.float32] = spectrograms.numpy()
    return result


def test_filters_and_window_are_the_official_ones() -> None:
    recorded = read_arrays(recorded_file("cnn14", "mel.npz"))
    np.testing.assert_allclose(mel_filters(), recorded["mel"], rtol=0, atol=1e-7)
    np.testing.assert_allclose(hann_window(), recorded["window"], rtol=0, atol=1e-12)


def recorded_pairs(folder: Path) -> dict[str, str]:
    """Each recorded spectrogram of a case, with the recorded wave that it is of."""
    with np.load(folder / "io.npz", allow_pickle=False) as recorded:
        names = set(recorded.files)
    pairs = {n: n.replace("logmel_", "wave_") for n in sorted(names) if n.startswith("logmel_")}
    return {name: wave for name, wave in pairs.items() if wave in names}


HEARD = list(filter(recorded_pairs, case_folders("cnn14", arrays=["logmel_.*"])))


@pytest.mark.parametrize("folder", folders_or_skip(HEARD, "spectrograms and their waves", "cnn14"))
def test_every_recorded_spectrogram_is_met(folder: Path) -> None:
    arrays, tolerance = read_arrays(folder / "io.npz"), read_case(folder)["tolerance"]["logmel"]
    for name, wave in recorded_pairs(folder).items():
        expected = arrays[name]
        ours = log_mel(arrays[wave][None])[0]
        assert ours.shape == expected.shape
        # Far below the loudest bin of a frame float32 holds mostly rounding.
        loud = expected >= expected.max(axis=1, keepdims=True) - 60.0
        np.testing.assert_allclose(
            ours[loud], expected[loud], rtol=0, atol=tolerance["atol_dB"], err_msg=name
        )
        np.testing.assert_allclose(
            ours, expected, rtol=0, atol=tolerance["elsewhere_atol_dB"], err_msg=name
        )


@pytest.mark.parametrize("level", [0, 12_000])
def test_silence_and_a_constant_are_100_db_down_in_every_bin(level: int) -> None:
    assert (log_mel(np.full((1, 64_000), level, np.int16)) == -100.0).all()


def test_a_tone_is_loudest_in_its_own_bin() -> None:
    times_s = np.arange(64_000) / 32_000
    tone = (20_000 * np.sin(2 * np.pi * 1000 * times_s)).astype(np.int16)
    centres_hz = mel_filters().argmax(axis=1) * 31.25
    loudest = log_mel(tone[None])[0].mean(axis=0).argmax()
    assert abs(centres_hz[loudest] - 1000) < 40


def test_neighbours_in_a_batch_do_not_matter() -> None:
    waves = np.random.default_rng(1).integers(-9000, 9000, (3, 20_000), dtype=np.int16)
    together = log_mel(waves)
    for wave, row in zip(waves, together, strict=True):
        np.testing.assert_allclose(log_mel(wave[None])[0], row, rtol=0, atol=1e-3)
