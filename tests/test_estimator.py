"""`ArchwrightClassifier` keeps scikit-learn's laws, and does with images and tables what its docstring says."""

from __future__ import annotations

import io
import pickle
import pickletools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from archwright import ArchwrightClassifier
from archwright.errors import ConfigError
from archwright.spaces import Stages

# One stage, one candidate of each of few kinds, and few steps: a fit takes a tenth of a second.
SPACE = Stages(
    most_stages=1, widths=(16,), kinds=("plain",), halvings=("none",), blocks=(1,), kernels=(1,), excitations=(False,),
    activations=("relu",), training=False,
)  # fmt: skip
SETTINGS: dict[str, Any] = {
    **{"trials": 1, "evaluator": "from-scratch", "controller": "random"},
    "search_recipe": {"epochs": 1, "batch": 512},
    "final_recipe": {"epochs": 12, "batch": 128, "learning_rate": 0.4},
}


def tiny(**changes: Any) -> ArchwrightClassifier:
    return ArchwrightClassifier(**{"minutes": None, "space": SPACE, "settings": SETTINGS, "threads": 1, **changes})


@parametrize_with_checks([tiny()])  # all of them: none is expected to fail
def test_the_laws_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def stripes(count: int = 60, size: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Noise with one bright row or column: labels by name."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 90, (count, size, size), dtype=np.uint8), np.arange(count) % 2
    x[y == 0, 2] += 150
    x[y == 1, :, 5] += 150
    return x, np.array(["row", "column"])[y]


@pytest.mark.parametrize("axes", [None, 3, 1, "flat"])
def test_images_in_any_layout_are_classified(axes: Any) -> None:
    x, y = stripes()
    given = x.reshape(len(x), 64) if axes == "flat" else x if axes is None else np.stack([x, x // 2], axes)
    recipe = {"epochs": 12, "batch": 16, "learning_rate": 0.2, "pad": 0, "weight_decay": 0.0, "average": 0.0}
    space = replace(SPACE, kernels=(3,), kinds=("residual",), heads=("max",))
    classifier = tiny(space=space, settings={**SETTINGS, "final_recipe": recipe}).fit(given, y)
    assert classifier.shape_ == (1 if axes in (None, "flat") else 2, 8, 8)
    assert list(classifier.classes_) == ["column", "row"]
    assert classifier.score(given, y) > 0.9
    probabilities = classifier.predict_proba(given[:3])
    assert probabilities.shape == (3, 2)
    assert probabilities.dtype == np.float32
    assert classifier.validation_accuracy_ == pytest.approx(1, abs=0.3)
    with pytest.raises(ValueError, match="X has"):
        classifier.predict(given[:, :-1])


def test_a_pickle_holds_the_files_of_a_model_and_no_module(tmp_path: Path) -> None:
    x, y = stripes()
    classifier = tiny(runs=tmp_path / "runs").fit(x, y)
    content = pickle.dumps(classifier)
    named = {text for _, text, _ in pickletools.genops(io.BytesIO(content)) if isinstance(text, str)}
    assert {"model.json", "weights.safetensors"} <= named
    assert not [name for name in named if name.startswith(("torch", "archwright.nets"))]
    again = pickle.loads(content)
    assert (again.predict_proba(x) == classifier.predict_proba(x)).all()
    assert again.architecture_ == classifier.architecture_ == again.model_.architecture
    assert (Path(classifier.run_) / "model" / "model.json").is_file()
    assert pickle.loads(pickle.dumps(clone(classifier))).get_params()["runs"] == tmp_path / "runs"


def test_it_works_in_pipelines_and_cross_validation() -> None:
    x, y = stripes(40)
    rows = x.reshape(len(x), 64).astype(float)
    pipeline = make_pipeline(StandardScaler(), tiny(shape="table"))
    scores = cross_val_score(pipeline, rows, y, cv=2)
    assert scores.shape == (2,)
    assert scores.mean() > 0.6
    assert pipeline.fit(rows, y)[-1].shape_ == (64, 1, 1)


def test_the_seed_decides() -> None:
    x, y = stripes(40)
    one, same, other = (tiny(random_state=seed).fit(x, y).predict_proba(x) for seed in (3, 3, 4))
    assert (one == same).all()
    assert (one != other).any()
    drawn = [tiny(random_state=np.random.RandomState(3)).fit(x, y).predict_proba(x) for _ in range(2)]
    assert (drawn[0] == drawn[1]).all()


@pytest.mark.parametrize(
    ("changes", "x", "y", "message"),
    [
        ({}, np.zeros((4, 3)), [0, 0, 0, 1], "class 1 has one sample"),
        ({}, np.zeros((4, 2, 2)), [0, 0, 1, 1], "the least is 4x4"),
        ({}, np.zeros((4, 6, 7, 8)), [0, 0, 1, 1], "which does not show what are channels"),
        ({"shape": (2, 3)}, np.zeros((4, 7)), [0, 0, 1, 1], r"shape is \(2, 3\), and X has rows of 7 features"),
        ({"validation": 1.5}, np.zeros((4, 7)), [0, 0, 1, 1], "validation is 1.5; it must be a share"),
        ({"shape": "table"}, np.full((4, 7), 1e200), [0, 0, 1, 1], "no float32 holds"),
    ],
)
def test_what_cannot_be_used_is_told(changes: Any, x: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**changes).fit(x, y)


def test_settings_are_those_of_a_search() -> None:
    with pytest.raises(ConfigError, match="search\\(\\) has no argument 'trails'"):
        tiny(settings={"trails": 3}).fit(*stripes(20))
    with pytest.raises(ConfigError, match="'nowhere' is not a space"):
        tiny(space="nowhere").fit(*stripes(20))
