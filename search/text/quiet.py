"""Keeps transformers' and torch's bars and reports off the terminal."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No bars, notes or warnings meanwhile: what matters to a user is said in a sentence."""
    import transformers

    notes: Any = transformers.utils.logging
    bars = notes.is_progress_bar_enabled()
    verbosity = notes.get_verbosity()
    disabled = logging.root.manager.disable
    notes.disable_progress_bar()
    notes.set_verbosity_error()
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        notes.set_verbosity(verbosity)
        if bars:
            notes.enable_progress_bar()
