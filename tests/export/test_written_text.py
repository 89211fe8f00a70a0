"""The text of exported files: any value survives, long lines are broken without changing what they mean."""

from __future__ import annotations

import ast
import keyword

from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from archwright.export.classes import attribute_names, identifier
from archwright.export.expressions import fold, literal
from archwright.export.layers import from_module

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.lists(inner, max_size=8).map(tuple)
        | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=40,
)


@given(values, st.sampled_from([0, 4, 8]))
def test_a_value_is_read_back_from_its_source(value, indent):
    source = fold(f"value = {literal(value)}", indent)
    space: dict[str, object] = {}
    exec("if True:\n" + source if indent else source, space)
    assert space["value"] == value
    assert literal(space["value"]) == literal(value)  # 1, 1.0 and True are equal, their sources are not


@given(st.lists(st.text(max_size=300), min_size=1, max_size=20))
def test_long_texts_are_broken_into_lines(names):
    source = fold(f"names = {literal(tuple(names))}", 0)
    assert ast.literal_eval(source.removeprefix("names = ")) == tuple(names)
    assert max(map(len, source.splitlines())) <= 120


def test_breaking_keeps_calls_and_subscripts():
    operands = ", ".join(f"self.a_rather_long_name_{i}(x[:, {i}:], 'a, (b', dim=(2, 3))" for i in range(9))
    for source in (f"x = torch.cat([{operands}], dim=1)", f"return f(x)[g({operands}), 1]", f"x = a + f({operands})"):
        folded = fold(source, 8)
        assert ast.dump(ast.parse("def f():\n" + folded)) == ast.dump(ast.parse("def f():\n        " + source))


paths = st.lists(st.sampled_from(["a", "0", "1", "op", "class", "x/y", "ü", "mean"]), min_size=1, max_size=4).map(
    ".".join
)


@given(st.lists(paths, unique=True, max_size=12))
def test_attributes_have_names_of_their_own(found):
    names = attribute_names([f"network.cell.{path}" for path in found], "network.cell")
    assert len(set(names.values())) == len(found)
    for name in names.values():
        assert name.isidentifier()
        assert not keyword.iskeyword(name)
        assert not hasattr(nn.Module, name)
        assert name not in ("mean", "std")


def test_attribute_names_leave_out_what_tells_nothing():
    paths = ["cell.nodes.0.left.ops.sep.1", "cell.nodes.0.right.ops.max.0", "cell.nodes.1.left.ops.avg.0", "cell.join"]
    assert list(attribute_names(paths, "cell").values()) == ["nodes_0_left", "nodes_0_right", "nodes_1", "join"]


@given(st.text(max_size=20))
def test_identifier_is_one(text):
    assert identifier(text).isidentifier()


def test_layers_are_written_with_what_differs_from_the_defaults():
    layers = {
        "nn.Conv2d(8, 4, (3, 1), stride=2, padding=(1, 0), bias=False)": nn.Conv2d(8, 4, (3, 1), 2, (1, 0), bias=False),
        'nn.Conv2d(8, 8, 3, padding="same", groups=8)': nn.Conv2d(8, 8, 3, padding="same", groups=8),
        "nn.BatchNorm2d(6, eps=0.001, affine=False)": nn.BatchNorm2d(6, eps=1e-3, affine=False),
        "nn.MaxPool2d(2)": nn.MaxPool2d(2),
        "nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)": nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        "nn.Linear(3, 2)": nn.Linear(3, 2),
        "nn.ReLU()": nn.ReLU(inplace=True),
        'nn.GELU(approximate="tanh")': nn.GELU("tanh"),
        "nn.Softmax(dim=1)": nn.Softmax(1),
        "nn.GRU(3, 4, num_layers=2, bidirectional=True)": nn.GRU(3, 4, 2, bidirectional=True),
        "nn.LayerNorm((3,), eps=0.1, bias=False)": nn.LayerNorm(3, eps=0.1, bias=False),
    }
    assert [from_module(layer, "layer").write() for layer in layers.values()] == list(layers)
