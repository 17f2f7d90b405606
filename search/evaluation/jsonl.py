"""Reading files of one JSON object per line, plain or gzipped, that a stranger may have made."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from storage.errors import EvaluationError

MAX_LINE_BYTES = 1 << 22
"""An official prediction takes 2 kB; what is far longer is another kind of file."""

_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file, each with its place in words, e.g. "preds.jsonl, line 3".

    Whether the file is gzipped is told by its first bytes. Blank lines are passed over.

    Raises:
        EvaluationError: the file cannot be read, or a line is not a JSON object.
    """
    try:
        with open(path, "rb") as file:
            packed = file.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC)
            yield from _objects(gzip.GzipFile(fileobj=file) if packed else file, path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise EvaluationError(f"{path} is a damaged gzip file ({error}): copy it anew.") from error
    except OSError as error:
        raise EvaluationError(f"{path} cannot be read: {error.strerror or error}.") from error


def _objects(
    lines: BufferedReader | gzip.GzipFile, path: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    number = 0
    while line := lines.readline(MAX_LINE_BYTES + 1):
        number += 1
        place = f"{path}, line {number}"
        if len(line) > MAX_LINE_BYTES:
            raise EvaluationError(
                f"{place}: longer than {MAX_LINE_BYTES >> 20} MiB; give a file with one JSON "
                "object per line and query."
            )
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if line.strip():
            yield place, _object(line, place)


def _object(line: bytes, place: str) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise EvaluationError(
            f"{place}: not text; give a file with one JSON object per line and query."
        ) from error
    except json.JSONDecodeError as error:
        raise EvaluationError(
            f"{place}: not JSON ({error.msg}, column {error.colno}); give a file with one JSON "
            "object per line and query."
        ) from error
    except (ValueError, RecursionError) as error:  # bytes, numbers or nesting beyond json's reach
        raise EvaluationError(f"{place}: not JSON that can be read ({error}).") from error
    if not isinstance(value, dict):
        raise EvaluationError(
            f"{place}: not a JSON object but a {type(value).__name__}; give a file with one "
            'object such as {"qid": 1, …} per line and query.'
        )
    return value
