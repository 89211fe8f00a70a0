"""The convolutional space of NAS: its token order, its growth, the compile rules, and sizes counted by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archwright.controllers.reinforce import Reinforce
from archwright.errors import SpaceError
from archwright.evaluators.from_scratch import FromScratch
from archwright.loop import Proposal
from archwright.nets.layered import Layered, paddings
from archwright.presets.nas import CONV
from archwright.space import Architecture, Links, Open, Task, count, decisions_of, replay, sample
from archwright.spaces import NasConv
from archwright.training.child import child_recipe
from archwright.training.recipe import Recipe
from small_images import image_data

CIFAR10 = Task(3, 32, 32, 10)
FEW = {"filter_heights": (1, 3), "filter_widths": (1, 3, 5), "filter_counts": (2, 3)}
spaces = st.builds(
    NasConv,
    layers=st.integers(1, 20),
    first_layers=st.just(20),
    filter_heights=st.sampled_from([(1, 3), (1, 3, 5, 7)]),
    filter_widths=st.sampled_from([(1, 3), (1, 3, 5, 7)]),
    filter_counts=st.just((2, 3)),
    strides=st.sampled_from([(1,), (2,), (1, 2, 3)]),
    skips=st.booleans(),
    types=st.sampled_from([("conv",), ("conv", "pool"), ("conv", "pool", "norm")]),
    pool_sizes=st.sampled_from([(3,), (1, 3, 5)]),
    choose_norm=st.booleans(),
    learning_rates=st.sampled_from([(), (0.1, 0.01)]),
    block=st.integers(1, 3),
    pool_after=st.sampled_from([(), (1, 3)]),
    more_filters=st.sampled_from([0, 1]),
)


def child(space: NasConv, architecture: Architecture, task: Task = CIFAR10) -> Layered:
    network = space.network(Open.only(space, architecture), task)
    assert isinstance(network, Layered)
    return network


def written(space: NasConv, *layers: tuple[int, int, int, tuple[int, ...]]) -> Architecture:
    """An architecture of (height, width, filters, inputs counted from 1)."""
    answers: dict[str, object] = {}
    for number, (height, width, filters, inputs) in enumerate(layers, start=1):
        answers |= {f"{number}/height": height, f"{number}/width": width, f"{number}/filters": filters}
        answers[f"{number}/inputs"] = tuple(map(str, inputs))
    return replay(space, answers)


# Tokens


def test_the_tokens_of_a_layer_are_in_the_order_of_the_paper() -> None:
    """Figure 2 of the paper, then the anchor point."""
    space = NasConv(layers=2, strides=(1, 2, 3))
    names = [decision.name for decision in decisions_of(space, sample(space, 0))]
    tokens = ["height", "width", "stride_height", "stride_width", "filters", "inputs"]
    assert names == [f"{layer}/{token}" for layer in (1, 2) for token in tokens]
    fixed = NasConv(layers=1)
    assert [d.name for d in decisions_of(fixed, sample(fixed, 0))] == ["1/height", "1/width", "1/filters", "1/inputs"]


def test_layer_n_may_read_the_n_minus_1_layers_before_it() -> None:
    space = NasConv(layers=5)
    links = [d for d in decisions_of(space, sample(space, 0)) if isinstance(d, Links)]
    assert [len(question.among) for question in links] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("layers", [1, 2, 6, 15])
def test_the_space_has_the_published_number_of_architectures(layers: int) -> None:
    assert count(NasConv(layers=layers)) == 4 ** (3 * layers) * 2 ** (layers * (layers - 1) // 2)
    assert count(NasConv(layers=layers, skips=False, strides=(1, 2, 3))) == (4**3 * 9) ** layers


def test_depth_grows_by_2_every_1600_proposals() -> None:
    space = NasConv()
    assert [space.grown(n).layers for n in (0, 1599, 1600, 3199, 3200, 12_799, 100_000)] == [6, 6, 8, 8, 10, 20, 20]
    assert all(space.grown(n).vocabularies == space.vocabularies for n in (0, 5000))


def test_one_policy_writes_every_depth() -> None:
    space = NasConv(layers=4, first_layers=1, more_layers=1, every=10)
    controller = Reinforce(space, **CONV.published.controllers["reinforce"])
    proposals = controller.ask(range(5, 45, 10))
    assert [dict(proposal.architecture.fields)["layers"] for proposal in proposals] == [1, 2, 3, 4]
    rollout = controller.policy.score([space.grown(p.stream) for p in proposals], [p.architecture for p in proposals])
    torch.testing.assert_close(
        rollout.log_prob.detach(),
        torch.tensor([p.log_prob for p in proposals], dtype=torch.float64),
        rtol=1e-4,
        atol=1e-4,
    )


def test_the_first_policy_is_about_uniform_and_a_set_counts_as_its_bernoulli_draws() -> None:
    """With U(-0.08, 0.08) every sigmoid is near a half: a set of n anchors has log-probability near -n log 2."""
    space = NasConv(layers=6, first_layers=6)
    controller = Reinforce(space, **CONV.published.controllers["reinforce"])
    expected = -(6 * 3 * math.log(4) + 15 * math.log(2))
    for proposal in controller.ask(range(8)):
        assert proposal.log_prob == pytest.approx(expected, rel=0.02)


# The compile rules


def test_a_layer_without_inputs_reads_the_image_and_loose_ends_are_concatenated() -> None:
    space = NasConv(layers=4, first_layers=4, filter_counts=(2, 3, 5, 7))
    network = child(space, written(space, (1, 1, 2, ()), (3, 3, 3, (1,)), (1, 3, 5, ()), (5, 1, 7, (1, 3))))
    convs = [block.convs[0][0] for block in network.layers]
    assert [(conv.in_channels, conv.out_channels) for conv in convs] == [(3, 2), (2, 3), (3, 5), (2 + 5, 7)]
    assert [conv.kernel_size for conv in convs] == [(1, 1), (3, 3), (1, 3), (5, 1)]
    assert network.classify.in_features == 3 + 7  # of layers 2 and 4, which nobody reads
    weights = 3 * 2 + 9 * 2 * 3 + 3 * 3 * 5 + 5 * 7 * 7
    norms, classifier = 2 * (2 + 3 + 5 + 7), 10 * 10 + 10
    assert sum(p.numel() for p in network.parameters()) == weights + norms + classifier


def test_smaller_maps_are_padded_evenly_with_zeros() -> None:
    x = torch.ones(1, 1, 2, 3)
    around, none = paddings([(2, 3), (5, 4)])
    assert none == (0, 0, 0, 0)
    made = torch.nn.functional.pad(x, around)
    assert made[0, 0].tolist() == [[0] * 4, [1, 1, 1, 0], [1, 1, 1, 0], [0] * 4, [0] * 4]


def test_strides_shrink_maps_and_skips_across_them_are_padded() -> None:
    space = NasConv(layers=3, first_layers=3, strides=(1, 2, 3), filter_counts=(2, 3))
    answers: dict[str, object] = {}
    for number, stride in enumerate([(2, 3), (1, 1), (1, 1)], start=1):
        answers |= {f"{number}/height": 3, f"{number}/width": 3, f"{number}/filters": 2}
        answers |= {f"{number}/stride_height": stride[0], f"{number}/stride_width": stride[1]}
        answers[f"{number}/inputs"] = () if number < 3 else ("1", "2")
    network = child(space, replay(space, answers)).eval()
    shapes: list[tuple[int, ...]] = []
    for layer in network.layers:
        layer.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape[1:])))
    network(torch.zeros(1, 3, 32, 32))
    assert shapes == [(2, 16, 11), (2, 32, 32), (2, 32, 32)]


def test_a_dense_block_reads_all_of_its_own_and_hands_all_on() -> None:
    """v3 of the paper: a written layer stands for three."""
    space = NasConv(layers=1, first_layers=1, filter_counts=(6,), filter_heights=(3,), filter_widths=(3,), block=3)
    network = child(space, sample(space, 0))
    assert [sequence[0].in_channels for sequence in network.layers[0].convs] == [3, 6, 12]
    assert network.classify.in_features == 18


@settings(deadline=None, max_examples=60)
@given(spaces, st.integers(0, 2**32), st.sampled_from([Task(1, 8, 8, 3), Task(3, 7, 10, 2)]))
def test_every_architecture_trains_a_step_and_has_the_size_of_a_count_by_hand(
    space: NasConv, seed: int, task: Task
) -> None:
    torch.manual_seed(0)
    architecture = sample(space, seed)
    network = child(space, architecture, task).train()
    logits = network(torch.randn(2, task.channels, task.height, task.width))
    assert logits.shape == (2, task.classes)
    logits.sum().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert sum(parameter.numel() for parameter in network.parameters()) == by_hand(space, architecture, task)


def by_hand(space: NasConv, architecture: Architecture, task: Task) -> int:
    """Trainable parameters, from the answers alone."""
    answers = dict(architecture.answers)
    total, channels, read = 0, [], set()
    for n in range(1, space.layers + 1):
        before = answers.get(f"{n}/inputs", (str(n - 1),) if n > 1 else ())
        read |= {int(name) for name in before}
        wide = sum(channels[int(name) - 1] for name in before) or task.channels
        kind = answers.get(f"{n}/type", "conv")
        if kind == "conv":
            filters = answers[f"{n}/filters"] + space.more_filters
            area, extra = answers[f"{n}/height"] * answers[f"{n}/width"], 2 if answers.get(f"{n}/norm", True) else 1
            for index in range(space.block):
                total += area * (index * filters or wide) * filters + extra * filters
            channels.append(filters * space.block)
        else:
            total += 2 * wide if kind == "norm" else 0
            channels.append(wide)
    loose = sum(channels[n - 1] for n in range(1, space.layers + 1) if n not in read)
    return total + loose * task.classes + task.classes


# Search


def test_the_evaluator_obeys_a_predicted_learning_rate() -> None:
    space = NasConv(layers=1, first_layers=1, **FEW, learning_rates=(0.1, 1e-12))
    evaluator = FromScratch(space, image_data(), Recipe(epochs=4, batch=8, pad=0, flip=False, learning_rate_min=0.0))
    first = sample(space, 0)
    rates = {rate: replay(space, {**dict(first.answers), "learning_rate": rate}) for rate in (0.1, 1e-12)}
    scores = {rate: evaluator.evaluate(Proposal(0, rates[rate])).reward for rate in rates}
    assert space.recipe(rates[0.1]) == {"learning_rate": 0.1}
    assert scores[0.1] > scores[1e-12]  # the other one learns nothing


@pytest.mark.parametrize("recipe", [Recipe(), CONV.published.search_recipe])
def test_a_predicted_learning_rate_may_be_below_the_least_one_of_the_recipe(recipe: Recipe) -> None:
    space = NasConv(layers=1, learning_rates=(1e-6,))
    own = child_recipe(space, sample(space, 0), recipe)
    assert own.rate(0) == 1e-6
    assert own.rate(recipe.epochs * 0.99) <= 1e-6


def test_it_shares_no_weights_and_says_so() -> None:
    assert not NasConv().shares_weights
    with pytest.raises(SpaceError, match="shares no weights"):
        NasConv().network(Open.all(NasConv(layers=2)), CIFAR10)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"layers": 0}, "layers"),
        ({"filter_heights": (2,)}, "odd"),
        ({"strides": ()}, "one or more"),
        ({"types": ("conv", "lcn")}, "norm"),
        ({"learning_rates": (0.1, 0.1)}, "differ"),
    ],
)
def test_wrong_fields_are_named(change: dict[str, object], says: str) -> None:
    with pytest.raises(SpaceError, match=says):
        replace(NasConv(), **change)  # type: ignore[arg-type]


def test_it_can_be_drawn() -> None:
    space = NasConv(layers=3)
    (graph,) = space.graphs(sample(space, 1))
    assert [node.name for node in graph.nodes] == ["image", "1", "2", "3", "output"]
