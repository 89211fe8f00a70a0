from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch
from torch import nn

from archwright.errors import ConfigError
from archwright.space import Task
from archwright.training.device import resolve_device
from archwright.training.measure import denormals_kept, flush_denormals, multiply_adds, parameters, time_steps

NETWORK = nn.Sequential(
    nn.Conv2d(3, 8, 3, padding=1, bias=False),
    nn.BatchNorm2d(8),
    nn.ReLU(),
    nn.Conv2d(8, 8, 5, groups=8, stride=2, bias=False),
)


def test_multiply_adds_are_those_of_the_convolutions():
    expected = 3 * 8 * 9 * 32 * 32 + 8 * 25 * 14 * 14  # kernel x inputs per group x outputs x places
    assert multiply_adds(NETWORK, (3, 32, 32)) == multiply_adds(NETWORK, Task(3, 32, 32, 10)) == expected


def test_parameters_are_counted_trainable_or_all():
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    network[0].bias.requires_grad_(False)
    assert parameters(network) == 12 + 6
    assert parameters(network, trainable_only=False) == 12 + 3 + 6


def test_measuring_leaves_the_network_as_it_was():
    NETWORK.train()
    before = {name: tensor.clone() for name, tensor in NETWORK.state_dict().items()}
    multiply_adds(NETWORK, (3, 32, 32))
    assert NETWORK.training
    assert all(torch.equal(before[name], tensor) for name, tensor in NETWORK.state_dict().items())


def test_steps_are_run_as_often_as_asked_and_warmed_up_before():
    calls = []
    assert time_steps(lambda: calls.append(None), repeats=3, warmup=2) >= 0
    assert len(calls) == 5


@pytest.mark.parametrize("flushed", [False, True])
def test_denormal_numbers_are_afterwards_what_they_were(flushed):
    if not torch.set_flush_denormal(flushed):
        pytest.skip("this processor has them always")
    with denormals_kept():
        torch.set_flush_denormal(not flushed)
    assert (sys.float_info.min / 2 == 0) == flushed


@denormals_kept()
def stopped():
    flush_denormals()
    raise ConfigError("stopped")


def test_an_error_brings_denormal_numbers_back_too():
    torch.set_flush_denormal(False)
    with pytest.raises(ConfigError):
        stopped()
    assert sys.float_info.min / 2 > 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_tuned_malloc_keeps_big_blocks_and_so_their_pages():
    script = """
import resource, torch
from archwright.training.measure import tune_malloc
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**24)  # 64 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
plain = faults()
assert tune_malloc()
faults()  # malloc finds places that small blocks do not split: the first blocks may still grow the heap
print(plain, faults())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    plain, tuned = map(int, done.stdout.split())
    assert tuned < plain / 10


def test_a_device_is_found_or_what_is_wrong_is_said():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device(torch.device("cpu")) == torch.device("cpu")
    assert resolve_device() == resolve_device("auto")
    with pytest.raises(ConfigError, match="'warp' is not a device; use auto, cpu"):
        resolve_device("warp")
    with pytest.raises(ConfigError, match="'meta' is not supported"):
        resolve_device("meta")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="'cuda:3': PyTorch sees no CUDA GPU here; use auto or cpu"):
        resolve_device("cuda:3")


def test_momentum_that_fades_does_not_end_in_slow_numbers():
    script = """
import torch
from archwright.training.measure import flush_denormals
def faded():
    momentum = torch.full((8,), 1.0)
    for _ in range(400):
        momentum.mul_(0.6)
    return float(momentum.sum())
before = faded()
assert flush_denormals()
print(before > 0, faded())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "0.0"]
