"""A network written as source computes what the network computed, whatever it is made of."""

from __future__ import annotations

import ast
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as functional
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from archwright.data.images import Preprocessing
from archwright.export import ExportError, source
from archwright.space import Open, Task, sample
from archwright.spaces.enas_micro import EnasMicro
from archwright.spaces.known import KNOWN, known
from archwright.spaces.stages import Stages

CLASSES = 3


class Block(nn.Module):
    """Depthwise and pointwise, pooling that leaves out the border, a sum."""

    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.separable = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, stride=stride, padding=1, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01),
        )
        self.pool = nn.AvgPool2d(3, stride=stride, padding=1, count_include_pad=False)
        self.largest = nn.MaxPool2d(3, stride=stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.separable(x) + self.pool(x) * self.largest(x)


class Reduction(nn.Module):
    """ENAS's factorised reduction: the second half sees the image one pixel further."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.even, self.odd = (nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False) for _ in range(2))
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        shifted = functional.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.norm(torch.cat([self.even(x), self.odd(shifted)], dim=1))


class Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 4, (3, 1), padding=(1, 0)), nn.BatchNorm2d(4))
        self.blocks = nn.ModuleList([Block(4), Block(4)])
        self.reduce = Reduction(4, 8)
        self.wide = Block(8)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.wide(functional.relu(self.reduce(x))))


class Slots(nn.Module):
    """Weights kept per input slot and joined in the forward pass, in several ways."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = nn.ParameterDict({name: nn.Parameter(torch.randn(4, 2, 1, 1)) for name in ("a/1", "b.2"[:1], "c")})
        self.scales = nn.ParameterList([nn.Parameter(torch.rand(1, 4, 1, 1)) for _ in range(2)])
        self.shared = nn.Parameter(torch.randn(4, 8, 3, 3))
        self.bias = nn.Parameter(torch.randn(4))
        self.mixing = nn.Parameter(torch.randn(2))
        self.norm = nn.BatchNorm2d(4)
        self.classify = nn.Parameter(torch.randn(CLASSES, 4))

    def forward(self, x: Tensor) -> Tensor:
        weight = torch.cat([self.slots["a/1"], self.slots["c"]], 1)
        x = self.norm(functional.conv2d(functional.relu(torch.cat([x, x + 1], 1)), weight))
        x = functional.conv2d(x, self.shared[:, 2:6], self.bias, padding=1)
        left, right = torch.softmax(self.mixing, 0)
        x = x * self.scales[0] * left + x.clamp(-1, 1) * self.scales[1] * right
        return functional.linear(x.mean((2, 3)), self.classify)


class Reused(nn.Module):
    """One layer and one block called twice each, and a layer that two blocks share."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.block = Block(2)
        self.one, self.two = Reduction(2, 4), Reduction(4, 4)
        self.two.norm = self.one.norm
        self.fc = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(self.conv(self.conv(x)))
        return self.fc(self.two(self.one(self.block(x))).mean((2, 3)))


class Training(nn.Module):
    """What only acts in training vanishes."""

    def __init__(self) -> None:
        super().__init__()
        self.auxiliary = nn.Linear(2, CLASSES)
        self.dropout, self.same = nn.Dropout2d(0.5), nn.Identity()
        self.fc = nn.Linear(2, CLASSES)

    def forward(self, x: Tensor, architecture: object = None) -> Tensor:
        x = functional.dropout(self.same(self.dropout(x)), 0.3, self.training)
        if self.training:
            x = x * (torch.rand(x.shape[0], 1, 1, 1) < 0.5)
        logits = self.fc(x.mean((2, 3)))
        return logits + self.auxiliary(x.mean((2, 3))) if self.training or architecture is not None else logits


class Odd(nn.Module):
    """Names that are no Python, buffers that are not saved, constants made on the way, several results, shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({"class": nn.Conv2d(2, 2, 1), "nor-mal/2 ü": nn.Conv2d(2, 2, 1), "0": nn.PReLU()})
        self.mean = nn.Conv2d(2, 2, 1)
        self.split = Split()
        self.register_buffer("weights", torch.rand(2), persistent=False)
        self.register_buffer("count", torch.tensor(3), persistent=True)
        self.fc = nn.Linear(2 * 7 * 6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mean(self.parts["0"](self.parts["nor-mal/2 ü"](self.parts["class"](x))))
        x = functional.batch_norm(x, self.weights, self.weights, eps=1e-2)
        low, high = self.split(x)
        x = torch.where(x > 0, low - high, -high) / self.count + torch.linspace(0, 1, 6) ** 2
        x = functional.max_pool2d(functional.gelu(x, approximate="tanh"), 3, 1, 1)
        x += functional.interpolate(functional.avg_pool2d(x, 2), size=(x.size(2), x.shape[-1]), mode="nearest")
        return self.fc(x.view(x.size(0), -1))


class Split(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        low, high = x.chunk(2, dim=1)
        return (low * 2 - 1).abs(), ((high + 1) * (low - 3)).sigmoid()


class Overwriting(nn.Module):
    """Functions that overwrite values which nothing else reads."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(torch.cat([x, -x], 1), inplace=True)
        y = self.relu(self.norm(self.conv(y))).mul_(0.5)
        y = functional.leaky_relu_(y - 0.1, 0.2) + torch.relu_(y - 0.2)
        y = functional.elu(functional.hardtanh(y * 2, -0.5, 0.5, True), inplace=True)
        y -= 0.25
        return self.fc(y.clamp_(min=-0.5).mean((2, 3)))


class Wide(nn.Module):
    """More values alive at once than there are letters."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(2, 2, 1) for _ in range(30)])
        self.fc = nn.Linear(60, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        values = [conv(x) for conv in self.convs]
        mixed = [values[i] * values[-i - 1] + values[(i * 7) % 30] for i in range(30)]
        return self.fc(torch.cat(mixed, 1).amax((2, 3)))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "convolutional": Convolutional,
    "slots": Slots,
    "reused": Reused,
    "training": Training,
    "odd": Odd,
    "overwriting": Overwriting,
    "wide": Wide,
    "sequential": lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(60, CLASSES)),
    "layer": lambda: nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(84, CLASSES))),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_written_network_gives_the_same_logits(kind, settle, reread, preprocessing):
    torch.manual_seed(0)
    network = settle(NETWORKS[kind]())
    again, text = reread(network, preprocessing, CLASSES)
    for batch, dtype in ((1, torch.uint8), (5, torch.float32)):
        images = (torch.rand(batch, 2, 7, 6) * 255).to(dtype)
        with torch.no_grad():
            expected = network(preprocessing(images))
            assert (again(images) - expected).abs().max() <= 1e-5 * expected.abs().max().clamp(min=1)
    assert max(map(len, text.splitlines())) <= 120
    assert ast.parse(text)


def test_parts_that_differ_in_sizes_share_a_class(settle, reread, preprocessing):
    network, text = reread(settle(Convolutional()), preprocessing, CLASSES)
    assert text.count("class Block") == 1
    assert type(network.blocks_0) is type(network.wide)
    assert "Block(channels=8)" in text


def test_joined_weights_become_one_convolution(settle, reread, preprocessing):
    network, text = reread(settle(Slots()), preprocessing, CLASSES)
    assert "F.conv2d" not in text
    shapes = [tuple(module.weight.shape) for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert shapes == [(4, 4, 1, 1), (4, 4, 3, 3)]


def test_the_written_network_trains(settle, reread, preprocessing):
    network, _ = reread(settle(Convolutional()), preprocessing, CLASSES)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01), (1e-5, 0.1)}
    before = [norm.running_mean.clone() for norm in norms]
    network.train()(torch.rand(4, 2, 7, 6) * 255).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert all((norm.running_mean != old).any() for norm, old in zip(norms, before, strict=True))


