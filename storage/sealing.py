"""Builds the FAISS files of a view: an index over the rows so far; later rows are scanned exactly.

Small archives get a flat index (float16, exact). Large ones get inverted lists (float16 too), whose
file is memory-mapped by the search, so that a query touches a small part of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage import current as layout
from storage import files
from storage.current import BadView, Current, IndexFile

MIN_TAIL_ROWS = 1024
"""Rows that are never worth an index: scanning them exactly takes under a millisecond."""

TAIL_SHARE = 4
"""An index is made anew when more rows than this part of it lie behind it. So each row is indexed
about five times over the life of an archive, however large it grows."""

MAX_FLAT_ROWS = 50_000
"""Up to here the flat index is exact and answers in milliseconds; inverted lists start above."""

PROBED_SHARE = 4
"""A query looks into one list of so many. Words lie farther from pictures than pictures from each
other, so that a text's neighbours spread over many lists: at 150,000 rows recall@100 against the
exact scan was 0.965 with an eighth of the lists, 0.992 with a quarter."""

TRAINING_ROWS_PER_LIST = 40
TRAINING_ROUNDS = 5
"""Twice the lists, or 8 rounds, did not raise the recall, but tripled the time."""

_CHUNK_ROWS = 16_384


def seal(folder: Path, current: Current) -> Current:
    """Index whatever has outgrown its index; the same generation, with new FAISS files.

    BadView if the vectors do not match their checksum.
    """
    return dataclasses.replace(
        current,
        clip_index=_renewed(folder, current, layout.CLIP_VECTORS, current.clip_index),
        scene_index=_renewed(folder, current, layout.SCENE_VECTORS, current.scene_index),
    )


def _renewed(
    folder: Path, current: Current, column: str, index: IndexFile | None
) -> IndexFile | None:
    covered = index.rows if index else 0
    rows = current.rows(column)
    if rows - covered <= max(MIN_TAIL_ROWS, covered // TAIL_SHARE):
        return index
    name = f"{column.partition('.')[0]}-{rows:010d}.faiss"
    return build(folder / column, current, column, folder / name)


def build(source: Path, current: Current, column: str, target: Path) -> IndexFile:
    """Index all rows of a column of vectors and write the file, synced."""
    import faiss

    with _one_thread(faiss):
        index = _filled(faiss, source, current, column)
        return _write(faiss, index, target, current.rows(column))


def _filled(faiss: Any, source: Path, current: Current, column: str) -> Any:
    rows, dim = current.rows(column), current.stamp.dim
    quantizer = faiss.ScalarQuantizer.QT_fp16
    if rows <= MAX_FLAT_ROWS:
        index: Any = faiss.IndexScalarQuantizer(dim, quantizer, faiss.METRIC_INNER_PRODUCT)
    else:
        lists = list_count(rows)
        index = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatIP(dim), dim, lists, quantizer, faiss.METRIC_INNER_PRODUCT, False
        )
        index.cp.niter = TRAINING_ROUNDS
        index.cp.min_points_per_centroid = 1  # else FAISS prints warnings
        index.cp.max_points_per_centroid = TRAINING_ROWS_PER_LIST
        index.cp.spherical = True
        index.nprobe = lists // PROBED_SHARE
        index.train(_sample(source, rows, dim, lists * TRAINING_ROWS_PER_LIST))
    checksum = 0
    for data, vectors in _chunks(source, rows, dim):
        checksum = zlib.crc32(data, checksum)
        index.add(vectors)
    if checksum != current.columns[column].crc32:
        raise BadView(f"{column}: checksum does not match")
    return index


def list_count(rows: int) -> int:
    """Inverted lists for so many rows: about the square root, a power of two."""
    return int(2 ** round(np.log2(np.sqrt(rows))))


@contextlib.contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:
    # Beside a decoder that keeps all cores busy, FAISS's threads wait for each other: 37 s for what
    # one thread does in 3 s.
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _sample(source: Path, rows: int, dim: int, count: int) -> NDArray[np.float32]:
    chosen = np.random.default_rng(0).choice(rows, min(count, rows), replace=False)
    vectors = np.memmap(source, "<f2", "r", shape=(rows, dim))
    return np.asarray(vectors[np.sort(chosen)], np.float32)


def _chunks(source: Path, rows: int, dim: int) -> Iterator[tuple[bytes, NDArray[np.float32]]]:
    with open(source, "rb") as file:
        for start in range(0, rows, _CHUNK_ROWS):
            data = file.read(min(_CHUNK_ROWS, rows - start) * dim * 2)
            yield data, np.frombuffer(data, "<f2").reshape(-1, dim).astype(np.float32)


def _write(faiss: Any, index: Any, target: Path, rows: int) -> IndexFile:
    # Through our own file: FAISS's writer only prints a message when the disk fills up at the end.
    fresh = target.with_suffix(".faiss.new")
    digest = hashlib.sha256()
    with files.removed_on_error(fresh), open(fresh, "wb") as file:

        def write(data: bytes) -> int:
            digest.update(data)
            return file.write(data)

        faiss.write_index(index, faiss.PyCallbackIOWriter(write))
        files.sync(file)
        size = file.tell()
    os.replace(fresh, target)
    files.sync_folder(target.parent)
    return IndexFile(target.name, rows, size, digest.hexdigest())
