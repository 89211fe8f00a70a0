"""Cell networks: one build path for children and supernets, and the modules they are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from archwright.errors import SpaceError
from archwright.nets.feature_map import concatenate
from archwright.nets.network import initialise
from archwright.nets.ops import OPERATIONS, DropPath, FactorizedReduction, operation, pad_same, same
from archwright.nets.skeleton import CellNetwork
from archwright.nets.wiring import loose_ends
from archwright.space import Architecture, Open, Task, sample
from archwright.spaces.cells import CELLS, wiring
from archwright.spaces.enas_micro import EnasMicro

TASK = Task(channels=3, height=8, width=8, classes=5)
SMALL = EnasMicro(nodes=3, repeats=1, filters=4, dropout=0.0)
SETTINGS = [(reduction, base) for reduction in ("before", "strided") for base in (False, True)]


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def small(**changes: object) -> EnasMicro:
    return replace(SMALL, **changes)  # type: ignore[arg-type]


def supernet(space: EnasMicro, task: Task = TASK) -> CellNetwork:
    return space.network(Open.all(space), task)  # type: ignore[return-value]


def child(space: EnasMicro, architecture: Architecture, task: Task = TASK) -> CellNetwork:
    return space.network(Open.only(space, architecture), task)  # type: ignore[return-value]


def taken_from(shared: nn.Module, network: CellNetwork) -> CellNetwork:
    """The network with the supernet's tensors, found by name; a name that is missing there is a KeyError."""
    theirs = shared.state_dict()
    network.load_state_dict({name: theirs[name] for name in network.state_dict()})
    return network


def images(batch: int = 4, task: Task = TASK) -> Tensor:
    return torch.randn(batch, task.channels, task.height, task.width)


# The one build path


def test_the_same_holds_under_dropout_and_drop_path() -> None:
    space = small(dropout=0.5, drop_path_keep=0.5)
    architecture, x = sample(space, 0), images()
    shared = supernet(space)
    alone = taken_from(shared, child(space, architecture))
    outputs = []
    for network in (shared, alone):
        network.set_progress(1.0)
        torch.manual_seed(7)
        outputs.append(network(x, architecture))
    torch.testing.assert_close(*outputs, rtol=0, atol=0)
    assert not torch.equal(outputs[0], shared(x, architecture))  # something was dropped


@pytest.mark.parametrize("seed", range(3))
def test_only_the_sampled_operations_run(seed: int) -> None:
    space = small()
    shared, architecture = supernet(space), sample(space, seed)
    ran: Counter[str] = Counter()
    for index, cell in enumerate(shared.cells):
        for name, module in cell.named_modules():  # nodes.NODE.SIDE.operations.OPERATION.SOURCE
            if name.startswith("nodes.") and name.count(".") == 5:
                key = f"{index}.{name}"
                module.register_forward_hook(lambda *_, key=key: ran.update([key]))
    shared(images(), architecture)
    cells = wiring(architecture, space.nodes)
    assert ran == Counter(
        f"{index}.nodes.{node}.{side}.operations.{op}.{source}"
        for index, kind in enumerate(shared.kinds)
        for node, operands in enumerate(cells[kind])
        for side, (source, op) in zip(("left", "right"), operands, strict=True)
    )


def test_a_supernet_needs_an_architecture() -> None:
    with pytest.raises(SpaceError, match="needs an architecture"):
        supernet(small())(images())


def test_a_child_ignores_the_architecture_it_is_given() -> None:
    space = small()
    network, x = child(space, sample(space, 0)).eval(), images()
    torch.testing.assert_close(network(x, sample(space, 1)), network(x), rtol=0, atol=0)


def test_an_input_that_no_node_reads_is_a_loose_end() -> None:
    assert loose_ends((((0, "identity"), (0, "identity")), ((2, "identity"), (2, "identity")))) == (1, 3)
    assert loose_ends((((1, "identity"), (0, "identity")), ((0, "identity"), (1, "identity")))) == (2, 3)


# Sizes


