"""A finished bundle is imported under a name of the user's, or refused in one sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import Run

from storage.bundles import SHIPPED


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The shipped encoder, as a folder somewhere else."""
    return Path(shutil.copytree(SHIPPED / "lite", tmp_path / "bundle"))


def rewrite(folder: Path, **changes: object) -> None:
    manifest = folder / "manifest.json"
    fields = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps(fields | changes), encoding="utf-8")


def test_it_gets_the_name_and_keeps_its_files(run: Run, bundle: Path, tmp_path: Path) -> None:
    done = run("reelseek", "models", "import", bundle, "--name", "mine")
    assert done.returncode == 0, done.stderr
    assert "as 'mine' (mine-" in done.stdout and "--encoder mine" in done.stdout
    copy = tmp_path / "models" / "mine"
    for name in ("image.onnx", "text.onnx", "tokenizer.json"):
        assert (copy / name).read_bytes() == (bundle / name).read_bytes()
    fields = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    assert fields["name"] == "mine"
    assert "non-commercial" in fields["licence"]["projections"]
    assert run("reelseek", "models", "verify", "mine").returncode == 0

    again = run("reelseek", "models", "import", bundle, "--name", "mine")
    assert again.returncode == 7 and "--replace" in again.stderr
    replaced = run("reelseek", "models", "import", bundle, "--name", "mine", "--replace")
    assert replaced.returncode == 0


def test_the_name_of_a_shipped_model_is_refused(run: Run, bundle: Path) -> None:
    refused = run("reelseek", "models", "import", bundle)
    assert refused.returncode == 7 and "choose another --name" in refused.stderr


def test_a_damaged_file_is_found_before_anything_is_copied(
    run: Run, bundle: Path, tmp_path: Path
) -> None:
    file = bundle / "image.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    refused = run("reelseek", "models", "import", bundle, "--name", "mine")
    assert refused.returncode == 7 and "damaged" in refused.stderr
    assert not (tmp_path / "models" / "mine").exists()


@pytest.mark.parametrize(
    ("section", "entry", "told"),
    [
        ("image", {"output": "vectors"}, "lacks vectors"),
        ("text", {"tokens": "words"}, "lacks words"),
        ("image", {"network": "transformers"}, "goes through transformers"),
    ],
)
def test_a_network_that_does_not_keep_the_manifests_word_is_refused(
    run: Run, bundle: Path, section: str, entry: dict[str, str], told: str
) -> None:
    fields = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    rewrite(bundle, **{section: fields[section] | entry})
    refused = run("reelseek", "models", "import", bundle, "--name", "mine")
    assert refused.returncode == 7 and told in refused.stderr
    assert "Traceback" not in refused.stderr


def test_another_kind_of_bundle_and_a_plain_folder_are_told_apart(
    run: Run, bundle: Path, tmp_path: Path
) -> None:
    rewrite(bundle, kind="head")
    refused = run("reelseek", "models", "import", bundle, "--name", "mine")
    assert refused.returncode == 7 and "not an encoder" in refused.stderr
    plain = run("reelseek", "models", "import", tmp_path / "work", "--name", "mine")
    assert plain.returncode == 2 and "--as" in plain.stderr
