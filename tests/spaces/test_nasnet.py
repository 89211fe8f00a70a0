"""The NASNet space: published sizes of NASNet-A, what is asked, and networks of any architecture."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archwright.__main__ import main
from archwright.data.images import Preprocessing
from archwright.errors import SpaceError
from archwright.export import source
from archwright.nets.ops import DropPath
from archwright.nets.skeleton import CellNetwork
from archwright.space import Architecture, Open, Task, count, decisions_of, sample
from archwright.spaces.nasnet import OPERATIONS, NasNet, wiring
from archwright.spaces.published import NASNET_A, PUBLISHED
from archwright.training.measure import multiply_adds, parameters

TINY = NasNet(blocks=2, repeats=1, filters=4)


def child(space: NasNet, architecture: Architecture, task: Task, device: str = "cpu") -> CellNetwork:
    with torch.device(device):
        network = space.network(Open.only(space, architecture), task)
    assert isinstance(network, CellNetwork)
    return network


# Published figures: papers.md B6 and B7


@pytest.mark.parametrize(
    ("name", "trainable", "auxiliary", "multiplied"),
    [
        ("nasnet-a", 3_346_538, 1_631_498, None),
        ("nasnet-a-mobile", 5_289_978, 2_411_240, 564e6),
        ("nasnet-a-large", 88_753_150, 4_567_784, 23.8e9),
    ],
)
def test_nasnet_a_has_the_published_size(name: str, trainable: int, auxiliary: int, multiplied: float | None) -> None:
    published = PUBLISHED[name]
    network = child(published.space, published.architecture, published.task, "meta")
    head = network.auxiliary
    assert head is not None
    network.auxiliary = None
    assert (parameters(network), parameters(head)) == (trainable, auxiliary)
    if multiplied is not None:
        assert multiply_adds(network, published.task) == pytest.approx(multiplied, rel=0.01)


@pytest.mark.parametrize(
    ("name", "convolution", "stem", "groups"),
    [
        ("nasnet-a", (96, 32), [], [(192, 32, 6), (256, 16, 1), (384, 16, 6), (512, 8, 1), (768, 8, 6)]),
        (
            "nasnet-a-mobile",
            (32, 111),
            [(44, 56), (88, 28)],
            [(264, 28, 4), (352, 14, 1), (528, 14, 4), (704, 7, 1), (1056, 7, 4)],
        ),
        (
            "nasnet-a-large",
            (96, 165),
            [(168, 83), (336, 42)],
            [(1008, 42, 6), (1344, 21, 1), (2016, 21, 6), (2688, 11, 1), (4032, 11, 6)],
        ),
    ],
)
def test_stem_and_cells_have_the_published_shapes(
    name: str, convolution: tuple[int, int], stem: list[tuple[int, int]], groups: list[tuple[int, int, int]]
) -> None:
    """nasnet_test.py of the official code: channels and side of the stem's convolution, its cells, and the others."""
    published = PUBLISHED[name]
    task = published.task
    network = child(published.space, published.architecture, task, "meta").eval()
    shapes: list[tuple[int, ...]] = []
    for part in (network.stem, *network.cells):
        part.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape[1:])))
    assert network(torch.zeros(1, 3, task.height, task.width, device="meta")).shape == (1, task.classes)
    expected = [convolution, *stem, *[(channels, side) for channels, side, times in groups for _ in range(times)]]
    assert shapes == [(channels, side, side) for channels, side in expected]


def test_show_says_the_published_size_of_a_network_made_from_flags(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--repeats", "4", "--filters", "44", "--image-size", "224", "--classes", "1000"]
    assert main(["show", "nasnet-a", *sizes, "--json", "--no-pictures"]) == 0
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert shown["parameters"] == 5_289_978
    assert shown["multiply_adds"] == pytest.approx(564e6, rel=0.01)


def test_nasnet_a_is_the_cell_of_the_official_code() -> None:
    """nasnet_utils.py, papers.md B4; in `nets.cell` 0 is the older input."""
    architecture = PUBLISHED["nasnet-a"].architecture
    cells = wiring(architecture, 5)
    assert cells["normal"][0] == ((1, "sep_5x5"), (0, "sep_3x3"))
    assert cells["normal"][4] == ((1, "sep_3x3"), (1, "identity"))
    assert cells["reduction"][3] == ((3, "identity"), (2, "avg_3x3"))
    drawn = {graph.title: graph for graph in PUBLISHED["nasnet-a"].space.graphs(architecture)}
    joined = [edge.source for edge in drawn["reduction cell"].edges if edge.target == "output"]
    assert joined == ["3", "4", "5", "6"]
    assert [e.source for e in drawn["normal cell"].edges if e.target == "output"] == ["1", "2", "3", "4", "5", "6"]


# What is asked and stored


def test_asks_fifty_questions_in_the_order_of_the_paper() -> None:
    space = NasNet()
    asked = [question.name for question in decisions_of(space, sample(space, 0))]
    assert len(asked) == 2 * 5 * 5
    assert asked[:5] == ["normal/2/left", "normal/2/right", "normal/2/left/op", "normal/2/right/op", "normal/2/combine"]
    assert asked[25] == "reduction/2/left"
    assert len(OPERATIONS) == 13


@pytest.mark.parametrize("blocks", [1, 3, 5])
def test_counts_every_answer(blocks: int) -> None:
    cell = 1
    for block in range(2, blocks + 2):
        cell *= (block * 13) ** 2 * 2
    assert count(NasNet(blocks=blocks)) == cell**2


def test_ids_are_frozen() -> None:
    assert PUBLISHED["nasnet-a"].architecture.id == "4f28291f531a"
    assert PUBLISHED["nasnet-a-large"].architecture == PUBLISHED["nasnet-a"].architecture
    assert sample(NasNet(), 0).id == "a1e31ed87d87"


def test_an_architecture_keeps_what_its_output_has() -> None:
    architecture = PUBLISHED["nasnet-a"].architecture
    again = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
    assert again == architecture
    assert NasNet().for_architecture(again).kept == ("normal/1", "reduction/3")


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"blocks": 0}, "blocks is 0"),
        ({"filters": -1}, "filters is -1"),
        ({"combines": ("add", "times")}, "combines is"),
        ({"kept": ("normal/7",)}, "kept is"),
        ({"stem": "none"}, "stem is 'none'"),
        ({"stem_stride": 3}, "stem_stride is 3"),
        ({"operations": ()}, "operations is"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"drop_path_keep": 0.0}, "drop_path_keep is 0.0"),
        ({"norm_momentum": 2}, "norm_momentum is 2"),
    ],
)
def test_impossible_fields_are_refused(fields: dict[str, Any], wrong: str) -> None:
    with pytest.raises(SpaceError, match=wrong):
        NasNet(**fields)