@pytest.mark.parametrize("reduction", ["before", "strided"])
@pytest.mark.parametrize("ends", ["project", "concatenate"])
@pytest.mark.parametrize("size", [(7, 9), (4, 4), (1, 1), (2, 11)])
def test_odd_and_tiny_images_train(size: tuple[int, int], ends: str, reduction: str) -> None:
    space = small(nodes=2, ends=ends, reduction=reduction, filters=3, statistics="running", auxiliary=True)
    task = Task(1, *size, classes=3)
    # Loose inputs in both cells: the second node's operands are the first node, and input 1 is read by nobody.
    network = child(space, space.from_arc("0 0 0 1 2 2 2 4", "0 3 0 4 2 0 2 1"), task)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    logits, auxiliary = network.with_auxiliary(images(4, task))
    assert auxiliary is not None
    assert logits.shape == auxiliary.shape == (4, 3)
    target = torch.tensor([0, 1, 2, 0])
    (nn.functional.cross_entropy(logits, target) + nn.functional.cross_entropy(auxiliary, target)).backward()
    optimizer.step()
    assert all(parameter.isfinite().all() for parameter in network.parameters())
    assert not torch.equal(before["classify.weight"], network.classify.weight)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_operation_keeps_channels_and_rounds_halves_up(name: str, stride: int) -> None:
    module = operation(name, 6, stride)
    for height, width in [(8, 8), (7, 9), (1, 2)]:
        expected = (2, 6, -(-height // stride), -(-width // stride))
        assert module(torch.randn(2, 6, height, width)).shape == expected


def test_a_factorised_reduction_loses_no_pixel() -> None:
    module = FactorizedReduction(1, 2).eval()
    for conv in (module.even, module.odd):
        nn.init.ones_(conv.weight)
    x = torch.arange(16.0).view(1, 1, 4, 4)
    even, odd = module(x)[0]
    torch.testing.assert_close(even, x[0, 0, ::2, ::2], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(odd, x[0, 0, 1::2, 1::2], rtol=1e-4, atol=1e-4)


def test_pixels_outside_the_image_do_not_count_in_a_mean() -> None:
    x = torch.ones(1, 2, 3, 3)
    torch.testing.assert_close(operation("avg_3x3", 2, 1)(x), x)


# Statistics


def test_batch_statistics_need_no_training_mode_and_keep_no_buffers() -> None:
    space = small()
    shared, architecture, x = supernet(space), sample(space, 0), images(8)
    assert not list(shared.buffers())
    torch.testing.assert_close(shared.eval()(x, architecture), shared.train()(x, architecture), rtol=0, atol=0)
    assert not torch.allclose(shared.eval()(x, architecture)[:4], shared(x[:4], architecture))


def test_running_statistics_score_an_image_alone() -> None:
    space = small(statistics="running")
    network, x = child(space, sample(space, 0)), images(8)
    network(x)
    network.eval()
    torch.testing.assert_close(network(x)[:4], network(x[:4]))
    assert not torch.allclose(network(x), network.train()(x))


def test_the_auxiliary_head_is_for_training_only() -> None:
    space = small()
    network = child(space, sample(space, 0))
    assert network.eval().with_auxiliary(images())[1] is None
    without = child(small(auxiliary=False), sample(space, 0))
    assert without.train().with_auxiliary(images())[1] is None


def test_the_auxiliary_head_reads_images_that_grow() -> None:
    task = Task(channels=3, height=32, width=24, classes=5)
    network = child(small(stem_stride=2), sample(SMALL, 0), task).train()
    for size in ((8, 8), (16, 12), (20, 24), (32, 24)):
        _, auxiliary = network.with_auxiliary(torch.randn(4, 3, *size))
        assert auxiliary is not None
        assert auxiliary.shape == (4, 5)


# Scheduled drop path


def test_drop_path_grows_with_depth_and_progress() -> None:
    space = EnasMicro(nodes=1).final(filters=2)
    network = child(space, space.from_arc("0 2 1 2", "0 2 1 2"))
    for index, cell in enumerate(network.cells):
        paths = [module for module in cell.modules() if isinstance(module, DropPath)]
        assert [path.keep for path in paths] == pytest.approx([1 - (index + 1) / 17 * 0.4] * 2)  # ENAS C4
    last = [module for module in network.modules() if isinstance(module, DropPath)][-1]
    ones = torch.ones(4096, 1, 1, 1)
    for progress, keep in [(0.0, 1.0), (0.5, 0.8), (1.0, 0.6)]:
        network.set_progress(progress)
        assert (last(ones) > 0).float().mean().item() == pytest.approx(keep, abs=0.04)  # 5 standard errors


def test_drop_path_drops_whole_examples_and_keeps_the_expectation() -> None:
    drop_path = DropPath(0.6)
    drop_path.progress = 1.0
    x = torch.randn(4096, 2, 3, 3)
    y = drop_path(x)
    kept = y.flatten(1).abs().sum(dim=1) > 0
    torch.testing.assert_close(y[kept], x[kept] / 0.6)
    assert 0 < kept.sum() < len(x)
    assert drop_path(torch.ones(4096, 1)).mean().item() == pytest.approx(1.0, abs=0.07)  # 5 standard errors


def test_drop_path_is_off_in_evaluation() -> None:
    space = small(nodes=1, drop_path_keep=0.5)
    network, x = child(space, space.from_arc("0 0 1 2", "0 0 1 2")), images()
    network.set_progress(1.0)
    assert not torch.equal(network(x), network(x))
    network.eval()
    torch.testing.assert_close(network(x), network(x), rtol=0, atol=0)


@pytest.mark.parametrize("reduction", ["before", "strided"])
def test_drop_path_spares_the_identity(reduction: str) -> None:
    space = small(nodes=1, drop_path_keep=0.01, reduction=reduction)
    network, x = child(space, space.from_arc("0 4 1 4", "0 4 1 4")), images()
    network.set_progress(1.0)
    assert network(x).abs().sum() > 0  # at the last cells a path that is not spared is all but always dropped
    torch.testing.assert_close(network(x), network(x), rtol=0, atol=0)


# Concatenation


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_through_a_concatenation_are_dense_and_right(layout: torch.memory_format) -> None:
    leaves = [torch.randn(2, c, 3, 5).contiguous(memory_format=layout).requires_grad_() for c in (4, 3)]
    dense: list[bool] = []
    parts = [leaf * 1 for leaf in leaves]
    joined = concatenate(parts, training=True)
    for part in parts:
        part.register_hook(lambda gradient: dense.append(gradient.is_contiguous(memory_format=layout)))
    weight = torch.randn(2, 7, 3, 5).contiguous(memory_format=layout)
    (joined * weight).sum().backward()
    assert dense == [True, True]
    torch.testing.assert_close(joined, torch.cat(leaves, dim=1))
    for leaf, expected in zip(leaves, weight.split([4, 3], dim=1), strict=True):
        torch.testing.assert_close(leaf.grad, expected)


def test_evaluation_leaves_no_hooks() -> None:
    part = torch.ones(1, 2, 3, 3, requires_grad=True) * 1
    concatenate([part, part], training=False)
    assert not part._backward_hooks


def test_kinds_of_cells_are_those_of_the_space() -> None:
    assert set(supernet(small()).kinds) == set(CELLS)


# Padding as TensorFlow has it


@given(st.integers(1, 40), st.sampled_from([1, 3, 5, 7]), st.sampled_from([1, 2, 3]))
@settings(max_examples=60, deadline=None)
def test_same_padding_gives_a_rounded_up_share_of_the_pixels_and_no_more(size: int, kernel: int, stride: int) -> None:
    before, after = same(size, kernel, stride)
    assert (size + before + after - kernel) // stride + 1 == -(-size // stride)
    assert after - before in (0, 1)


@pytest.mark.parametrize("name", [n for n in OPERATIONS if n != "identity"])
@pytest.mark.parametrize("size", [(8, 8), (7, 8), (9, 5)])
def test_what_strides_sees_the_pixels_that_tensorflow_shows_it(name: str, size: tuple[int, int]) -> None:
    """An output far from the border depends on the inputs around twice its place, one further for even sizes."""
    module = operation(name, 2, 2).eval()
    pad_same(module, size)
    x = torch.rand(1, 2, *size, requires_grad=True)
    y = module(x)
    assert y.shape[2:] == ((size[0] + 1) // 2, (size[1] + 1) // 2)
    one = next((m for m in module.modules() if isinstance(m, (nn.MaxPool2d, nn.AvgPool2d))), None)
    if one is not None:
        kernel = int(one.kernel_size)  # type: ignore[arg-type]
        (top, bottom), (left, right) = (same(n, kernel, 2) for n in size)
        padded = nn.functional.pad(x, (left, right, top, bottom), value=-torch.inf)
        windows = padded.unfold(2, kernel, 2).unfold(3, kernel, 2).flatten(4)
        inside = windows.isfinite()
        mean = windows.masked_fill(~inside, 0).sum(4) / inside.sum(4)
        torch.testing.assert_close(y, mean if isinstance(one, nn.AvgPool2d) else windows.amax(4))
        return
    first = next(m for m in module.modules() if isinstance(m, nn.Conv2d))
    if name == "conv_1x1":
        torch.testing.assert_close(y, module.norm(nn.functional.conv2d(x, first.weight)[:, :, ::2, ::2]))
    elif name.startswith(("sep", "conv_3x3", "dil")):
        reach = (int(name[-1]) - 1) * first.dilation[0] + 1
        (top, bottom), (left, right) = (same(n, reach, 2) for n in size)
        padded = nn.functional.pad(x, (left, right, top, bottom))
        expected = nn.functional.conv2d(padded, first.weight, None, 2, 0, first.dilation, first.groups)
        torch.testing.assert_close(first(x), expected)


@pytest.mark.parametrize("name", list(OPERATIONS))
@pytest.mark.parametrize("stride", [1, 2])
def test_an_operation_may_change_the_width(name: str, stride: int) -> None:
    module = operation(name, 6, stride, inputs=4)
    assert module(torch.rand(2, 4, 5, 8)).shape == (2, 6, *((5, 8) if stride == 1 else (3, 4)))


def test_truncated_weights_have_the_variance_of_their_fan_out() -> None:
    """Cut off at two deviations, a normal distribution keeps 0.774 of its variance: 1.3 x 0.774 is about 1."""
    network = nn.Sequential(nn.Conv2d(64, 128, 3), nn.Conv2d(4096, 4096, 3, groups=4096))
    initialise(network, truncated=True)
    for conv, fan_out in zip(network, (128 * 9, 9), strict=True):
        assert conv.weight.var().item() == pytest.approx(2 / fan_out, rel=0.05)
        assert conv.weight.abs().max().item() <= 2 * (2.6 / fan_out) ** 0.5
