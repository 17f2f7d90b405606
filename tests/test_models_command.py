"""`reelseek models`, as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bringing import save_thin_cnn14
from conftest import Run
from recordings import Container, cases_or_skip, containers

from commands.models_text import file_size
from weights.families import WORDS
from weights.known import OFFERED

ROOT = Path(__file__).resolve().parents[1]

Reelseek = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def reelseek(run: Run, models: Path) -> Reelseek:
    """`reelseek models …` with a models folder of its own."""
    return lambda *words: run("reelseek", "models", *words, REELSEEK_MODELS=str(models))


@pytest.fixture
def cnn14(tmp_path: Path) -> Path:
    return save_thin_cnn14(tmp_path / "weights.safetensors")


def test_a_model_is_imported_listed_shown_verified_and_removed(
    reelseek: Reelseek, models: Path, cnn14: Path
) -> None:
    done = reelseek("import", cnn14, "--as", "cnn14", "--licence", "CC BY 4.0")
    assert done.returncode == 0, done.stderr
    assert "Imported PANNs Cnn14" in done.stdout and "'cnn14'" in done.stdout
    assert "not a published file that reelseek knows" in done.stdout
    assert "--sound cnn14" in done.stdout

    listed = reelseek("list").stdout
    assert "lite" in listed and "cnn14" in listed and "CC BY 4.0" in listed

    shown = reelseek("info", "cnn14").stdout
    for fact in ("weights.safetensors (safetensors)", "CC BY 4.0", str(models / "cnn14")):
        assert fact in shown

    verified = reelseek("verify").stdout.splitlines()
    assert {line.partition(": ")[2] for line in verified} == {"every checksum is right"}
    assert {"lite", "lite-sound", "cnn14"} <= {line.partition(":")[0] for line in verified}
    assert "Removed cnn14" in reelseek("remove", "cnn14").stdout
    assert "cnn14" not in reelseek("list").stdout


def test_the_shipped_model_is_there_from_the_start_with_its_card(reelseek: Reelseek) -> None:
    shown = reelseek("info", "lite").stdout
    assert "non-commercial" in shown and "\nIntended use\n------------\n" in shown
    refused = reelseek("remove", "lite")
    assert refused.returncode == 7 and "stays" in refused.stderr


def test_json_says_what_the_tables_say(reelseek: Reelseek, cnn14: Path) -> None:
    reelseek("import", cnn14, "--as", "cnn14")
    listed = json.loads(reelseek("list", "--json").stdout)
    names = [model["name"] for model in listed["models"]]
    assert names[0] == "lite" and names[-1] == "cnn14" and "lite-sound" in names
    shipped = {"encoder": "lite", "sound": None, "head": "lite-moments"}
    assert listed["sets"] == [shipped], "Cnn14 has no head here that hears with it"
    shown = json.loads(reelseek("info", "cnn14", "--json").stdout)
    assert shown["kind"] == "sound" and shown["sound"]["tags"] == 527


def test_damage_is_found_and_said_with_exit_code_7(
    reelseek: Reelseek, models: Path, cnn14: Path
) -> None:
    reelseek("import", cnn14, "--as", "cnn14")
    weights = models / "cnn14" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    found = reelseek("verify", "cnn14")
    assert found.returncode == 7 and "damaged" in found.stdout and "1 model" in found.stderr
    weights.write_bytes(content[:-1])
    listed = reelseek("list")
    assert listed.returncode == 0 and "damaged" in listed.stdout and "cut short" in listed.stderr
    assert reelseek("remove", "cnn14").returncode == 0


@pytest.mark.parametrize(
    "hostile",
    cases_or_skip(
        {name: c for name, c in containers().items() if c.is_hostile}, "hostile files", "containers"
    ),
)
def test_hostile_files_get_one_sentence_and_exit_code_7(
    reelseek: Reelseek, hostile: Container, tmp_path: Path
) -> None:
    refused = reelseek("import", hostile.path, "--as", "qd-detr")
    assert refused.returncode == 7
    assert refused.stderr.count("\n") == 2  # that it is read, and why not
    assert "Error: " in refused.stderr and "which no weights file needs" in refused.stderr
    assert not list(tmp_path.rglob("*PWNED*"))


def test_a_file_of_another_family_is_told_the_right_word(reelseek: Reelseek, cnn14: Path) -> None:
    refused = reelseek("import", cnn14, "--as", "clip")
    assert refused.returncode == 7 and "--as cnn14" in refused.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("import", "x.pt"),
        ("import", "x.pt", "--as", "bert"),
        ("import", "x.pt", "--as", "clip", "--sound-dim", "3"),
        ("info",),
    ],
    ids=" ".join,
)
def test_wrong_use_is_exit_code_2(reelseek: Reelseek, words: tuple[str, ...]) -> None:
    assert reelseek(*words).returncode == 2


@pytest.mark.parametrize("verb", ["info", "verify", "remove"])
def test_an_unknown_model_is_answered_with_those_that_there_are(
    reelseek: Reelseek, verb: str
) -> None:
    refused = reelseek(verb, "nobody")
    assert refused.returncode == 7 and "lite" in refused.stderr


def test_get_lists_what_is_published_and_refuses_other_names(reelseek: Reelseek) -> None:
    listed = reelseek("get").stdout
    refused = reelseek("get", "gpt")
    assert refused.returncode == 7
    for known in OFFERED:
        assert known.name in listed and known.name in refused.stderr


def test_get_without_a_network_is_one_sentence_with_the_way_out(run: Run, models: Path) -> None:
    for package in ("torch", "transformers", "onnxscript"):
        pytest.importorskip(package, reason="nothing is fetched that could not be imported then")
    # A proxy at the discard port, where nobody listens: as on a machine without a network.
    refused = run(
        "reelseek",
        *("models", "get", "clip"),
        REELSEEK_MODELS=str(models),
        https_proxy="http://127.0.0.1:9",
        no_proxy="",
    )
    assert refused.returncode == 7
    assert "reelseek models import ViT-B-32.pt --as clip" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_looking_at_models_loads_no_torch() -> None:
    code = (
        "import sys; from click.testing import CliRunner; import cli;"
        "out = CliRunner().invoke(cli.reelseek, ['models', 'list']);"
        "assert out.exit_code == 0, out.output;"
        "CliRunner().invoke(cli.reelseek, ['models', 'import', '--help']);"
        "print(sorted({'torch', 'transformers', 'librosa', 'onnx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_how_to_names_all_that_is_published_and_every_word_after_as() -> None:
    page = (ROOT / "docs" / "how-to" / "bring-weights.md").read_text(encoding="utf-8")
    for known in OFFERED:
        assert f"`{known.name}`" in page and known.file in page
    for word in WORDS:
        assert f"`{word}`" in page


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (99_960, "100 kB"),
        (327_428_481, "327 MB"),
    ],
)
def test_sizes_are_written_with_three_digits(size: float, words: str) -> None:
    assert file_size(int(size)) == words