def test_values_are_let_go_when_they_are_not_needed(settle, reread, preprocessing):
    deep = nn.Sequential(*[Block(2) for _ in range(5)], nn.Flatten(), nn.Linear(84, CLASSES))
    _, text = reread(settle(deep), preprocessing, CLASSES)
    forward = text[text.index("class Model") :].split("def forward")[1].split("def load")[0]
    assert {line.split(" = ")[0].strip() for line in forward.splitlines() if " = " in line} == {"x"}


OPERATIONS: dict[str, Callable[[], nn.Module]] = {
    "conv": lambda: nn.Conv2d(4, 4, 3, padding=1, bias=False),
    "block": lambda: Block(4),
    "relu": lambda: nn.ReLU(inplace=True),
    "norm": lambda: nn.BatchNorm2d(4),
    "same": nn.Identity,
    "chain": lambda: nn.Sequential(nn.Hardswish(), nn.Conv2d(4, 4, 1), nn.GroupNorm(2, 4)),
    "nested": lambda: nn.Sequential(nn.Sequential(nn.ReLU(), Reduction(4, 4)), nn.Upsample(size=(7, 6))),
}


class Graph(nn.Module):
    """Each node adds operations on two earlier nodes; what no node reads is joined."""

    def __init__(self, nodes: list[tuple[int, str, int, str]]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 1)
        self.nodes = nodes
        self.left = nn.ModuleList([OPERATIONS[left]() for _, left, _, _ in nodes])
        self.right = nn.ModuleList([OPERATIONS[right]() for _, _, _, right in nodes])
        self.fc = nn.LazyLinear(CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        states = [self.stem(x)]
        used = set()
        for (a, _, b, _), left, right in zip(self.nodes, self.left, self.right, strict=True):
            a, b = a % len(states), b % len(states)
            used |= {a, b}
            states.append(left(states[a].clone()) + right(states[b].clone()))
        ends = [state for index, state in enumerate(states) if index not in used]
        return self.fc(functional.relu(torch.cat(ends, 1)).mean((2, 3)))


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_any_graph_of_operations_gives_the_same_logits(reread, preprocessing, data):
    side = st.tuples(st.integers(0, 9), st.sampled_from(sorted(OPERATIONS)))
    drawn = data.draw(st.lists(st.tuples(side, side), min_size=1, max_size=6))
    network = Graph([(*left, *right) for left, right in drawn]).eval()
    images = torch.rand(3, 2, 7, 6, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        network(preprocessing(images))  # the lazy layer learns its size
        again, _ = reread(network, preprocessing, CLASSES)
        expected = network(preprocessing(images))
        assert (again(images) - expected).abs().max() <= 1e-5 * expected.abs().max().clamp(min=1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("searched", [False, True])
def test_enas_children_of_both_settings(seed, searched, settle, reread):
    space = EnasMicro(statistics="running", repeats=1, filters=8)
    space = space if searched else space.final(repeats=1, filters=8)
    preprocessing = Preprocessing((0.5,), (0.25,), channels=1, height=9, width=8)
    architecture = sample(space, seed)
    network = settle(space.network(Open.only(space, architecture), Task(1, 9, 8, CLASSES)))
    again, text = reread(network, preprocessing, CLASSES)
    images = torch.rand(4, 1, 9, 8)
    with torch.no_grad():
        expected = network(preprocessing(images))
        assert (again(images) - expected).abs().max() <= 1e-5 * expected.abs().max().clamp(min=1)
    assert "F.conv2d" not in text


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("name", KNOWN)
def test_known_networks(name, whiten, settle, reread):
    space = Stages(whiten=whiten, widths=(8, 16), zero_init=whiten, mirror=whiten)
    architecture = known(name, space, width=0.125)
    preprocessing = Preprocessing((0.5,), (0.25,), channels=1, height=17, width=16)
    network = settle(space.network(Open.only(space, architecture), Task(1, 17, 16, CLASSES)))
    _agree(network, reread(network, preprocessing, CLASSES)[0], preprocessing)


@pytest.mark.parametrize("seed", range(6))
def test_networks_of_stages(seed, settle, reread):
    space = Stages(widths=(4, 8), most_stages=3, excitations=(True,), stem_stride=2)
    preprocessing = Preprocessing((0.5,), (0.25,), channels=1, height=17, width=16)
    network = settle(space.network(Open.only(space, sample(space, seed)), Task(1, 17, 16, CLASSES)))
    _agree(network, reread(network, preprocessing, CLASSES)[0], preprocessing)


def _agree(network, again, preprocessing):
    images = torch.rand(4, preprocessing.channels, preprocessing.height, preprocessing.width)
    with torch.no_grad():
        expected = network(preprocessing(images))
        assert (again(images) - expected).abs().max() <= 1e-5 * expected.abs().max().clamp(min=1)


def test_the_published_enas_network_has_its_parameters(reread):
    space = EnasMicro().final(auxiliary=False)
    arcs = "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1", "1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1"
    architecture = space.from_arc(*arcs)
    network = space.network(Open.only(space, architecture), Task(3, 8, 8, 10)).eval()
    preprocessing = Preprocessing((125.0, 123.0, 114.0), (63.0, 62.0, 67.0), channels=3, height=8, width=8)
    again, _ = reread(network, preprocessing, 10)
    assert sum(parameter.numel() for parameter in again.parameters()) == 3_894_372  # official code, with layer_base


class Decides(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))


class Two(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.mean((2, 3)), x


@pytest.mark.parametrize("network", [Decides(), nn.Sequential(nn.Flatten())])
def test_what_cannot_be_written_is_an_error(network, preprocessing):
    with pytest.raises(ExportError):
        source(network, classes=["a", "b"], preprocessing=preprocessing)


def test_several_results_are_an_error(preprocessing):
    with pytest.raises(ExportError, match="tuple"):
        source(Two(), classes=["a", "b"], preprocessing=preprocessing)
