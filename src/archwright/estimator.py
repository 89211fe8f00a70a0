"""`ArchwrightClassifier`: a search as a classifier of scikit-learn, for images and for tables."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from archwright.api import user_settings
from archwright.components import space_class, typed
from archwright.data.arrays import Layout, convert
from archwright.data.images import ImageData, ImagePart, Preprocessing
from archwright.data.split import stratified
from archwright.errors import DataError
from archwright.modalities import load_model
from archwright.runs.events import Message, Stage
from archwright.runs.job import Job
from archwright.runs.outcome import save_model
from archwright.runs.preparation import prepare
from archwright.space import Space
from archwright.training.measure import denormals_kept

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Shape: TypeAlias = "tuple[int, ...] | Literal['table']"

SQUARE = 8  # pixels of a side from which rows of a square number of values are taken for grey images
PLAIN = {"pad": 0, "flip": False, "cutout": 0}  # of a table: what moves or hides pixels would hide whole rows
MODEL = ("model.json", "weights.safetensors")


class ArchwrightClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Searches an architecture for labelled images or rows, trains it, and classifies with it.

    X is (n, height, width), (n, height, width, channels) or (n, channels, height, width), of at least 4x4 pixels, or
    rows (n, features): square grey images where the features are a square number from 64 up, and otherwise a table. A
    table is an image of one pixel with a channel for each feature, so its convolutions are fully connected layers, and
    each feature is standardised. y may be any labels. NaN and sparse matrices are errors.

    A share of the samples is kept for validation, by which architectures are chosen; no test part is split off, since
    `score` and `cross_val_score` have one.

    Args:
        minutes: what a fit may take; None has a counted budget, with which `random_state` and one number of threads fix
            the result.
        space: what is searched, by name or as a value; None is "stages".
        settings: other arguments of `archwright.search`: `{"trials": 4, "final_recipe": {"epochs": 5}}`.
        shape: of rows: (height, width), (channels, height, width), or "table".
        layout: of arrays whose shape does not show it: "NHW", "NHWC", "NCHW".
        validation: the share of samples for validation, by class.
        random_state: a seed, a RandomState, or None.
        device: "auto", "cpu", "cuda"...
        threads: None takes the faster of one and all, in a fit of `minutes`; all in a counted one.
        runs: a folder in which each fit leaves its run folder; None leaves nothing.
        verbose: print what a fit does.

    Attributes:
        classes_: the labels, sorted.
        model_: the trained model (`archwright.TrainedModel`): `model_.export(folder)` writes files without archwright.
        architecture_: the architecture found.
        shape_: channels, height and width of an image.
        validation_accuracy_: the accuracy by which it was chosen.
        run_: the run folder, or None.
    """

    def __init__(
        self,
        minutes: float | None = 10,
        *,
        space: str | Space | None = None,
        settings: Mapping[str, Any] | None = None,
        shape: Shape | None = None,
        layout: Layout | None = None,
        validation: float = 0.15,
        random_state: Any = 0,
        device: str = "auto",
        threads: int | None = None,
        runs: str | Path | None = None,
        verbose: bool = False,
    ) -> None:
        self.minutes = minutes
        self.space = space
        self.settings = settings
        self.shape = shape
        self.layout = layout
        self.validation = validation
        self.random_state = random_state
        self.device = device
        self.threads = threads
        self.runs = runs
        self.verbose = verbose

    @denormals_kept()
    def fit(self, X: Any, y: Any) -> ArchwrightClassifier:
        """Search and train; returns self.

        Raises:
            ValueError: if X or y cannot be used.
            ArchwrightError: if the search cannot be planned or fails, such as a `ConfigError` for too few minutes.
        """
        X, y = validate_data(self, X, y, allow_nd=True)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        self.shape_ = self._shape_of(X)
        number = self.random_state
        seed = number if isinstance(number, int) else int(check_random_state(number).randint(2**31 - 1))
        data = self._data(self._images(X, self.shape_), numbers, seed)
        settings = dict(self.settings or {})
        for name in ("search_recipe", "final_recipe") if self.shape_[1:] == (1, 1) else ():
            if isinstance(given := settings.get(name) or {}, Mapping):
                settings[name] = {**PLAIN, **given}
        prepared = prepare(
            data,
            user=user_settings(space=self._space(), data=data, **settings),
            minutes=self.minutes,
            seed=seed,
            device=self.device,
            threads=self.threads,
            timed=self.minutes is not None,
        )
        with self._folder() as folder, prepared.begin(folder) as store:
            job = Job(prepared.plan, data, store)
            events: Any = iter(job)
            with closing(events):
                for event in events:
                    if isinstance(event, Stage) and event.name == "test":  # the caller has one
                        break
                    if self.verbose and isinstance(event, Message):
                        print(event.text)
            key = job.delivered
            save_model(job, key, "model")
            self.model_: Any = load_model(folder / "model")
            self.validation_accuracy_ = float(store.get(f"candidate/{key}")["validation_accuracy"])
        self.architecture_ = self.model_.architecture
        self.run_ = None if self.runs is None else str(folder)
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, float32 [n, classes] in the order of `classes_`."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, allow_nd=True)
        if self._shape_of(X) != self.shape_:
            raise ValueError(f"X has images of {self._shape_of(X)}; the classifier was fitted with {self.shape_}")
        probabilities: Array = self.model_.logits(self._images(X, self.shape_)).softmax(1).numpy()
        return probabilities

    def predict(self, X: Any) -> Array:
        """Return the most probable label of each sample."""
        probabilities = self.predict_proba(X)  # first: it says where the classifier is not fitted
        labels: Array = self.classes_[probabilities.argmax(1)]
        return labels

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Return plain values; the model is the two files that any model of archwright's has."""
        state = dict(super().__getstate__())
        if (model := state.pop("model_", None)) is not None:
            with tempfile.TemporaryDirectory() as folder:
                model.save(Path(folder))
                state["_model"] = {name: Path(folder, name).read_bytes() for name in MODEL}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        files = state.pop("_model", None)
        super().__setstate__(state)
        if files is not None:
            with tempfile.TemporaryDirectory() as folder:
                for name in MODEL:
                    Path(folder, name).write_bytes(files[name])
                self.model_ = load_model(folder)

    def _shape_of(self, X: Array) -> tuple[int, int, int]:
        """Return channels, height and width of the images that X holds."""
        if X.ndim > 2:
            _, channels, height, width = self._images(X[:1]).shape
            return channels, height, width
        features, side, shape = X.shape[1], math.isqrt(X.shape[1]), self.shape
        if shape is None:
            shape = (side, side) if side >= SQUARE and side**2 == features else "table"
        if shape == "table":
            return features, 1, 1
        if len(shape) not in (2, 3) or math.prod(shape) != features:
            raise ValueError(f"shape is {shape!r}, and X has rows of {features} features; it must have as many values")
        channels, height, width = (1, *shape) if len(shape) == 2 else shape
        return channels, height, width

    def _images(self, X: Array, shape: tuple[int, int, int] | None = None) -> Tensor:
        """Return images [n, channels, height, width], uint8 or float32; `shape` is that of rows."""
        layout = self.layout
        if X.ndim == 2 and shape is not None:
            X, layout = X.reshape(len(X), *shape), "NCHW"
            if shape[1:] == (1, 1):
                with np.errstate(over="ignore"):
                    table = torch.from_numpy(X.astype(np.float32))
                if not table.isfinite().all():
                    raise ValueError("X has values that no float32 holds")
                return table
        try:
            tensors, _ = convert({"X": X}, layout, None)
        except DataError as error:
            raise ValueError(str(error)) from error
        return tensors["X"]

    def _data(self, images: Tensor, numbers: Array, seed: int) -> ImageData:
        """Return the data of a run: training and validation parts by class, and no test part."""
        counts = np.bincount(numbers)
        if len(counts) < 2:
            raise ValueError(f"y has one class only, {self.classes_[0]}; at least two classes are needed")
        if counts.min() < 2:
            rare = self.classes_[counts.argmin()]
            raise ValueError(f"class {rare} has one sample; at least two are needed, to train and to validate")
        if not 0 < self.validation < 1:
            raise ValueError(f"validation is {self.validation!r}; it must be a share between 0 and 1")
        labels = torch.from_numpy(numbers.astype(np.int64))
        chosen = stratified(numbers.astype(np.int64), {"validation": self.validation}, seed)
        train, validation = (
            ImagePart(images, labels)[torch.from_numpy(chosen[part])] for part in ("train", "validation")
        )
        return ImageData(
            train,
            validation,
            train[:0],
            tuple(map(str, self.classes_.tolist())),
            "arrays in memory",
            f"{len(train):,} train, {len(validation):,} validation: split by class",
            Preprocessing.of(train.x),
        )

    def _space(self) -> Space | None:
        if isinstance(self.space, str):
            typed(self.space)
            return space_class(self.space)()
        return self.space

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        """Make a run folder, which goes away after the fit unless `runs` says where to keep it."""
        if self.runs is None:
            with tempfile.TemporaryDirectory(prefix="archwright-") as folder:
                yield Path(folder, "run")
        else:
            Path(self.runs).mkdir(parents=True, exist_ok=True)
            yield Path(tempfile.mkdtemp(prefix="fit-", dir=self.runs), "run")
