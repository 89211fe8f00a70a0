"""Operations that a sentence composes: listed, shown, drawn, written as source, and used in other spaces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from archwright.data.images import Preprocessing
from archwright.errors import SpaceError
from archwright.export import export
from archwright.nets.grammar import GrammarNetwork
from archwright.nets.grammar_operation import operation
from archwright.nets.ops import OPERATIONS
from archwright.sentences.library import parse
from archwright.sentences.operations import operations
from archwright.sentences.shapes import Shape
from archwright.space import Open, Task, replay, sample
from archwright.spaces import Darts, Grammar
from archwright.spaces.grammar.drawing import drawn
from archwright.spaces.grammar.starters import STARTERS, starter
from command import done

DIGITS = Grammar(
    *(1, 8, 8),
    widths=(4, 8, 16),
    operations=30,
    parameters=30_000,
    multiply_adds=2_000_000,
    values=2**12,
    branches=8,
    steps=16,
)
TASK = Task(1, 8, 8, 10)
PIXELS = Preprocessing((0.5,), (0.25,), 1, 8, 8)


def written(text: str, tmp_path: Path) -> str:
    torch.manual_seed(0)
    network = GrammarNetwork(parse(text), TASK, fused=True, dropout=0.1)
    classes = [str(number) for number in range(10)]
    # `export` itself compares what the source computes with the network.
    export(network, tmp_path, classes=classes, preprocessing=PIXELS, architecture=None, formats=("source",))
    return (tmp_path / "model.py").read_text(encoding="utf-8")


def test_a_repeated_part_is_one_class_of_the_source(tmp_path: Path) -> None:
    source = written(str(starter("vit", Grammar(1, 8, 8), 0.1)), tmp_path)
    assert source.count("scaled_dot_product_attention(") == 1
    assert source.count("class Attention(nn.Module)") == 1


@pytest.mark.parametrize("seed", range(5))
def test_sampled_sentences_are_written_as_source(seed: int, tmp_path: Path) -> None:
    assert "import archwright" not in written(str(DIGITS.sentence(sample(DIGITS, seed))), tmp_path)


def test_a_recurrence_is_written_as_source(tmp_path: Path) -> None:
    written("routing(im2col(4, 4), sequential(linear(8), elman, linear(4), sigmoid), identity)", tmp_path)


def test_operations_are_known_by_name_or_composed() -> None:
    sentence = parse("sequential(conv3x3(8), repeat(3, residual(sequential(conv5x5(same), tanh, depthwise3x3))))")
    found = operations(sentence, Shape.map(1, 8, 8))
    assert [(one.times, one.name) for one in found if one.name] == [
        *((3, "conv5x5(same)"), (3, "depthwise3x3"), (1, "conv3x3(8)")),
    ]
    composed = [one for one in found if one.name is None]
    assert [str(one.sentence).partition("(")[0] for one in composed] == ["branching", "sequential"]
    assert all(one.times == 3 for one in composed)
    halved = parse("sequential(preactivated(same), preactivated(8, 2), preactivated(same), preactivated(same))")
    found = operations(halved, Shape.map(4, 8, 8))
    assert [(one.times, one.name) for one in found] == [(3, "preactivated(same)"), (1, "preactivated(8, 2)")]
    turned = "residual(sequential(tanh, routing(im2col(1, 1), linear(same), col2im)))"
    both = parse(f"sequential(residual(sequential(tanh, linear(same))), {turned})")
    found = operations(both, Shape.map(4, 8, 8))
    assert [(one.times, one.name) for one in found[:2]] == [(2, None)] * 2


def test_an_operation_of_a_sentence_stands_in_another_space(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "residual(sequential(norm, relu, depthwise3x3, excitation, routing(im2col(1, 1), attention(2), col2im)))"
    monkeypatch.setitem(OPERATIONS, "mine", operation(text))
    space = Darts(operations=("skip_connect", "mine"), nodes=2, repeats=1, filters=4)
    torch.manual_seed(0)
    answers = dict(sample(space, 0).answers)
    answers |= {name: "mine" for name, answer in answers.items() if answer == "skip_connect"}
    network = space.network(Open.only(space, replay(space, answers)), Task(3, 8, 8, 4))
    network(torch.randn(2, 3, 8, 8)).sum().backward()


def test_an_operation_serves_maps_of_all_sizes_with_one_set_of_weights() -> None:
    module = operation("branching(clone(2), conv3x3(same), mean, add)")(4, 1)
    small, large = torch.randn(2, 4, 5, 6), torch.randn(2, 4, 9, 8)
    assert module(small).shape == small.shape
    assert module(large).shape == large.shape
    assert operation("norm")(4, 2)(large).shape == (2, 4, 5, 4)
    conv = module.get_submodule("body.parts.0.inner")
    assert_close(module(large), conv(large) + large.mean((2, 3), keepdim=True), rtol=1e-4, atol=1e-5)
    assert len([*module.parameters()]) == 2
    with pytest.raises(SpaceError, match="an operation keeps channels and size"):
        operation("conv3x3(8)")(4, 1)
    sized = operation("routing(im2col(1, 1), position, col2im)")(4, 1)
    with pytest.raises(SpaceError, match="its weights depend on the size of the map"):
        sized(small)


@pytest.mark.parametrize("name", STARTERS)
def test_a_drawing_has_one_graph_for_each_part_that_recurs(name: str) -> None:
    space = Grammar(3, 32, 32)
    network, *parts = drawn(starter(name, space, 0.25), space.input)
    assert network.title == "network"
    assert [graph.title.partition(",")[0] for graph in parts] == {
        **{"resnet18": ["A: basic(same)"], "wrn": ["A: preactivated(same)"]},
        **{"vit": ["A: encoder(4)"], "mlp-mixer": ["A: mixer"]},
    }[name]
    assert len(network.nodes) < 45


def test_show_takes_a_sentence(tmp_path: Path) -> None:
    code, text, _ = done("show", "residual(conv3x3(same))", cwd=tmp_path)
    assert code == 0
    assert "conv3x3(same)" in text
    assert "2,320 parameters" in text
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".svg"}
    shown = json.loads(done("show", "attention(2)", "--json", "--no-pictures")[1])
    assert (shown["name"], shown["parameters"]) == ("attention(2)", 4 * 32 * 33)
    listed = done("show", "repeat(2, residual(linear(same)))", "--operations")[1]
    assert listed.startswith("2 x composed, on a map of 16 x 32 x 32: 272 parameters")
    (one,) = json.loads(done("show", "repeat(2, residual(linear(same)))", "--operations", "--json")[1])["operations"]
    assert (one["times"], one["name"], one["parameters"]) == (2, None, 272)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("sequential(norm, reul)", "'reul' is no rule; did you mean relu?"),
        ("residual(conv3x3(8))", "add does not fit a map of 8 x 32 x 32, a map of 16 x 32 x 32"),
    ],
)
def test_a_bad_sentence_is_one_line(text: str, wrong: str) -> None:
    code, _, error = done("show", text, "--no-pictures")
    assert (code, len(error.splitlines())) == (2, 1)
    assert wrong in error
