"""What is heard in each clip, from films whose sound is known."""

from __future__ import annotations

from pathlib import Path

import films
import numpy as np
import pytest
from fakes import ColourEncoder, ToneEncoder
from numpy.typing import NDArray

from indexer import scenes
from indexer.media import open_film
from indexer.pipeline import Fixity, IndexSettings, index_film
from storage.errors import BundleError
from storage.records import IndexedVideo, Location

LOW, HIGH = 300.0, 6000.0
FIXITY = Fixity(Location("/film", 1, 1), "0" * 64)


def sequence(*parts: tuple[float, float | None], rate: int = 48000) -> NDArray[np.float32]:
    """A low or high tone, or silence, for so many seconds each; two channels."""
    pieces = [
        np.zeros((1, round(length_s * rate)), np.float32)
        if pitch_hz is None
        else films.tone(length_s, pitch_hz, rate)
        for length_s, pitch_hz in parts
    ]
    return np.repeat(np.concatenate(pieces, axis=1), 2, axis=0)


def indexed(path: Path, ears: ToneEncoder | None) -> IndexedVideo:
    with open_film(path, with_sound=ears is not None) as film:
        settings = IndexSettings(scenes.DEFAULT)
        return index_film(film, FIXITY, ColourEncoder(), settings, lambda _: None, ears)


def heard(path: Path) -> list[str]:
    """For each clip "low", "high", "quiet", or "nothing" where there is no vector."""
    sound = indexed(path, ToneEncoder()).sound
    assert sound is not None
    names = []
    for vector, tags in zip(sound.vectors, sound.tags, strict=True):
        if not vector.any():
            assert not tags.any()
            names.append("nothing")
        elif tags[ToneEncoder.DOG] > 0.5:
            names.append("low")
        else:
            names.append("high" if tags[ToneEncoder.BIRD] > 0.5 else "quiet")
    return names


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("film.mp4", "aac", 48000),
        ("film.mov", "pcm_s16le", 44100),
        ("film.mkv", "flac", 32000),
        ("film.avi", "mp2", 44100),
        ("film.ts", "mp2", 48000),
        ("film.mxf", "pcm_s16le", 48000),
        ("old.avi", "pcm_u8", 22050),
    ],
)
def test_each_clip_is_heard_where_it_is_seen(
    tmp_path: Path, name: str, codec: str, rate: int
) -> None:
    wave = sequence((4, LOW), (2, None), (2.5, HIGH), rate=rate)
    how = {"wave": wave, "wave_codec": codec, "wave_rate": rate}
    if name.endswith((".ts", ".mxf")):
        how["codec"] = "mpeg2video"
    made = films.shots(tmp_path, (5.0, 5.0), name=name, **how)
    assert heard(made.path) == ["low", "low", "quiet", "high", "nothing"]


def test_sound_that_begins_before_the_pictures_counts_from_them(tmp_path: Path) -> None:
    stamps = [75 + n for n in range(150)]
    pictures = [films.texture(films.COLOURS[0], n) for n in range(150)]
    wave = sequence((3, LOW), (2, HIGH), (4, LOW))
    path = films.write(tmp_path / "late.mkv", pictures, stamps, wave=wave)
    assert heard(path) == ["high", "low", "low"]


def test_sound_that_begins_late_is_preceded_by_quiet(tmp_path: Path) -> None:
    pictures = [films.texture(films.COLOURS[0], n) for n in range(150)]
    path = films.write(tmp_path / "late.mkv", pictures, wave=sequence((4, HIGH)), wave_start_s=2.0)
    assert heard(path) == ["quiet", "high", "high"]


def test_what_is_left_at_the_end_is_not_padded(tmp_path: Path) -> None:
    made = films.shots(tmp_path, (5.0,), wave=sequence((5, LOW)))
    assert heard(made.path) == ["low", "low", "nothing"]


def test_a_silent_film_in_an_archive_with_sound_has_zeros(tmp_path: Path) -> None:
    ears = ToneEncoder()
    sound = indexed(films.shots(tmp_path, (3.0,)).path, ears).sound
    assert sound is not None and ears.encoded == 0
    assert sound.vectors.shape == (2, 3) and not sound.vectors.any() and not sound.tags.any()


def test_without_ears_nothing_is_kept(tmp_path: Path) -> None:
    made = films.shots(tmp_path, (3.0,), wave=sequence((3, LOW)))
    assert indexed(made.path, None).sound is None


def test_pictures_are_the_same_with_and_without_sound(tmp_path: Path) -> None:
    made = films.shots(tmp_path, (3.0, 4.0), name="film.ts", wave=sequence((7, LOW)))
    deaf, hearing = indexed(made.path, None), indexed(made.path, ToneEncoder())
    np.testing.assert_array_equal(deaf.clip_vectors, hearing.clip_vectors)
    np.testing.assert_array_equal(deaf.clip_times_s, hearing.clip_times_s)
    assert deaf.scenes == hearing.scenes


def test_two_channels_are_averaged(tmp_path: Path) -> None:
    """Opposite channels cancel out; libav's mixdown would be 3 dB louder on equal ones."""
    one = films.tone(2.0, LOW)
    opposite = np.concatenate([one, -one])
    made = films.shots(tmp_path, (2.0,), name="film.mkv", wave=opposite, wave_codec="flac")
    assert heard(made.path) == ["quiet"]


def test_the_encoders_failure_ends_the_run(tmp_path: Path) -> None:
    class Broken(ToneEncoder):
        def load(self) -> None:
            raise BundleError("weights are damaged")

    made = films.shots(tmp_path, (30.0,), wave=sequence((30, LOW)))
    with pytest.raises(BundleError, match="weights are damaged"):
        indexed(made.path, Broken())


def test_a_damaged_sound_track_costs_no_picture(tmp_path: Path) -> None:
    import av

    made = films.shots(tmp_path, (6.0,), name="film.mkv", wave=sequence((6, LOW)))
    content = bytearray(made.path.read_bytes())
    with av.open(str(made.path)) as source:
        places = [(p.pos, p.size) for p in source.demux(audio=0) if p.size]
    for position, size in places[10:60]:
        assert position is not None
        content[position + 8 : position + size] = b"\xff" * (size - 8)
    damaged = tmp_path / "damaged.mkv"
    damaged.write_bytes(content)
    item = indexed(damaged, ToneEncoder())
    assert len(item.clip_times_s) == 3 and item.sound is not None
    assert any("of sound unreadable" in note for note in item.video.notes)
