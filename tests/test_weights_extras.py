"""What an import asks to be installed is what its extra in setup.cfg brings."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from weights.extras import EXTRAS

SETUP = Path(__file__).parents[1] / "setup.cfg"


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_an_extra_brings_what_is_asked_for(extra: str) -> None:
    config = configparser.ConfigParser()
    config.read(SETUP, encoding="utf-8")
    for section in (extra, "networks"):
        brought = re.findall(r"^([\w-]+)", config["options.extras_require"][section], re.M)
        assert set(EXTRAS[extra]) <= set(brought)
