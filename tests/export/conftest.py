from __future__ import annotations

import types
from collections.abc import Callable

import pytest
import torch
from torch import nn

from archwright.data.images import Preprocessing
from archwright.data.units import Units
from archwright.export import source

PREPROCESSING = Preprocessing((120.0, 100.0), (60.0, 0.0), channels=2, height=7, width=6, units=Units(0, 255))


@pytest.fixture(scope="session")
def preprocessing() -> Preprocessing:
    """Two channels, one of them constant; sides odd and even, and not equal."""
    return PREPROCESSING


@pytest.fixture(scope="session")
def settle() -> Callable[[nn.Module], nn.Module]:
    """Gives a network the statistics and weights of a trained one: none at its default."""

    def settled(network: nn.Module) -> nn.Module:
        generator = torch.Generator().manual_seed(5)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
                module.running_mean.copy_(torch.randn(module.num_features, generator=generator) / 4)
                module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
                module.weight.data.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
                module.bias.data.copy_(torch.randn(module.num_features, generator=generator) / 4)
        return network.eval()

    return settled


@pytest.fixture(scope="session")
def reread() -> Callable[..., tuple[nn.Module, str]]:
    """Writes a network as source, runs the source, and gives the network that it defines and the text."""

    def through_source(network: nn.Module, preprocessing: Preprocessing, classes: int) -> tuple[nn.Module, str]:
        names = [f"class {i}" for i in range(classes)]
        written = source(network, classes=names, preprocessing=preprocessing)
        module = types.ModuleType("model")
        module.__file__ = "model.py"
        exec(compile(written.text, "model.py", "exec"), module.__dict__)
        again: nn.Module = module.Model()
        again.load_state_dict(written.state)
        return again.eval(), written.text

    return through_source
