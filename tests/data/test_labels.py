from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archwright.data.labels import canonical, number
from archwright.errors import DataError


@given(
    st.lists(st.integers(-(2**40), 2**40), min_size=2, max_size=30) | st.lists(st.text("abcé ", max_size=4), min_size=2)
)
def test_numbering_keeps_which_images_share_a_class_and_sorts_the_names(labels: list[Any]) -> None:
    if len(set(labels)) < 2:
        return
    numbered, names = number({"train": canonical(labels, "y")}, None)
    assert names == tuple(str(label) for label in sorted(set(labels)))
    assert [names[i] for i in numbered["train"]] == [str(label) for label in labels]


@pytest.mark.parametrize(
    "labels",
    [
        [3, 7, 3],
        np.array([3, 7, 3], np.uint8),
        np.array([3, 7, 3], ">i4"),
        np.array([[3], [7], [3]]),  # as Keras keeps CIFAR-10
        np.array([3.0, 7.0, 3.0]),
        np.array([3, 7, 3], dtype=object),
        np.eye(8)[[3, 7, 3]],
    ],
)
def test_whole_numbers_in_any_form_are_the_same_labels(labels: Any) -> None:
    found = canonical(labels, "y")
    assert found.dtype == np.int64
    assert found.tolist() == [3, 7, 3]


@pytest.mark.parametrize("labels", [["cat", "dog"], np.array([b"cat", b"dog"]), np.array(["cat", "dog"], dtype=object)])
def test_strings_in_any_form_are_the_same_labels(labels: Any) -> None:
    assert canonical(labels, "y").tolist() == ["cat", "dog"]


def test_numbers_sort_as_numbers_and_truth_values_as_words() -> None:
    assert number({"train": canonical([10, 9, 100], "y")}, None)[1] == ("9", "10", "100")
    assert number({"train": canonical([True, False], "y")}, None)[1] == ("False", "True")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.0, float("nan")], "image 1 is nan"),
        ([0.0, 0.5, 1.5], "image 1 is 0.5 .2 such"),
        (["a", None], "image 1 is missing"),
        (np.array(["a", float("nan")], dtype=object), "image 1 is missing"),
        (np.array(["a", 1], dtype=object), "mix int and string"),
        ([[1, 2], [3]], "different shapes"),
        (np.zeros((2, 3)), "not one-hot"),
        (np.zeros((2, 3, 4)), "shape"),
        (5, "shape"),
        (np.array([1j, 2]), "complex"),
    ],
)
def test_labels_that_are_none_say_which_and_why(labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=rf"labels of x: .*{message}"):
        canonical(labels, "labels of x")


def test_names_of_the_source_are_used_in_its_order_and_made_unique() -> None:
    labels = {"train": np.array([3, 1, 0]), "test": np.array([3])}
    numbered, names = number(labels, ("crane", "dog", "not there", "crane"))
    assert names == ("crane (0)", "dog", "crane (3)")
    assert numbered["test"].tolist() == [2]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"train": ["a", "a"]}, "one class only, 'a'"),
        ({"train": ["a", "b"], "test": ["c", "c"]}, r"class 'c' is in the test part \(2 images\)"),
        ({"train": [0, 1], "test": ["a"]}, "numbers in one part and strings in another"),
    ],
)
def test_parts_must_have_the_same_classes(parts: dict[str, list[Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        number({part: np.array(labels) for part, labels in parts.items()}, None)


def test_a_label_without_a_name_is_an_error() -> None:
    with pytest.raises(DataError, match="label 2 has no class name; the data names 2 classes"):
        number({"train": np.array([0, 2])}, ("a", "b"))
