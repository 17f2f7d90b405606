"""`python -m training.moments` on a small made-up data set: it learns, stops and goes on."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from recordings import case_files, fixtures_folder

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("scipy", reason="training needs scipy")

from search.evaluation.qvhighlights import evaluate  # noqa: E402
from search.moments.qd_detr import QDDETR  # noqa: E402
from search.moments.qd_detr_config import QDDETRConfig  # noqa: E402
from training import moments  # noqa: E402
from training.moment_retrieval import checkpoint  # noqa: E402
from training.moment_retrieval.command_line import parse  # noqa: E402
from training.moment_retrieval.features import Widths  # noqa: E402
from training.moment_retrieval.options import network_config  # noqa: E402
from training.moment_retrieval.options import official as official_options  # noqa: E402

REPOSITORY = Path(__file__).parents[1]
THINGS, DIM, SOUND_DIM = 8, 12, 5
RATINGS = ("relevant_clip_ids", "saliency_scores")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The same sums in the same order, whatever else the machine does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class MadeUp:
    """Films in which one thing is seen at a time, and sentences that name one of them."""

    path: Path

    def write(self, name: str, first_qid: int, queries: int) -> None:
        """Annotations ``{name}.jsonl`` and the features of their films and sentences."""
        drawn = np.random.default_rng(first_qid)
        things = np.linalg.qr(np.random.default_rng(0).standard_normal((DIM, DIM)))[0][:THINGS]
        lines = []
        for qid in range(first_qid, first_qid + queries):
            clips = int(drawn.integers(24, 32))
            wanted, *others = drawn.permutation(THINGS)
            length = int(drawn.integers(4, 10))
            start = int(drawn.integers(0, clips - length + 1))
            seen = np.where(np.arange(clips) < start, others[0], others[1])
            seen[start : start + length] = wanted
            self._write_features(qid, things[seen], things[wanted], drawn)
            rated = range(start, start + length)
            lines.append(
                {
                    "qid": qid,
                    "query": f"thing {wanted}",
                    "vid": f"film{qid}",
                    "duration": clips * 2,
                    "relevant_windows": [[start * 2, (start + length) * 2]],
                    "relevant_clip_ids": list(rated),
                    "saliency_scores": [[2, 3, 4] if clip % 2 else [2, 2, 3] for clip in rated],
                }
            )
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (self.path / f"{name}.jsonl").write_text(text)

    def _write_features(
        self,
        qid: int,
        clips: NDArray[np.float64],
        word: NDArray[np.float64],
        drawn: np.random.Generator,
    ) -> None:
        for folder in ("pictures", "words", "sounds"):
            (self.path / folder).mkdir(exist_ok=True)
        noisy = clips + 0.1 * drawn.standard_normal(clips.shape)
        np.savez(self.path / "pictures" / f"film{qid}.npz", features=noisy.astype(np.float32))
        sound = drawn.standard_normal((len(clips), SOUND_DIM))
        np.save(self.path / "sounds" / f"film{qid}.npy", sound.astype(np.float32))
        begin_and_end = np.random.default_rng(1).standard_normal((2, DIM))
        words = np.stack([begin_and_end[0], word, begin_and_end[1]])
        np.savez(self.path / "words" / f"qid{qid}.npz", last_hidden_state=words.astype(np.float16))

    @property
    def few(self) -> Path:
        """Annotations for runs whose result does not matter."""
        return self.path / "few.jsonl"

    def options(self, out: str, **changes: object) -> list[str]:
        """A command line for a small network."""
        options = {
            "train": self.path / "train.jsonl",
            "val": self.path / "val.jsonl",
            "video-features": self.path / "pictures",
            "text-features": self.path / "words",
            "out": self.path / out,
            "hidden": 32,
            "heads": 4,
            "feedforward": 64,
            "queries": 5,
            "device": "cpu",
            "threads": 1,
        } | {name.replace("_", "-"): value for name, value in changes.items()}
        words: list[str] = []
        for name, value in options.items():
            words += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
        return words


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> MadeUp:
    made_up = MadeUp(tmp_path_factory.mktemp("made-up"))
    made_up.write("train", 0, 192)
    made_up.write("few", 0, 24)
    made_up.write("val", 1000, 40)
    return made_up


EASY = {
    "epochs": 30,
    "batch": 16,
    "learning-rate": 2e-3,
    "clip-norm": 1,
    "dropout": 0,
    "input-dropout": 0,
    "input-projections": 1,
    "text-to-video-layers": 1,
    "encoder-layers": 1,
}
"""What makes the small network learn in seconds; the defaults are for 7,000 queries."""


def test_training_finds_the_moments_of_films_it_has_not_seen(films: MadeUp) -> None:
    assert moments.main(films.options("learned", **EASY)) == 0
    folder = films.path / "learned"
    log = lines_of(folder / "log.jsonl")
    assert [entry["epoch"] for entry in log] == list(range(30))
    assert log[-1]["train"]["loss_overall"] < 0.5 * log[0]["train"]["loss_overall"]

    predictions = lines_of(folder / "best_val_preds.jsonl")
    truth = lines_of(films.path / "val.jsonl")
    best = evaluate(predictions, truth)["brief"]
    assert best == json.loads((folder / "best_val_metrics.json").read_text())["brief"]
    assert best["MR-full-mAP"] == max(e["val"]["MR-full-mAP"] for e in log if e["val"])
    assert best["MR-full-R1@0.5"] >= 70
    # Where such moments usually lie is easy to guess; what the sentence says must count.
    mixed_up = [
        prediction | {"qid": other["qid"]}
        for prediction, other in zip(predictions, predictions[1:] + predictions[:1], strict=True)
    ]
    assert evaluate(mixed_up, truth)["brief"]["MR-full-R1@0.5"] <= 40
    assert best["HL-min-Good-Hit1"] >= 70


def test_the_checkpoint_reads_like_a_published_one(films: MadeUp) -> None:
    assert moments.main(films.options("layout", train=films.few, epochs=2, eval_every=1)) == 0
    for name in ("model_best.ckpt", "model_latest.ckpt"):
        content = checkpoint.load(films.path / "layout" / name)
        assert {"model", "optimizer", "lr_scheduler", "epoch", "opt"} <= set(content)
        shapes = {key: tuple(tensor.shape) for key, tensor in content["model"].items()}
        opt = content["opt"]
        config = QDDETRConfig.from_shapes(shapes, heads=opt.nheads)
        QDDETR(config).load_state_dict(content["model"], strict=True)
        assert (opt.v_feat_dim, opt.t_feat_dim, opt.a_feat_dim) == (DIM + 2, DIM, None)
        assert (opt.hidden_dim, opt.num_queries, opt.seed) == (32, 5, 2018)
    assert content["epoch"] == 1


def test_official_checkpoints_hold_the_same_options(films: MadeUp) -> None:
    fixtures_folder("qddetr")  # skips where there are none
    found = case_files("qddetr", "*.ckpt")
    if not found:
        pytest.skip("no recorded case of qddetr holds a checkpoint as the official code saves it")
    official = found[0]
    with torch.serialization.safe_globals([argparse.Namespace]):
        theirs = vars(torch.load(official, weights_only=True)["opt"])
    options = parse(films.options("nowhere"), "")
    widths = Widths((DIM,), DIM, 0)
    ours = vars(official_options(options, network_config(options, widths)))
    sizes = {"hidden_dim", "dim_feedforward", "num_queries", "v_feat_dim", "t_feat_dim", "nheads"}
    paths = {"train_path", "eval_path", "v_feat_dirs", "t_feat_dir", "results_dir", "device"}
    shared = (set(ours) & set(theirs)) - sizes - paths
    assert len(shared) > 30
    assert {name: ours[name] for name in shared - {"num_workers"}} == {
        name: theirs[name] for name in shared - {"num_workers"}
    }


def test_a_head_that_listens_reads_picture_and_sound_of_each_clip(films: MadeUp) -> None:
    pictures = films.path / "pictures"
    listening = {
        "video-features": [pictures, pictures],
        "audio-features": films.path / "sounds",
        "train": films.few,
        "epochs": 1,
    }
    assert moments.main(films.options("listening", **listening)) == 0
    content = checkpoint.load(films.path / "listening" / "model_latest.ckpt")
    width = 2 * DIM + 2 + SOUND_DIM + 2
    assert content["model"]["input_vid_proj.0.LayerNorm.weight"].shape == (width,)
    opt = content["opt"]
    assert (opt.v_feat_dim, opt.a_feat_dim) == (2 * DIM + 2, SOUND_DIM + 2)


def test_annotations_without_ratings_train_and_judge_moments_alone(films: MadeUp) -> None:
    for name in ("few", "val"):
        bare = [
            {key: value for key, value in line.items() if key not in RATINGS}
            for line in lines_of(films.path / f"{name}.jsonl")
        ]
        text = "".join(json.dumps(line) + "\n" for line in bare)
        (films.path / f"{name}-unrated.jsonl").write_text(text)
    unrated = {
        "train": films.path / "few-unrated.jsonl",
        "val": films.path / "val-unrated.jsonl",
        "epochs": 1,
    }
    assert moments.main(films.options("unrated", **unrated)) == 0
    (entry,) = lines_of(films.path / "unrated" / "log.jsonl")
    assert entry["train"]["loss_saliency"] == 0
    assert {name.split("-")[0] for name in entry["val"]} == {"MR"}


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(films: MadeUp) -> None:
    short = {"train": films.few, "batch": 8, "eval_every": 1, "lr_drop": 2}
    assert moments.main(films.options("whole", **short, epochs=4)) == 0
    assert moments.main(films.options("halves", **short, epochs=2)) == 0
    latest = films.path / "halves" / "model_latest.ckpt"
    torch.rand(17)  # whatever else has used the random generator since
    assert moments.main(["--resume", str(latest), "--epochs", "4"]) == 0
    assert_same_run(films.path / "whole", films.path / "halves", 4)


def test_a_run_that_goes_on_in_another_folder_takes_log_and_best_model_along(
    films: MadeUp,
) -> None:
    good = {"train": films.few, "batch": 8, "eval_every": 1, "learning_rate": 1e-3}
    assert moments.main(films.options("first", **good, epochs=2)) == 0
    first, second = films.path / "first", films.path / "second"
    set_best_figure(first, 99.0)  # nothing that follows is as good
    best = (first / "model_best.ckpt").read_bytes()
    before = {file.name: file.read_bytes() for file in first.iterdir()}
    latest = first / "model_latest.ckpt"
    go_on = ["--resume", str(latest), "--out", str(second), "--epochs", "3"]
    assert moments.main(go_on) == 0

    assert [entry["epoch"] for entry in lines_of(second / "log.jsonl")] == [0, 1, 2]
    assert (second / "model_best.ckpt").read_bytes() == best
    for name in ("best_val_preds.jsonl", "best_val_metrics.json"):
        assert (second / name).read_bytes() == before[name]
    assert checkpoint.load(second / "model_latest.ckpt")["resume"]["best"] == 99.0
    assert {file.name: file.read_bytes() for file in first.iterdir()} == before
    assert moments.main(films.options("unmoved", **good, epochs=3)) == 0
    one, other = (
        checkpoint.load(films.path / name / "model_latest.ckpt") for name in ("second", "unmoved")
    )
    assert_identical(one["model"], other["model"])


def test_without_the_best_model_of_before_the_best_from_here_on_is_kept(
    films: MadeUp, capsys: pytest.CaptureFixture[str]
) -> None:
    short = {"train": films.few, "epochs": 1}
    assert moments.main(films.options("cleared", **short)) == 0
    cleared = films.path / "cleared"
    set_best_figure(cleared, 99.0)
    (cleared / "model_best.ckpt").unlink()
    go_on = ["--resume", str(cleared / "model_latest.ckpt"), "--epochs", "2"]
    for out in ("elsewhere", "cleared"):
        capsys.readouterr()
        assert moments.main([*go_on, "--out", str(films.path / out)]) == 0
        best = films.path / out / "model_best.ckpt"
        assert f"{cleared} does not hold the best model" in capsys.readouterr().out
        assert checkpoint.load(best)["epoch"] == 1
        assert checkpoint.load(best)["resume"]["best"] < 99


def test_going_back_to_the_best_epoch_does_not_overwrite_what_came_after(
    films: MadeUp, capsys: pytest.CaptureFixture[str]
) -> None:
    short = {"train": films.few, "eval_every": 1}
    assert moments.main(films.options("long", **short, epochs=1)) == 0
    folder = films.path / "long"
    latest, best = folder / "model_latest.ckpt", folder / "model_best.ckpt"
    set_best_figure(folder, 99.0)
    assert moments.main(["--resume", str(latest), "--epochs", "3"]) == 0
    assert checkpoint.load(best)["epoch"] == 0

    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    capsys.readouterr()
    assert moments.main(["--resume", str(best)]) == 1
    said = capsys.readouterr().err
    assert f"{latest} would be overwritten by going on from {best}" in said
    assert f"--resume {latest}, or choose another --out" in said
    assert said.count("\n") == 1
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before

    branch = films.path / "branch"
    assert moments.main(["--resume", str(best), "--out", str(branch), "--epochs", "2"]) == 0
    assert [entry["epoch"] for entry in lines_of(branch / "log.jsonl")] == [0, 1]
    assert (branch / "model_best.ckpt").read_bytes() == before["model_best.ckpt"]


def test_a_run_does_not_go_on_in_the_folder_of_another_one(
    films: MadeUp, capsys: pytest.CaptureFixture[str]
) -> None:
    short = {"train": films.few, "epochs": 1}
    assert moments.main(films.options("mine", **short)) == 0
    assert moments.main(films.options("yours", **short, seed=1)) == 0
    mine, yours = films.path / "mine", films.path / "yours"
    set_best_figure(yours, 99.0)
    go_on = ["--resume", str(mine / "model_latest.ckpt"), "--out", str(yours), "--epochs", "2"]
    for kept in ("model_latest.ckpt", "model_best.ckpt"):
        before = {file.name: file.read_bytes() for file in yours.iterdir()}
        capsys.readouterr()
        assert moments.main(go_on) == 1
        assert f"{yours / kept} would be overwritten" in capsys.readouterr().err
        assert {file.name: file.read_bytes() for file in yours.iterdir()} == before
        (yours / kept).unlink()
    # Nor is a new run started over a best model.
    assert moments.main([*go_on[:4], "--epochs", "2"]) == 0
    (yours / "model_latest.ckpt").unlink()
    assert moments.main(films.options("yours", **short)) == 1
    best = yours / "model_best.ckpt"
    assert f"continue it with --resume {best}" in capsys.readouterr().err


def test_a_best_model_that_cannot_be_compared_with_is_not_replaced(
    films: MadeUp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert moments.main(films.options("spoilt", train=films.few, epochs=1)) == 0
    best = films.path / "spoilt" / "model_best.ckpt"
    best.write_bytes(best.read_bytes()[:5000])
    latest = best.with_name("model_latest.ckpt")
    assert moments.main(["--resume", str(latest), "--epochs", "2"]) == 1
    assert f"{best} is damaged or not of this program" in capsys.readouterr().err
    assert best.stat().st_size == 5000


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT for a child process on Windows")
def test_ctrl_c_loses_no_more_than_the_epoch_that_runs(films: MadeUp) -> None:
    short = {"train": films.few, "batch": 4, "epochs": 40, "eval_every": 100}
    folder = films.path / "stopped"
    command = [sys.executable, "-m", "training.moments", *films.options("stopped", **short)]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    run = subprocess.Popen(
        command, cwd=REPOSITORY, env=one_thread, stderr=subprocess.PIPE, text=True
    )
    try:
        while not (folder / "log.jsonl").exists() and run.poll() is None:
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 130
    latest = folder / "model_latest.ckpt"
    assert said == f"stopped; go on with --resume {latest}\n"

    done = checkpoint.load(latest)["epoch"] + 1
    assert 1 <= done < 40
    until = str(done + 2)
    assert moments.main(["--resume", str(latest), "--epochs", until]) == 0
    assert moments.main(films.options("not-stopped", **short | {"epochs": until})) == 0
    assert_same_run(films.path / "not-stopped", folder, done + 2)


def test_a_run_that_diverges_ends_in_a_sentence_and_keeps_what_was_good(
    films: MadeUp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert moments.main(films.options("wild", train=films.few, learning_rate=1e30)) == 1
    said = capsys.readouterr().err
    assert "no longer finite" in said and "--learning-rate" in said
    assert said.count("\n") == 1


def test_what_cannot_be_done_is_refused_in_a_sentence(
    films: MadeUp, capsys: pytest.CaptureFixture[str]
) -> None:
    again = films.options("refused", train=films.few, epochs=1)
    assert moments.main(again) == 0
    latest = films.path / "refused" / "model_latest.ckpt"
    resume = ["--resume", str(latest)]
    damaged = films.path / "damaged.ckpt"
    damaged.write_bytes(latest.read_bytes()[:5000])
    published = films.path / "published.ckpt"
    torch.save({"model": {}, "optimizer": {}, "epoch": 3, "opt": argparse.Namespace()}, published)
    nowhere = films.path / "nowhere"
    wider = films.path / "wider"
    for arguments, complaint in (
        (again, f"holds a run already: continue it with --resume {latest}"),
        ([*resume, "--learning-rate", "1"], "--learning-rate is 1.0, but the run to resume has"),
        ([*resume, "--no-aux-loss"], "--aux-loss is False"),
        ([*resume, "--text-features", str(nowhere)], "does not exist, but qid 0 needs it"),
        (["--resume", str(nowhere)], "nowhere cannot be read"),
        (["--resume", str(damaged)], "damaged.ckpt is damaged or not a checkpoint"),
        (["--resume", str(published)], "published.ckpt holds no state to resume from"),
        (films.options("new", device="abacus"), "there is no device abacus here"),
        (films.options("new", heads=5), "32 does not divide into 5 heads"),
        (films.options("new", train=wider), "wider cannot be read"),
        (films.options("few.jsonl", train=films.few), "few.jsonl cannot be made"),
    ):
        capsys.readouterr()
        assert moments.main(arguments) not in (0, 130), arguments
        said = capsys.readouterr().err
        assert complaint in said
        assert said.startswith("error: ") and said.count("\n") == 1


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    films: MadeUp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert moments.main(films.options("full", train=films.few, epochs=1)) == 0
    latest = films.path / "full" / "model_latest.ckpt"
    before = latest.read_bytes()
    latest.with_name("model_latest.ckpt.new").mkdir()  # in the way
    assert moments.main(["--resume", str(latest), "--epochs", "2"]) == 1
    assert "model_latest.ckpt cannot be written" in capsys.readouterr().err
    assert latest.read_bytes() == before


def set_best_figure(folder: Path, figure: float) -> None:
    """Let a run's best model have been as good as that."""
    for name in ("model_best.ckpt", "model_latest.ckpt"):
        content = checkpoint.load(folder / name)
        content["resume"]["best"] = figure
        torch.save(content, folder / name)


def assert_same_run(one: Path, other: Path, epochs: int) -> None:
    """Weights, optimiser, random state and log agree to the last bit."""
    first, second = (checkpoint.load(folder / "model_latest.ckpt") for folder in (one, other))
    for content in (first, second):
        del content["opt"]
    assert_identical(first, second)
    logs = [
        [entry | {"s": 0} for entry in lines_of(folder / "log.jsonl")] for folder in (one, other)
    ]
    assert len(logs[0]) == epochs
    assert [entry["train"] for entry in logs[0]] == [entry["train"] for entry in logs[1]]


def assert_identical(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_identical(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            assert_identical(first, second)
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]
