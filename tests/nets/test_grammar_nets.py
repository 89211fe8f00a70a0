"""Networks of sentences: known operations equal PyTorch's own modules, and what is fused equals rule by rule."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from archwright.nets.grammar import Attention, Builder, GrammarNetwork, Together
from archwright.sentences.canonical import canonical
from archwright.sentences.fitting import after, measured
from archwright.sentences.shapes import Shape
from archwright.space import Task, sample
from archwright.spaces import Grammar
from archwright.spaces.grammar import parse

MAP, ROWS = Shape.map(8, 6, 7), Shape("sequence", 16, 12, (3, 4))
SPACE = Grammar(
    *(2, 8, 9),
    widths=(4, 8),
    repetitions=(2,),
    splits=("clone(2)", "clone(4)", "group(2)", "group(channels)"),
    operations=25,
    parameters=20_000,
    multiply_adds=2_000_000,
    values=2**12,
    branches=8,
    steps=40,
)
TASK = Task(2, 8, 9, 4)


def built(text: str, shape: Shape, fused: bool = True) -> nn.Module:
    torch.manual_seed(0)
    module = Builder(fused).build(parse(text), shape)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module


def weights(module: nn.Module) -> list[Tensor]:
    return [parameter.data for parameter in module.parameters()]


def given(shape: Shape) -> Tensor:
    torch.manual_seed(1)
    if shape.grid is not None and shape.form == "map":
        return torch.randn(3, shape.features, *shape.grid)
    return torch.randn(3, shape.positions, shape.features)


def with_weights(module: nn.Module, tensors: list[Tensor]) -> nn.Module:
    for parameter, tensor in zip(module.parameters(), tensors, strict=True):
        parameter.data = tensor.reshape(parameter.shape)
    return module


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    ("text", "conv"),
    [
        ("conv3x3(5)", nn.Conv2d(8, 5, 3, padding=1)),
        ("conv5x5(5, 2)", nn.Conv2d(8, 5, 5, stride=2, padding=2)),
        ("conv1x1(5)", nn.Conv2d(8, 5, 1)),
        ("linear(5)", nn.Conv2d(8, 5, 1)),
        ("routing(im2col(2, 2), linear(5), col2im)", nn.Conv2d(8, 5, 2, stride=2)),
    ],
)
def test_a_convolution_is_a_sentence(text: str, conv: nn.Conv2d, fused: bool) -> None:
    ours = built(text, MAP, fused)
    assert_close(ours(given(MAP)), with_weights(conv, weights(ours))(given(MAP)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "groups", "outputs"), [("depthwise3x3", 8, 8), ("branching(group(2), conv3x3(6), concat)", 2, 12)]
)
def test_channels_that_are_branches_are_a_grouped_convolution(text: str, groups: int, outputs: int) -> None:
    conv = nn.Conv2d(8, outputs, 3, padding=1, groups=groups)
    ours = built(text, MAP)
    assert sum(isinstance(module, nn.Conv2d) for module in ours.modules()) == 1
    expected = with_weights(conv, weights(ours))(given(MAP))
    assert_close(ours(given(MAP)), expected, rtol=1e-4, atol=1e-5)
    plain = built(text, MAP, fused=False)
    kernels, biases = weights(ours)
    with_weights(plain, [t for pair in zip(kernels.chunk(groups), biases.chunk(groups), strict=True) for t in pair])
    assert_close(plain(given(MAP)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("heads", [1, 2, 4, 8])
def test_multi_head_attention_is_a_sentence(heads: int) -> None:
    theirs = nn.MultiheadAttention(16, heads, batch_first=True)
    nn.init.normal_(theirs.in_proj_bias)
    nn.init.normal_(theirs.out_proj.bias)
    ours = built(f"attention({heads})", ROWS)
    assert sum(isinstance(module, Attention) for module in ours.modules()) == 1
    (q, k, v), (a, b, c) = theirs.in_proj_weight.data.chunk(3), theirs.in_proj_bias.data.chunk(3)
    with_weights(ours, [q, a, k, b, v, c, theirs.out_proj.weight.data, theirs.out_proj.bias.data])
    x = given(ROWS)
    assert_close(ours(x), theirs(x, x, x, need_weights=False)[0], rtol=1e-4, atol=1e-5)


def test_a_mixer_block_is_a_sentence() -> None:
    ours = built("mixer", ROWS)
    n1, b1, t1, c1, t2, c2, n2, b2, f1, d1, f2, d2 = weights(ours)
    x = given(ROWS)
    mixed = functional.linear(
        functional.gelu(functional.linear(functional.layer_norm(x, (16,), n1, b1).mT, t1, c1)), t2, c2
    )
    y = x + mixed.mT
    inside = functional.gelu(functional.linear(functional.layer_norm(y, (16,), n2, b2), f1, d1))
    assert_close(ours(x), y + functional.linear(inside, f2, d2), rtol=1e-4, atol=1e-4)


def test_a_residual_block_is_a_sentence() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.norm1 = nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.BatchNorm2d(12)
            self.conv2, self.norm2 = nn.Conv2d(12, 12, 3, padding=1), nn.BatchNorm2d(12)
            self.conv3, self.norm3 = nn.Conv2d(8, 12, 1, stride=2), nn.BatchNorm2d(12)

        def forward(self, x: Tensor) -> Tensor:
            inside = self.norm2(self.conv2(functional.relu(self.norm1(self.conv1(x)))))
            return functional.relu(inside + self.norm3(self.conv3(x)))

    ours = built("basic(12, 2)", MAP)
    assert_close(ours(given(MAP)), with_weights(Block(), weights(ours))(given(MAP)), rtol=1e-4, atol=1e-4)


def test_squeeze_and_excitation_is_a_sentence() -> None:
    class Excitation(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.squeeze, self.expand = nn.Linear(8, 2), nn.Linear(2, 8)

        def forward(self, x: Tensor) -> Tensor:
            scales = torch.sigmoid(self.expand(functional.relu(self.squeeze(x.mean((2, 3))))))
            return x * scales[:, :, None, None]

    ours = built("excitation", MAP)
    assert_close(ours(given(MAP)), with_weights(Excitation(), weights(ours))(given(MAP)), rtol=1e-4, atol=1e-5)


def test_an_elman_network_is_a_sentence() -> None:
    theirs = nn.RNN(16, 16, batch_first=True)
    ours = built("elman", ROWS)
    theirs.bias_hh_l0.data.zero_()
    joined = torch.cat([theirs.weight_ih_l0.data, theirs.weight_hh_l0.data], 1)
    with_weights(ours, [joined, theirs.bias_ih_l0.data])
    assert_close(ours(given(ROWS)), theirs(given(ROWS))[0], rtol=1e-4, atol=1e-5)


def carried(fused: nn.Module, plain: nn.Module) -> None:
    """Give a plain network the weights of a fused one: those of branches computed together have an entry for each."""
    carried = {}
    for name, value in plain.state_dict().items():
        module, words, own, numbers, counts = fused, name.split("."), [], [], []
        while words:
            own.append(words.pop(0))
            if isinstance(getattr(module, own[-1]), nn.Module):
                module = getattr(module, own[-1])
            if own[-1] == "each" and not isinstance(module, nn.ModuleList):
                branches = plain.get_submodule(name.removesuffix("." + ".".join(words)))
                counts.append(len(branches))  # type: ignore[arg-type]
                numbers.append(int(words.pop(0)))
        tensor = fused.state_dict()[".".join(own)]
        carried[name] = tensor.reshape(*counts, *value.shape)[tuple(numbers)] if tensor.dim() else tensor
    plain.load_state_dict(carried)


@pytest.mark.parametrize("seed", range(10))
def test_fused_is_rule_by_rule_and_costs_what_is_counted(seed: int) -> None:
    sentence = SPACE.sentence(sample(SPACE, seed))
    made, cost = measured(sentence, SPACE.input)
    torch.manual_seed(0)
    fused, plain = (GrammarNetwork(sentence, TASK, fused=how, dropout=0.0) for how in (True, False))
    carried(fused, plain)
    assert sum(p.numel() for p in fused.body.parameters()) == cost.parameters
    x = torch.randn(3, 2, 8, 9)
    for training in (True, False):
        ours, theirs = fused.train(training)(x), plain.train(training)(x)
        assert_close(ours, theirs, rtol=1e-3, atol=1e-3, equal_nan=True)
    with FlopCounterMode(display=False) as counter:
        fused(x[:1])
    head = made.features * TASK.classes
    # Each multiply-add is two; attention is counted as the two products that it is.
    assert counter.get_total_flops() // 2 == cost.multiply_adds + head


@pytest.mark.parametrize("seed", range(10))
def test_a_canonical_sentence_computes_the_same(seed: int) -> None:
    """With weights that depend on their shapes alone, so that it does not matter where branches stand."""
    sentence = SPACE.sentence(sample(SPACE, seed))
    short = canonical(sentence, SPACE.input)
    assert after(short, SPACE.input) == after(sentence, SPACE.input)
    assert canonical(short, SPACE.input) == short
    outputs = []
    for one in (sentence, short):
        network = GrammarNetwork(one, TASK, fused=False, dropout=0.0)
        for parameter in network.parameters():
            size = parameter.numel()
            parameter.data = torch.linspace(-0.1, 0.3, size).sin().reshape(parameter.shape)
        torch.manual_seed(0)
        outputs.append(network(torch.randn(3, 2, 8, 9)))
    assert_close(*outputs, rtol=1e-3, atol=1e-3, equal_nan=True)


def test_branches_of_one_sentence_are_computed_together() -> None:
    module = built("branching(clone(4), sequential(linear(4), norm, relu), add)", MAP)
    assert isinstance(module, Together)
    assert [type(m) for m in module.each.children()] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
