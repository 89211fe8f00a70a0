"""The space of language models as people build them: published sizes, what training they get, and their dropouts."""

from __future__ import annotations

import pytest
import torch

from archwright.errors import SpaceError, UnknownOption
from archwright.nets.language import LanguageModel
from archwright.space import Architecture, Open, TextTask, count, mutate, replay
from archwright.spaces import NasRecurrent, Recurrent
from archwright.spaces.known_language import KNOWN, RACING, known
from archwright.spaces.nas_recurrent import NAS_CELL
from archwright.spaces.published import PUBLISHED
from archwright.training.recipe import TEXT_MINUTES, Recipe

TASK = TextTask(10_000)


def child(space: Recurrent, architecture: Architecture, task: TextTask = TASK) -> LanguageModel:
    return space.network(Open.only(space, architecture), task)


def with_answers(architecture: Architecture, space: Recurrent, **changes: object) -> Architecture:
    return replay(space, {**dict(architecture.answers), **changes})


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_language_model_has_its_published_size(name: str) -> None:
    with torch.device("meta"):
        network = child(Recurrent(), known(name, Recurrent()))
    # Zaremba et al. 2014 with one bias a gate more, as `KNOWN` says: 4.65M, 19.8M and 66.0M.
    assert sum(parameter.numel() for parameter in network.parameters()) == KNOWN[name].parameters
    assert PUBLISHED[name].architecture == known(name, Recurrent())


def test_the_known_tree_is_nascell() -> None:
    space = Recurrent()
    network = child(space, known("nascell", space, width=0.05))
    expected = NasRecurrent().tree(NasRecurrent().from_tokens(NAS_CELL))
    assert network.recurrent_cells()[0].tree == expected  # type: ignore[attr-defined]


def test_known_models_take_what_the_space_has() -> None:
    few = Recurrent(cells=("lstm",), widths=(16, 64), dropouts=(0.0, 0.3), depths=(1,))
    assert set(few.known(0.25, TEXT_MINUTES)) == {"lstm", "lstm-2"}
    with pytest.raises(UnknownOption, match="gru"):
        known("gru", few)
    with pytest.raises(SpaceError, match="lstm, lstm-2, gru, nascell"):
        known("transformer", few)
    assert set(Recurrent().known(0.25)) == set(RACING)
    assert Recurrent().known(0.25)["lstm"]["input"] == 0.5  # as published


def test_dropout_is_what_zaremba_found_for_each_size() -> None:
    for name, passes in (("zaremba-medium", 39), ("zaremba-large", 55)):
        architecture = known(name, Recurrent(), read=passes / 929_589)
        assert architecture["output"] == architecture["input"] == KNOWN[name].dropout
    assert known("zaremba-small", Recurrent(), read=13 / 929_589)["output"] == 0.2
    assert known("lstm", Recurrent(), width=0.25, read=1 / 1e9)["output"] == 0.0
    recipe = Recipe(epochs=18, batch=10, length=35)
    assert Recurrent().known(0.25, recipe, 70_000)["lstm"]["output"] == 0.4
    assert Recurrent().known(0.25, recipe, 70_000)["lstm"]["batch"] == 10


def test_the_space_has_all_trees_of_nas() -> None:
    space = Recurrent()
    others = len(space.widths) * 4 * 2 * 7**4 * (2 * 6 * 5 * 4)
    assert count(space) == (2 + count(NasRecurrent())) * others
    assert count(Recurrent(cells=("lstm",), training=False)) == len(space.widths) * 4 * 2 * 7**4


def test_a_mutation_of_a_number_goes_one_step() -> None:
    space, parent = Recurrent(), known("lstm", Recurrent(), width=0.25)
    for seed in range(60):
        child_ = mutate(space, parent, seed)
        if child_["units"] != parent["units"]:
            assert child_["units"] in (160, 256)


def test_training_is_what_the_architecture_says() -> None:
    space = Recurrent()
    assert dict(space.recipe(known("lstm", space))) == {
        **{"optimizer": "sgd", "momentum": 0.0, "nesterov": False, "clip_norm": 0.25},
        **{"learning_rate": 20.0, "batch": 20, "length": 35},
    }
    adam = space.recipe(known("lstm", space, optimizer="adam", batch=40))
    assert adam["learning_rate"] == pytest.approx(2e-3)
    assert (adam["optimizer"], adam["momentum"], adam["batch"]) == ("adam", 0.9, 40)
    assert Recurrent(training=False).recipe(known("lstm", Recurrent(training=False))) == {}


@pytest.mark.parametrize("cell", ["lstm", "gru", "tree"])
def test_hidden_dropout_drops_weights_while_it_trains(cell: str) -> None:
    space = Recurrent(cells=(cell,), widths=(6,), dropouts=(0.0, 0.5), depths=(1,))
    plain = known("nascell" if cell == "tree" else cell, space, dropout=0.0)
    dropped = with_answers(plain, space, hidden=0.5)
    tokens = torch.arange(24).view(12, 2) % 5
    torch.manual_seed(0)
    network = child(space, dropped, TextTask(5))
    same = child(space, plain, TextTask(5))
    same.load_state_dict(network.state_dict())
    state = network.start(2)
    logits = network.train()(tokens, state)[0]
    assert not torch.equal(logits, network(tokens, state)[0])  # another sequence, other weights
    assert torch.equal(network.eval()(tokens, state)[0], same.train()(tokens, state)[0])
    network.train()(tokens, state)[0].sum().backward()
    name = {"lstm": "lstm.weight_hh_l0", "gru": "gru.weight_hh_l0", "tree": "hidden"}[cell]
    gradient = dict(network.recurrent_cells()[0].named_parameters())[name].grad
    assert gradient is not None
    assert 0.2 < float((gradient == 0).float().mean()) < 0.8  # the dropped ones learn nothing


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cells": ("rnn",)}, "lstm, gru, tree"),
        ({"optimizers": ("lion",)}, "sgd, adam"),
        ({"widths": (0,)}, "numbers from 1 up"),
        ({"dropouts": (1.0,)}, "below 1"),
        ({"rates": (-1.0,)}, "above zero"),
        ({"base": 1}, "from 2 to 12"),
        ({"depths": ()}, "one or more different values"),
    ],
)
def test_wrong_fields_are_named(fields: dict[str, object], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Recurrent(**fields)  # type: ignore[arg-type]


def test_pictures_show_layers_and_the_tree() -> None:
    space = Recurrent()
    whole, *others = space.graphs(known("lstm-2", space))
    assert [node.label for node in whole.nodes] == [
        *("input", "800 units", "lstm 800", "lstm 800", "tied to the embedding")
    ]
    assert not others
    assert len(space.graphs(known("nascell", space))) == 2
