from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from archwright.training.optimizer import Optimizer
from archwright.training.recipe import Recipe

RECIPE = Recipe(weight_decay=0.01, clip_norm=0.5)


def network() -> nn.Sequential:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2))
    return model.to(memory_format=torch.channels_last)


def advance(model: nn.Sequential, optimizer: Optimizer, step: int) -> None:
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(step))
    model(x).square().sum().backward()
    optimizer.step(0.1 / (step + 1), optimizer.gradient_norm().item())
    optimizer.clear()


def settings(recipe: Recipe) -> dict[str, object]:
    """What PyTorch's optimizer of that recipe is told."""
    if recipe.optimizer == "sgd":
        return {"momentum": recipe.momentum, "nesterov": recipe.nesterov}
    if recipe.optimizer == "adam":
        return {"betas": (recipe.momentum, recipe.second_decay), "eps": recipe.epsilon}
    return {"momentum": recipe.momentum, "alpha": recipe.second_decay, "eps": recipe.epsilon}


@pytest.mark.parametrize(
    ("pytorchs", "recipe"),
    [
        (torch.optim.SGD, RECIPE),
        (torch.optim.SGD, replace(RECIPE, nesterov=False)),
        (torch.optim.SGD, replace(RECIPE, nesterov=False, momentum=0.0)),
        (torch.optim.Adam, replace(RECIPE, optimizer="adam", epsilon=1e-3)),
        (torch.optim.RMSprop, replace(RECIPE, optimizer="rmsprop", second_decay=0.9, epsilon=1.0)),
        (torch.optim.RMSprop, replace(RECIPE, optimizer="rmsprop", momentum=0.0, nesterov=False)),
    ],
)
def test_with_every_gradient_there_it_is_pytorchs(pytorchs, recipe):
    ours, theirs = network(), network()
    optimizer = Optimizer(ours, recipe)
    reference = pytorchs(theirs.parameters(), lr=1, weight_decay=recipe.weight_decay, **settings(recipe))
    for step in range(4):
        advance(ours, optimizer, step)
        theirs(torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(step))).square().sum().backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        reference.param_groups[0]["lr"] = 0.1 / (step + 1)
        reference.step()
        reference.zero_grad()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_a_parameter_without_a_gradient_keeps_its_value_and_its_momentum():
    model = nn.ModuleList([nn.Linear(2, 1), nn.Linear(2, 1)])
    optimizer = Optimizer(model, RECIPE)
    for active in (0, 1, 1, 0):
        still = 1 - active
        before = [p.detach().clone() for p in model[still].parameters()]
        momentum = {n: t for n, t in optimizer.state_dict().items() if n.startswith(f"{still}.")}
        moving = model[active].weight.detach().clone()
        model[active](torch.ones(1, 2)).sum().backward()
        optimizer.step(0.1, optimizer.gradient_norm().item())
        optimizer.clear()
        assert all(torch.equal(a, b) for a, b in zip(before, model[still].parameters(), strict=True))
        assert all(torch.equal(momentum[n], t) for n, t in optimizer.state_dict().items() if n.startswith(f"{still}."))
        assert not torch.equal(moving, model[active].weight)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_its_state_is_enough_to_go_on_from_and_a_copy(optimizer):
    recipe = replace(RECIPE, optimizer=optimizer)
    ours, other = network(), network()
    optimizer = Optimizer(ours, recipe)
    advance(ours, optimizer, 0)
    state = optimizer.state_dict()
    other.load_state_dict(ours.state_dict())
    frozen = {name: tensor.clone() for name, tensor in state.items()}
    advance(ours, optimizer, 1)
    assert all(torch.equal(frozen[name], state[name]) for name in frozen)
    resumed = Optimizer(other, recipe)
    resumed.load_state_dict(state)
    advance(other, resumed, 1)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_norms_and_biases_may_be_spared_from_decay_and_nothing_else_changes(optimizer):
    decayed, spared, bare = network(), network(), network()
    common = {"optimizer": optimizer, "clip_norm": None, "epsilon": 1e-3}
    recipes = Recipe(weight_decay=0.1, **common), Recipe(weight_decay=0.1, decay_norms=False, **common)
    for model, recipe in zip((decayed, spared, bare), (*recipes, Recipe(weight_decay=0.0, **common)), strict=True):
        advance(model, Optimizer(model, recipe), 1)
    for (name, parameter), with_decay, without in zip(
        spared.named_parameters(), decayed.parameters(), bare.parameters(), strict=True
    ):
        assert torch.equal(parameter, without if parameter.ndim == 1 else with_decay), name
        if name != "1.bias":  # it begins at zero, which does not decay
            assert not torch.equal(with_decay, without), name


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_the_state_goes_by_name_whatever_decays(optimizer):
    recipe = replace(RECIPE, optimizer=optimizer)
    ours, other = network(), network()
    first, second = Optimizer(ours, recipe), Optimizer(other, replace(recipe, decay_norms=False))
    advance(ours, first, 0)
    second.load_state_dict(first.state_dict())
    assert second.state_dict().keys() == first.state_dict().keys()
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


def test_a_network_of_norms_alone_can_be_trained_without_decay():
    model = nn.BatchNorm2d(3)
    advance(nn.Sequential(model), Optimizer(model, replace(RECIPE, decay_norms=False)), 0)
    assert not torch.equal(model.bias, torch.zeros(3))
