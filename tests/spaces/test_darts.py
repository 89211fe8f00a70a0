"""DARTS's convolutional space: published sizes, what soft weights stand for, and networks as in the official code."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch

from archwright.__main__ import main
from archwright.data.images import Preprocessing
from archwright.errors import SpaceError
from archwright.export import source
from archwright.nets.feature_map import FeatureMap
from archwright.nets.ops import DropPath
from archwright.nets.skeleton import CellNetwork
from archwright.space import Architecture, Open, Task, count, decisions_of, sample
from archwright.spaces.darts import OPERATIONS, Darts
from archwright.spaces.edges import kept_edges, wiring
from archwright.spaces.published import DARTS_V1, DARTS_V2, PUBLISHED
from archwright.training.measure import multiply_adds, parameters

TINY = Darts(nodes=2, repeats=1, filters=4)
CIFAR = Task(3, 32, 32, 10)


def built(space: Darts, open: Open, task: Task = CIFAR, device: str = "cpu") -> CellNetwork:
    with torch.device(device):
        network = space.network(open, task)
    assert isinstance(network, CellNetwork)
    return network


def child(space: Darts, architecture: Architecture, task: Task = CIFAR, device: str = "cpu") -> CellNetwork:
    return built(space, Open.only(space, architecture), task, device)


# Published figures: papers.md D3b and D4


@pytest.mark.parametrize(
    ("name", "alone", "with_head"),
    [
        ("darts-v1", 3_169_414, 3_645_840),
        ("darts-v2", 3_349_342, 3_825_768),
        ("darts-v1-imagenet", 4_510_432, 5_771_208),
        ("darts-v2-imagenet", 4_718_752, 5_979_528),
    ],
)
def test_published_networks_have_the_size_of_the_official_code(name: str, alone: int, with_head: int) -> None:
    published = PUBLISHED[name]
    assert isinstance(published.space, Darts)
    assert isinstance(published.task, Task)
    network = child(published.space, published.architecture, published.task, "meta")
    assert parameters(network) == with_head
    assert parameters(network) - parameters(network.auxiliary) == alone  # type: ignore[arg-type]


def test_the_second_cell_has_the_multiply_adds_of_the_official_code_on_imagenet(monkeypatch: Any) -> None:
    """Those of convolutions and classifier, and the 544.59M that ptflops counts in the official code (its issue 46).

    ptflops adds two for each output of BatchNorm, and one for each input of a ReLU or of a pooling, the last mean
    included. The paper's 574M are in neither count; it does not say what they are of.
    """
    published = PUBLISHED["darts-v2-imagenet"]
    network = child(published.space, published.architecture, published.task, "meta").eval()  # type: ignore[arg-type]
    assert multiply_adds(network, published.task) == 529_911_552  # type: ignore[arg-type]
    others = 0

    def count(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal others
        if isinstance(module, torch.nn.BatchNorm2d):
            others += 2 * output.numel()
        relu = getattr(module, "after_relu", isinstance(module, torch.nn.ReLU)) or module is network.second_stem
        if relu or isinstance(module, torch.nn.MaxPool2d | torch.nn.AvgPool2d):
            others += inputs[0].numel()
        if module is network.cells[-1]:
            others += output.numel()

    for module in network.modules():
        module.register_forward_hook(count)
    monkeypatch.setattr(FeatureMap, "once", lambda self, key, compute: compute())  # each edge has its own, as there
    network(torch.zeros(1, 3, 224, 224, device="meta"))
    assert 529_911_552 + others == 544_588_032


def test_the_network_of_the_search_has_the_official_weights() -> None:
    space = Darts()
    network = built(space, Open.mixture(space), device="meta")
    assert parameters(network) == 1_930_618
    assert [i for i, kind in enumerate(network.kinds) if kind == "reduction"] == [8 // 3, 2 * 8 // 3]
    assert len(network.kinds) == 8
    alphas = {cell: [name for name in space.mixture if name.startswith(cell)] for cell in ("normal", "reduction")}
    assert [len(names) for names in alphas.values()] == [14, 14]
    options = ("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3")
    assert set(space.mixture.values()) == {(*options, "dil_conv_5x5")}


def test_show_says_the_published_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "darts-v2", "--json", "--no-pictures"]) == 0
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (shown["parameters"], shown["fields"]["repeats"]) == (3_349_342, 6)


def test_the_space_has_the_size_that_the_paper_counts() -> None:
    """Section 2.1 of the appendix: about 10^9 cells of either kind, 7 operations on 2 of k + 1 states."""
    cell = 1
    for node in (2, 3, 4, 5):
        cell *= node * (node - 1) // 2 * 7**2
    assert count(Darts()) == cell**2
    assert cell == pytest.approx(1e9, rel=0.05)


def test_published_genotypes_are_read_and_written() -> None:
    for name, genotype in (("darts-v1", DARTS_V1), ("darts-v2", DARTS_V2)):
        cells = Darts().to_genotype(PUBLISHED[name].architecture)
        for written, official in zip(cells, genotype, strict=True):
            pairs = [(written[i : i + 2], official[i : i + 2]) for i in range(0, 8, 2)]
            assert all(sorted(ours) == sorted(theirs) for ours, theirs in pairs)  # the order in a node says nothing
    v2 = wiring(PUBLISHED["darts-v2"].architecture, 4)
    assert v2["normal"][3] == ((0, "skip_connect"), (2, "dil_conv_3x3"))
    assert v2["reduction"][1] == ((1, "max_pool_3x3"), (2, "skip_connect"))


def test_ids_are_frozen() -> None:
    assert PUBLISHED["darts-v1"].architecture == PUBLISHED["darts-v1-imagenet"].architecture
    assert [PUBLISHED[name].architecture.id for name in ("darts-v1", "darts-v2")] == ["7dc0953223ed", "e2202d0a6110"]
    assert sample(Darts(), 0).id == "0e4e19f29367"


# What is asked, and what soft weights stand for


def test_a_node_reads_two_different_states_and_never_nothing() -> None:
    space = Darts()
    for seed in range(20):
        for nodes in wiring(sample(space, seed), 4).values():
            for number, ((low, first), (high, second)) in enumerate(nodes, start=2):
                assert low < high < number
                assert {first, second} <= set(OPERATIONS)
    asked = [question.name for question in decisions_of(space, sample(space, 0))]
    assert asked[:3] == ["normal/2/inputs", "normal/2/left/op", "normal/2/right/op"]
    assert len(asked) == 2 * 4 * 3
    assert {space.role(question) for question in decisions_of(space, sample(space, 0))} == {"link", "operation"}


def test_edges_are_kept_by_their_strongest_operation_but_none() -> None:
    names = ("none", "a", "b", "c")
    weights = {0: [0.9, 0.05, 0.02, 0.03], 1: [0.1, 0.2, 0.4, 0.3], 2: [0.0, 0.3, 0.3, 0.4], 3: [0.7, 0.1, 0.1, 0.1]}
    assert kept_edges(weights, names, keep=2) == [(1, "b"), (2, "c")]
    assert kept_edges(weights, names, keep=1) == [(1, "b")]  # as strong as edge 2, from a lower state
    assert kept_edges(dict.fromkeys(range(4), [0.25] * 4), names, keep=2) == [(0, "a"), (1, "a")]


def test_the_weight_of_an_edge_counts_with_partial_channels() -> None:
    space = Darts(nodes=2, repeats=1, partial=2)
    flat = {name: [1 / len(options)] * len(options) for name, options in space.mixture.items()}
    assert "normal/3" in flat
    assert wiring(space.discrete({**flat, "normal/3": [0.1, 0.3, 0.6]}), 2)["normal"][1][0][0] == 1
    assert wiring(space.discrete(flat), 2)["normal"][1][0][0] == 0
    assert "normal/3" not in Darts(nodes=2).mixture


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"nodes": 0}, "nodes is 0"),
        ({"operations": ("none", "skip_connect")}, "operations is"),
        ({"stem": "none"}, "stem is 'none'"),
        ({"statistics": "mean"}, "statistics is 'mean'"),
        ({"partial": 3}, "filters is 16"),
        ({"partial": 0}, "partial is 0"),
        ({"checkpointed": True, "statistics": "running"}, "checkpointed is True"),
        ({"drop_path_keep": 0.0}, "drop_path_keep is 0.0"),
    ],
)
def test_impossible_fields_are_refused(fields: dict[str, Any], wrong: str) -> None:
    with pytest.raises(SpaceError, match=wrong):
        Darts(**fields)


@pytest.mark.parametrize(
    "genes",
    [
        [("skip_connect", 0)] * 3,
        [("skip_connect", 0), ("skip_connect", 0), ("skip_connect", 0), ("skip_connect", 1)],
        [("skip_connect", 0), ("none", 1), ("skip_connect", 0), ("skip_connect", 1)],
        [("skip_connect", 0), ("skip_connect", 1), ("skip_connect", 0), ("skip_connect", 3)],
    ],
)
def test_a_bad_genotype_is_refused(genes: list[tuple[str, int]]) -> None:
    good = [("skip_connect", 0), ("skip_connect", 1), ("skip_connect", 0), ("skip_connect", 1)]
    TINY.from_genotype(good, good)
    with pytest.raises(SpaceError):
        TINY.from_genotype(genes, good)


# Networks


def test_the_stem_for_imagenet_leaves_an_eighth() -> None:
    space = dataclasses.replace(TINY, filters=8, stem="imagenet", auxiliary=True)
    network = child(space, sample(space, 0), Task(3, 224, 224, 7), "meta")
    shapes: list[tuple[int, ...]] = []
    for part in (network.stem, network.second_stem, *network.cells):
        assert part is not None
        part.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape[1:])))
    network.train()
    logits, auxiliary = network.with_auxiliary(torch.zeros(2, 3, 224, 224, device="meta"))
    assert auxiliary is not None
    assert auxiliary.shape == logits.shape == (2, 7)
    assert shapes == [(8, 56, 56), (8, 28, 28), (16, 28, 28), (32, 14, 14), (32, 14, 14), (64, 7, 7), (64, 7, 7)]


def test_paths_are_dropped_alike_in_all_cells_but_for_identities() -> None:
    space = dataclasses.replace(TINY, drop_path_keep=0.01)
    skips = [("skip_connect", 0), ("skip_connect", 1), ("skip_connect", 0), ("skip_connect", 1)]
    pools = [("max_pool_3x3", 0), ("max_pool_3x3", 1), ("max_pool_3x3", 0), ("max_pool_3x3", 1)]
    network = child(space, space.from_genotype(skips, pools), Task(3, 8, 8, 4))
    keeps = {module.keep for module in network.modules() if isinstance(module, DropPath)}
    assert len(keeps) == 1
    assert keeps.pop() == pytest.approx(0.01)
    network.set_progress(1.0)
    torch.manual_seed(0)
    maps: list[torch.Tensor] = []
    for cell in network.cells[:2]:
        cell.register_forward_hook(lambda _, __, output: maps.append(output))
    network(torch.randn(8, 3, 8, 8))
    normal, reduction = (output.abs().sum((1, 2, 3)) > 0 for output in maps)
    assert normal.all()
    assert not reduction.all()


def test_cells_that_are_computed_again_have_the_same_gradients() -> None:
    x, task = torch.randn(4, 3, 8, 8), Task(3, 8, 8, 4)
    found = []
    for checkpointed in (False, True):
        space = dataclasses.replace(TINY, checkpointed=checkpointed)
        torch.manual_seed(1)
        network = built(space, Open.mixture(space), task)
        soft = {name: torch.full((len(o),), 1 / len(o)).requires_grad_() for name, o in space.mixture.items()}
        network(x, soft).square().sum().backward()  # type: ignore[arg-type]
        found.append([value.grad for value in (*soft.values(), *network.parameters())])
    torch.testing.assert_close(*found)


def test_a_search_normalises_poolings_and_has_no_scales_in_cells() -> None:
    search, final = (
        child(space, sample(space, 0), Task(3, 8, 8, 4)) for space in (TINY, TINY.final(filters=4, repeats=1))
    )
    assert not list(search.buffers())
    assert {name.split(".")[0] for name, p in search.named_parameters() if p.ndim == 1} == {"stem", "classify"}
    norms = [m for m in final.cells.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    assert all(norm.affine and norm.track_running_stats for norm in norms)


@pytest.mark.parametrize("name", ["darts-v1", "darts-v2"])
def test_exports_as_plain_source(name: str) -> None:
    published = PUBLISHED[name]
    space = dataclasses.replace(published.space, filters=4, repeats=1)  # type: ignore[type-var]
    network = child(space, published.architecture, Task(3, 12, 12, 2)).eval()  # type: ignore[arg-type]
    plain = Preprocessing((0.0,) * 3, (1.0,) * 3, channels=3, height=12, width=12)
    written = source(network, classes=("a", "b"), preprocessing=plain, architecture=None, name="Model")
    namespace: dict[str, Any] = {"__name__": "written", "__file__": "model.py"}
    exec(compile(written.text, "model.py", "exec"), namespace)
    alone = namespace["Model"]()
    alone.load_state_dict(written.state)
    x = torch.randn(2, 3, 12, 12)
    torch.testing.assert_close(alone.eval()(x), network(x))