def test_cells_of_another_length_are_refused() -> None:
    with pytest.raises(SpaceError, match="must have 4 operations"):
        TINY.from_cells(**NASNET_A)


def test_weights_are_not_shared() -> None:
    assert not NasNet().shares_weights
    with pytest.raises(SpaceError, match="shares no weights"):
        TINY.network(Open.all(TINY), Task(3, 8, 8, 2))


# Networks


@given(st.integers(0, 10**6), st.sampled_from([(9, 8), (7, 7), (16, 10)]), st.sampled_from(["cifar", "imagenet"]))
@settings(max_examples=6, deadline=None)
def test_any_architecture_trains_at_odd_sizes(seed: int, size: tuple[int, int], stem: Any) -> None:
    space = dataclasses.replace(TINY, blocks=3, stem=stem, auxiliary=True, skip_reduction=seed % 2 == 0)
    network = child(space, sample(space, seed), Task(2, *size, 3))
    logits, auxiliary = network.with_auxiliary(torch.randn(2, 2, *size))
    assert auxiliary is not None
    (logits.sum() + auxiliary.sum()).backward()
    missing = [name for name, p in network.named_parameters() if p.grad is None]
    # Only what nothing reads has no gradient: the projection of an input that no block reads is a part of the output.
    assert missing == []


def test_what_is_concatenated_is_as_wide_as_both() -> None:
    answers = dict(sample(TINY, 0).answers)
    widths = []
    for combine in ("add", "concat"):
        changed = {**answers, "normal/3/combine": combine}
        architecture = Architecture(TINY.name, tuple(TINY.fields.items()), tuple(changed.items()))
        widths.append(child(TINY, architecture, Task(3, 8, 8, 2)).cells[0].shape.channels)
    assert widths[1] - widths[0] == TINY.filters


def test_paths_are_dropped_more_the_deeper_the_cell() -> None:
    """B5: cells are counted with stem and reductions, 20 in all for CIFAR-10 and 22 for ImageNet (large)."""
    for name, cells, keep in (("nasnet-a", 20, 0.6), ("nasnet-a-large", 22, 0.7)):
        published = PUBLISHED[name]
        network = child(published.space, published.architecture, published.task, "meta")
        assert len(network.cells) == cells
        for index, cell in enumerate(network.cells):
            keeps = [module.keep for module in cell.modules() if isinstance(module, DropPath)]
            assert len(keeps) == 2 * 5
            assert keeps == pytest.approx([1 - (index + 1) / cells * (1 - keep)] * len(keeps))


def test_the_stem_goes_by_the_size_of_the_images() -> None:
    architecture = sample(TINY, 1)
    kinds = [child(TINY, architecture, Task(3, side, side, 2), "meta").kinds for side in (32, 127, 128)]
    body = ("normal", "reduction", "normal", "reduction", "normal")
    assert kinds == [body, body, ("reduction", "reduction", *body)]


def test_the_cell_after_a_reduction_may_skip_its_input() -> None:
    """B6: with `skip_reduction` its older input is half as deep and has to be halved."""
    published = PUBLISHED["nasnet-a-large"]
    space = dataclasses.replace(published.space, filters=8, repeats=2)
    skipping, not_skipping = (
        child(dataclasses.replace(space, skip_reduction=skip), published.architecture, published.task, "meta")
        for skip in (True, False)
    )
    after = [i + 1 for i, kind in enumerate(skipping.kinds) if kind == "reduction" and i > 1]
    for index, (one, other) in enumerate(zip(skipping.cells, not_skipping.cells, strict=True)):
        same = parameters(one) == parameters(other)  # type: ignore[arg-type]
        assert same or index in after


@pytest.mark.parametrize("seed", [0, 1])
def test_exports_as_plain_source(seed: int) -> None:
    space = dataclasses.replace(TINY, filters=8, drop_path_keep=0.5)
    network = child(space, sample(space, seed), Task(3, 12, 12, 2)).eval()
    plain = Preprocessing((0.0,) * 3, (1.0,) * 3, channels=3, height=12, width=12)
    written = source(network, classes=("a", "b"), preprocessing=plain, architecture=None, name="Model")
    namespace: dict[str, Any] = {"__name__": "written", "__file__": "model.py"}
    exec(compile(written.text, "model.py", "exec"), namespace)
    alone = namespace["Model"]()
    alone.load_state_dict(written.state)
    x = torch.randn(2, 3, 12, 12)
    torch.testing.assert_close(alone.eval()(x), network(x))
