"""A sound track becomes the same 2 s windows as with ffmpeg and librosa, however it comes."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from recordings import case_folders, folders_or_skip, read_arrays, read_case, stated_atol

from indexer.sound import SAMPLE_RATE, WINDOW_SAMPLES, Resampler, SoundWindows, mono

RATES = (8_000, 11_025, 12_345, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000)


def noise(samples: int) -> NDArray[np.float32]:
    return np.random.default_rng(samples).uniform(-0.5, 0.5, samples).astype(np.float32)


def in_chunks(sound: NDArray[np.float32], borders: list[int]) -> list[NDArray[np.float32]]:
    return [sound[start:end] for start, end in pairwise([0, *sorted(borders), len(sound)])]


def windows_of(rate: int, chunks: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    track = SoundWindows(rate)
    return np.concatenate([*map(track.push, chunks), track.finish()])


RESAMPLED = [
    folder
    for folder in case_folders("cnn14", arrays=[r"mono_\d+"])
    if "source_rate" in read_case(folder)["config"]
]


@pytest.mark.parametrize("chunk", [1, 7, 1024, 1_000_000])
@pytest.mark.parametrize("folder", folders_or_skip(RESAMPLED, "resampled sound", "cnn14"))
def test_resampled_sound_is_what_librosa_load_gave(folder: Path, chunk: int) -> None:
    case = read_case(folder)
    arrays = read_arrays(folder / "io.npz")
    config = case["config"]
    (source,) = (a for name, a in arrays.items() if name.endswith(f"_{config['source_rate']}_i16"))
    expected = arrays[f"mono_{config['target_rate']}"]
    sound = mono(np.ascontiguousarray(source.T), source.shape[1])

    track = Resampler(config["source_rate"])
    borders = list(range(chunk, len(sound), chunk))
    ours = np.concatenate([*map(track.push, in_chunks(sound, borders)), track.finish()])

    assert ours.shape == expected.shape
    tolerance = stated_atol(case["tolerance"]["with_soxr"])
    np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance)


@settings(max_examples=40, deadline=None)
@given(rate=st.sampled_from(RATES), tenths=st.integers(0, 45), data=st.data())
def test_chunks_make_no_difference(rate: int, tenths: int, data: st.DataObject) -> None:
    sound = noise(rate * tenths // 10)
    borders = data.draw(st.lists(st.integers(0, len(sound)), max_size=12))
    whole = windows_of(rate, [sound])
    assert np.array_equal(windows_of(rate, in_chunks(sound, borders)), whole)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("short", [-1, 0, 1])
def test_windows_are_the_whole_ones_of_the_resampled_track(rate: int, short: int) -> None:
    librosa = pytest.importorskip("librosa", reason="compares with librosa (.[panns])")
    sound = noise(4 * rate - short)
    expected = librosa.resample(sound, orig_sr=rate, target_sr=SAMPLE_RATE, res_type="soxr_hq")
    count = len(expected) // WINDOW_SAMPLES
    windows = windows_of(rate, [sound])
    assert windows.shape == (count, WINDOW_SAMPLES)
    np.testing.assert_allclose(windows.ravel(), expected[: count * WINDOW_SAMPLES], atol=1e-6)


@pytest.mark.parametrize(
    ("samples", "count"), [(0, 0), (1, 0), (63_999, 0), (64_000, 1), (127_999, 1), (128_000, 2)]
)
def test_what_is_left_at_the_end_is_dropped(samples: int, count: int) -> None:
    assert windows_of(SAMPLE_RATE, [noise(samples)]).shape == (count, WINDOW_SAMPLES)


def test_a_track_at_32_khz_passes_untouched() -> None:
    sound = noise(130_000)
    assert np.array_equal(windows_of(SAMPLE_RATE, [sound]).ravel(), sound[:128_000])


def test_a_window_given_out_stays_what_it_is() -> None:
    track = SoundWindows(SAMPLE_RATE)
    first = track.push(noise(64_000))
    kept = first.copy()
    track.push(np.ones(64_000, np.float32))
    assert np.array_equal(first, kept)


def test_memory_does_not_grow_with_the_track() -> None:
    track = SoundWindows(SAMPLE_RATE)
    second = noise(SAMPLE_RATE)
    tracemalloc.start()
    try:
        for _ in range(1200):
            track.push(second)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * WINDOW_SAMPLES * 4


def test_a_rate_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="0 samples per second"):
        SoundWindows(0)


AV_FORMATS = {
    "u8": np.uint8,
    "s16": np.int16,
    "s32": np.int32,
    "flt": np.float32,
    "dbl": np.float64,
}


def of_type(dtype: Any, shape: tuple[int, int]) -> NDArray[Any]:
    """Random samples over the whole range; floats beyond it, too."""
    random = np.random.default_rng(3)
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        return random.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    return random.uniform(-1.5, 1.5, shape).astype(dtype)


@pytest.mark.parametrize("name", AV_FORMATS)
@pytest.mark.parametrize("planar", [True, False])
def test_mono_is_the_mean_of_what_ffmpeg_writes_into_a_wav(name: str, planar: bool) -> None:
    samples = of_type(AV_FORMATS[name], (2, 500) if planar else (1, 1000))
    frame = av.AudioFrame.from_ndarray(samples, name + "p" * planar, "stereo")
    frame.sample_rate = 44_100
    (wav,) = av.AudioResampler("s16p", "stereo", 44_100).resample(frame)
    expected = (wav.to_ndarray().astype(np.float64) / 32768).mean(axis=0)

    ours = mono(samples, 2)

    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-7)


def test_equal_channels_are_as_loud_as_one() -> None:
    one = noise(100)
    assert np.array_equal(mono(np.stack([one] * 6), 6), mono(one[None], 1))


def test_damaged_samples_are_no_louder_than_sound_can_be() -> None:
    damaged = np.array([[np.nan, np.inf, -np.inf, 1e30, 0.5]], np.float32)
    assert mono(damaged, 1).tolist() == [0.0, 32767 / 32768, -1.0, 32767 / 32768, 0.5]


def test_an_array_of_another_number_of_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="6 channels"):
        mono(np.zeros((2, 10), np.float32), 6)


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    script = (
        "import sys, indexer.sound, indexer.encoders.panns, indexer.encoders.lite_sound\n"
        "import search.sound_words, storage.audioset\n"
        "heavy = {'torch', 'librosa', 'soxr', 'safetensors', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
