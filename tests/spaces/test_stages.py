"""The space of stages: the networks people know with their published sizes, laws of its networks, and whitening."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archwright.errors import SpaceError, UnknownOption
from archwright.nets.stages import BLOCKS, Block, StagesNetwork
from archwright.space import Architecture, Open, Task, check, count, replay, sample
from archwright.spaces import Stages
from archwright.spaces.known import KNOWN, known
from archwright.spaces.published import PUBLISHED
from archwright.training.optimizer import Optimizer
from archwright.training.placement import place
from archwright.training.recipe import Recipe

CIFAR10 = Task(3, 32, 32, 10)
SMALL = Stages(widths=(8, 12), blocks=(1, 2), most_stages=3)


def child(space: Stages, architecture: Architecture, task: Task = CIFAR10) -> StagesNetwork:
    network = space.network(Open.only(space, architecture), task)
    assert isinstance(network, StagesNetwork)
    return network


def one_stage(space: Stages = SMALL, **changes: object) -> Architecture:
    """An architecture of one stage, with these answers of it and of the whole instead of the first options."""
    answers: dict[str, object] = {name: options[0] for name, options in space.vocabularies.items()}
    stage = {f"1/{name}": answers.pop(name) for name in ("width", "kind", "blocks", "kernel", "excite", "activation")}
    stage["1/halving"] = answers.pop("halving")
    own = {f"1/{name}" if f"1/{name}" in stage else name: answer for name, answer in changes.items()}
    return replay(space, {"stem": space.widths[0], **answers, **stage, **own})


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_network_has_its_published_size(name: str) -> None:
    with torch.device("meta"):
        network = child(Stages(), known(name, Stages()))
    # 269,722 of ResNet-20 (option A), 2,748,890 of WRN-16-4 and 2,236,682 of MobileNetV2 (torchvision's, 10 classes)
    # are the usual implementations'; `KNOWN` says what is different of the others.
    assert sum(parameter.numel() for parameter in network.parameters()) == KNOWN[name].parameters


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("width", [0.125, 0.25, 0.5, 2.0])
def test_a_known_network_has_other_widths(name: str, width: float) -> None:
    space = Stages()
    architecture, published = known(name, Stages(), width=width), known(name, Stages())
    assert check(space, architecture) == architecture
    for wide, standard in zip(space.stages_of(architecture), space.stages_of(published), strict=True):
        assert replace(wide, width=0) == replace(standard, width=0)
        assert wide.width == min(space.widths, key=lambda option: abs(option - width * standard.width))


def test_known_networks_may_be_named_where_published_ones_are() -> None:
    assert PUBLISHED["resnet20"].architecture == known("resnet20", Stages())
    with pytest.raises(SpaceError, match="resnet9, resnet9-gelu, airbench94"):
        known("alexnet", Stages())
    with pytest.raises(UnknownOption, match="inverted-1"):
        known("mobilenetv2", Stages(kinds=("plain",)))
    few = Stages(widths=(16, 32), rates=(0.05,), batches=(64,))
    assert few.stages_of(known("resnet20", few))[2].width == 32
    assert few.recipe(known("resnet20", few))["batch"] == 64


def test_a_recipe_scales_the_rate_with_the_batch() -> None:
    recipe = Stages().recipe(
        known("resnet9", Stages(), rate=0.2, batch=512, weight_decay=1e-3, smoothing=0.2, augment=0.5)
    )
    assert recipe == {
        "learning_rate": 0.8,
        "batch": 512,
        "weight_decay": 1e-3,
        "label_smoothing": 0.2,
        "augment": 0.5,
    }
    assert Stages(training=False).recipe(known("resnet9", Stages(training=False))) == {}


def test_the_space_is_counted_stage_by_stage() -> None:
    space = Stages()
    one = len(space.widths) * len(space.kinds) * len(space.blocks) * 6 * 4 * 2 * 4
    whole = len(space.widths) * 3 * 2 * (8 * 9 * 5 * 3 * 3)
    assert count(space) == whole * sum(one**stages for stages in range(1, 9))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([Task(1, 1, 1, 2), Task(3, 5, 9, 3), Task(2, 8, 8, 3), Task(3, 32, 31, 3)]),
    st.sampled_from([1, 2, 4]),
    st.booleans(),
)
def test_maps_halve_as_told_and_never_below_two_pixels(seed: int, task: Task, stem_stride: int, zero: bool) -> None:
    space = replace(SMALL, stem_stride=stem_stride, zero_init=zero)
    architecture = sample(space, seed)
    network = child(space, architecture, task).eval()
    x = network.stem(torch.randn(2, task.channels, task.height, task.width))
    with torch.no_grad():
        for spec, stage in zip(space.stages_of(architecture), network.stages, strict=False):
            sides = tuple(x.shape[2:])
            halved = spec.halving != "none" and min(sides) >= 4
            x = stage(x)
            assert tuple(x.shape[1:]) == (spec.width, *((s + 1) // 2 if halved else s for s in sides))
        assert x.isfinite().all()
        # smaller images than it was built for, as progressive resizing gives them
        assert network(torch.randn(2, task.channels, (task.height + 1) // 2, (task.width + 1) // 2)).isfinite().all()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_a_mirrored_network_does_not_tell_an_image_from_its_mirror_image(seed: int, batch: int) -> None:
    task, architecture = Task(3, 8, 9, 4), sample(SMALL, seed)
    network, plain = child(replace(SMALL, mirror=True), architecture, task), child(SMALL, architecture, task)
    plain.load_state_dict(network.state_dict())
    network.eval(), plain.eval()
    x = torch.randn(batch, 3, 8, 9)
    with torch.no_grad():
        torch.testing.assert_close(network(x), (plain(x) + plain(x.flip(3))) / 2)
        torch.testing.assert_close(network(x), network(x.flip(3)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_networks_may_lie_channels_last(seed: int) -> None:
    network = child(SMALL, sample(SMALL, seed))
    assert place(network, torch.device("cpu"), channels_last=True), "a strided 1x1 convolution of few channels"


@pytest.mark.parametrize("kind", ["residual", "bottleneck", "inverted-2", "conv-residual"])
@pytest.mark.parametrize("order", ["after", "before", "inside"])
def test_with_zero_init_blocks_begin_near_identity_and_learn(kind: str, order: str) -> None:
    space = replace(SMALL, zero_init=True)
    network = child(space, one_stage(kind=kind, order=order, blocks=2)).train()
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    assert blocks
    x = torch.rand(16, 8, 6, 6)
    for block in blocks:
        assert (block(x.clone()) - x).abs().max() < (0.7 if order == "inside" and kind != "inverted-2" else 1e-6)
    network(torch.randn(8, 3, 32, 32)).square().sum().backward()
    for block in blocks:
        gradients = [p.grad for p in block.branch.parameters() if p.grad is not None]
        assert any(gradient.abs().max() > 0 for gradient in gradients), "dead: no gradient reaches the branch"


def test_a_pre_activated_network_begins_bare_and_ends_with_an_activation() -> None:
    network = child(Stages(), known("wrn-16-4", Stages(), width=0.125))
    assert [name for name, _ in network.stem.named_children()] == ["first"]
    assert [type(layer) for layer in network.stages[-1]] == [nn.BatchNorm2d, nn.ReLU]
    first, second = network.stages[1]
    assert [name for name, _ in first.before.named_children()] == ["norm0", "act0"]  # branch and shortcut read it
    assert [len(second.before), len(second.shortcut)] == [0, 0]


def test_option_a_has_no_parameters_and_keeps_every_other_pixel() -> None:
    block = child(Stages(), known("resnet20", Stages())).stages[1][0]
    assert list(block.shortcut.parameters()) == []
    x = torch.randn(2, 16, 8, 8)
    y = block.eval().shortcut(x)
    assert torch.equal(y[:, :16], x[:, :, ::2, ::2])
    assert not y[:, 16:].any()


def test_the_shape_of_images_does_not_change_the_parameters() -> None:
    architecture = known("resnet9", Stages(), width=0.125)
    sizes = {sum(p.numel() for p in child(Stages(), architecture, Task(3, s, s, 10)).parameters()) for s in (4, 28, 64)}
    assert len(sizes) == 1


@pytest.mark.parametrize("stem_stride", [1, 2, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_whitened_patches_have_unit_covariance(stem_stride: int, channels: int) -> None:
    space = Stages(whiten=True, stem_stride=stem_stride)
    network = child(space, known("resnet20", space, width=0.5), Task(channels, 16, 16, 4))
    torch.manual_seed(0)
    images = 20 * nn.functional.avg_pool2d(torch.randn(300, channels, 19, 19), 4, 1)  # neighbours are alike
    network.whiten(images)
    size = network.first.weight[0].numel()
    assert network.first.weight.shape[0] == 2 * size
    assert torch.equal(network.first.weight[:size], -network.first.weight[size:])
    patches = nn.functional.conv2d(images, network.first.weight[:size]).transpose(0, 1).flatten(1).double()
    covariance = patches @ patches.T / patches.shape[1]
    torch.testing.assert_close(covariance, torch.eye(size, dtype=torch.float64), atol=2e-2, rtol=0)
    again = child(space, known("resnet20", space, width=0.5), Task(channels, 16, 16, 4))
    again.whiten(images)
    assert torch.equal(again.first.weight, network.first.weight)


def test_whitened_filters_are_counted_stored_and_not_trained() -> None:
    space = Stages(whiten=True)
    network = child(space, known("resnet20", space, width=0.5))
    network.whiten(torch.randn(8, 3, 32, 32))
    filters = network.first.weight.clone()
    assert "stem.first.weight" in network.state_dict()
    assert any(parameter is network.first.weight for parameter in network.parameters())
    optimizer = Optimizer(network, Recipe(clip_norm=None))
    network.train()(torch.randn(8, 3, 32, 32)).square().sum().backward()
    before = network.classify.weight.clone()
    optimizer.gradient_norm()
    optimizer.step(0.1, 1.0)
    assert torch.equal(network.first.weight, filters)
    assert not torch.equal(network.classify.weight, before)
    with pytest.raises(SpaceError, match="whiten=True"):
        child(Stages(), known("resnet20", Stages(), width=0.5)).whiten(torch.randn(8, 3, 32, 32))


def test_a_surrogate_sees_sizes_as_logarithms_and_stages_from_the_end() -> None:
    space = Stages()
    narrow, wide = (space.features(known("resnet9", Stages(), width=width)) for width in (0.25, 0.5))
    assert wide["magnitude"]["weights"] - narrow["magnitude"]["weights"] == 2  # four times as many
    assert all(wide["widths from the end"][-n] - narrow["widths from the end"][-n] == 2 for n in (1, 2, 3))
    longer = space.features(known("vgg16", Stages()))
    assert longer["kinds from the end"].keys() > space.features(known("vgg11", Stages()))["kinds from the end"].keys()


def test_the_picture_names_what_each_stage_does() -> None:
    (graph,) = Stages().graphs(known("resnet9", Stages()))
    labels = [node.label for node in graph.nodes]
    assert labels[2:4] == [
        "conv, residual 128, 3x3, relu, halved late by max",
        "plain 256, 3x3, relu, halved late by max",
    ]
    assert [node.name for node in graph.nodes] == ["image", "stem", "1", "2", "3", "pool", "classifier"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("most_stages", 0), ("widths", ()), ("widths", (0,)), ("blocks", (1, 1)), ("kernels", (2,))),
        *(("rates", (0.0,)), ("orders", ("beside",)), ("halvings", ("half",)), ("heads", ("sum",))),
        *(("smoothings", (-0.1,)), ("stem_stride", 3)),
    ],
)
def test_wrong_fields_are_named(name: str, value: object) -> None:
    with pytest.raises(SpaceError, match=name):
        replace(Stages(), **{name: value})  # type: ignore[arg-type]


def test_an_unknown_kind_is_named_and_your_own_may_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    space = replace(SMALL, kinds=("mine", "plain"))
    with pytest.raises(SpaceError, match=re.escape("'mine' is not a part of a stage; there are bottleneck")):
        child(space, one_stage(space, kind="mine"))
    monkeypatch.setitem(BLOCKS, "mine", BLOCKS["residual"])
    assert isinstance(child(space, one_stage(space, kind="mine")).stages[0].block0, Block)
