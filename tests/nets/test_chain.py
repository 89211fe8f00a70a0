"""Chains of convolutions by compiled kernels are PyTorch's, with their gradients; without a compiler PyTorch runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from archwright.nets import chain, native
from archwright.nets.cell import Joined
from archwright.nets.feature_map import FeatureMap, apply
from archwright.nets.ops import Pointwise, Separable

needs_kernels = pytest.mark.skipif(native.library() is None, reason=f"no kernels: {native.found()[1]}")


def maps(batch: int, channels: int, height: int, width: int) -> Tensor:
    made = 0.5 + 2 * torch.randn(batch, channels, height, width)
    return made.contiguous(memory_format=torch.channels_last).requires_grad_()


def results(
    run: Callable[[], Tensor], module: nn.Module, sources: Sequence[Tensor], *, kernels: bool = True
) -> dict[str, Tensor]:
    """The output, all gradients, and the statistics that a step leaves."""
    before = {name: value.clone() for name, value in module.state_dict().items()}
    made = run()
    assert ("Chain" in type(made.grad_fn).__name__) == kernels
    leaves = [*sources, *module.parameters()]
    weights = torch.linspace(-1, 1, made.numel()).view_as(made)
    found = torch.autograd.grad((made * weights).sum(), leaves)
    names = [*(f"source {i}" for i in range(len(sources))), *(name for name, _ in module.named_parameters())]
    state = {f"after: {name}": value.clone() for name, value in module.state_dict().items()}
    module.load_state_dict(before)
    return {"output": made.detach(), **dict(zip(names, found, strict=True)), **state}


def agree(run: Callable[[], Tensor], module: nn.Module, sources: Sequence[Tensor]) -> None:
    nn.init.normal_(next(p for name, p in module.named_parameters() if "norm" in name), 1.0, 0.3)
    ours = results(run, module, sources)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "library", lambda: None)
        plain = results(run, module, sources, kernels=False)
    for name, expected in plain.items():
        scale = float(expected.abs().max()) if expected.numel() else 1.0
        assert torch.allclose(ours[name], expected, rtol=1e-4, atol=1e-4 * max(scale, 1.0)), name


widths = st.integers(2, 12).map(lambda n: 4 * n)


@needs_kernels
@settings(max_examples=25)
@given(
    seed=st.integers(0, 99),
    batch=st.integers(2, 3),
    inputs=widths,
    outputs=widths,
    size=st.tuples(*[st.integers(2, 17)] * 2),
    kernel=st.sampled_from([3, 5, 7]),
    repeats=st.integers(1, 2),
    activated=st.booleans(),
)
def test_separable_convolutions_are_those_of_pytorch(
    seed: int, batch: int, inputs: int, outputs: int, size: tuple[int, int], kernel: int, repeats: int, activated: bool
) -> None:
    torch.manual_seed(seed)
    module, x = Separable(inputs, outputs, 1, kernel, repeats=repeats), maps(batch, inputs, *size)
    agree(lambda: apply(module, FeatureMap(x)) if activated else module(x), module, [x])


@needs_kernels
@settings(max_examples=15)
@given(
    seed=st.integers(0, 99),
    batch=st.integers(2, 9),
    inputs=widths,
    outputs=widths,
    count=st.integers(1, 4),
    size=st.tuples(*[st.integers(1, 9)] * 2),
)
def test_pointwise_convolutions_of_one_or_several_maps_are_those_of_pytorch(
    seed: int, batch: int, inputs: int, outputs: int, count: int, size: tuple[int, int]
) -> None:
    # The gradient of BatchNorm over two values that are nearly alike is a rounding error, also PyTorch's.
    assume(batch * size[0] * size[1] >= 8)
    torch.manual_seed(seed)
    module, x = Pointwise(inputs, outputs), maps(batch, inputs, *size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "SMALL", 0)
        agree(lambda: module(x), module, [x])
        agree(lambda: apply(module, FeatureMap(x)), module, [x])
        joined, ends = Joined(range(count), outputs), [maps(batch, outputs, *size) for _ in range(count)]
        agree(lambda: joined(ends, range(count)), joined, ends)


@needs_kernels
def test_they_can_be_differentiated_twice_and_keep_what_is_no_number() -> None:
    torch.manual_seed(0)
    module, x = Separable(8, 8, 1, 3), maps(2, 8, 6, 6)
    found = []
    for there in (native.library(), None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(chain, "library", lambda there=there: there)
            made = module(x)
            (first,) = torch.autograd.grad(made.sin().sum(), x, create_graph=True)
            found.append(torch.autograd.grad(first.pow(2).sum(), [x, *module.parameters()]))
            assert module(torch.where(x > 4, torch.nan, x)).isnan().all(dim=(0, 2, 3)).all()
    for ours, plain in zip(*found, strict=True):
        assert torch.allclose(ours, plain, rtol=1e-3, atol=1e-3 * float(plain.abs().max()))


@needs_kernels
def test_two_threads_give_what_one_gives() -> None:
    module, x = Separable(12, 20, 1, 5), maps(5, 12, 9, 7)
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(results(lambda: module(x), module, [x]))
    finally:
        torch.set_num_threads(before)
    for name in found[0]:
        assert torch.allclose(found[0][name], found[1][name], rtol=1e-4, atol=1e-4), name


@needs_kernels
def test_what_they_are_not_for_is_left_to_pytorch() -> None:
    def made(module: nn.Module, x: Tensor) -> str:
        return type(module(x).grad_fn).__name__

    module, x = Separable(8, 8, 1, 3), maps(2, 8, 6, 6)
    assert "Chain" in made(module, x)
    assert "Chain" not in made(module, x.contiguous())
    assert "Chain" not in made(module.double(), x.double())
    assert "Chain" not in made(module.float().eval(), x)
    assert "Chain" not in made(Separable(6, 8, 1, 3), maps(2, 6, 6, 6))
    assert "Chain" not in made(Pointwise(8, 8), x)  # too small
    assert "Chain" not in made(Separable(8, 8, 1, 3, dilation=2), x)
    assert "Chain" not in made(Separable(8, 8, 2, 3), x)
    with torch.autocast("cpu", torch.bfloat16):
        assert "Chain" not in made(module.train(), x)


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of its own, and nothing remembered."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    native.found.cache_clear()
    native.library.cache_clear()
    yield tmp_path / "archwright"
    native.found.cache_clear()
    native.library.cache_clear()


def test_without_a_compiler_pytorch_runs(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(fresh))
    monkeypatch.delenv("CC", raising=False)
    assert native.found() == (None, "no C compiler")
    module, x = Separable(8, 8, 1, 3), maps(2, 8, 6, 6)
    module(x).sum().backward()
    assert x.grad is not None


def test_a_compiler_that_fails_leaves_nothing_behind(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "false")
    assert native.library() is None
    assert list(fresh.iterdir()) == []


def test_a_folder_that_others_can_write_is_not_used(fresh: Path) -> None:
    fresh.mkdir(mode=0o700)
    fresh.chmod(0o777)
    found, why = native.found()
    assert found is None
    assert "not the user's alone" in why or why == "no C compiler"
    assert list(fresh.iterdir()) == []


@needs_kernels
def test_compiled_kernels_are_kept_for_the_user_alone(fresh: Path) -> None:
    assert native.library() is not None
    (kept,) = fresh.iterdir()
    assert fresh.stat().st_mode & 0o077 == 0
    written = kept.stat().st_mtime_ns
    native.found.cache_clear()
    native.library.cache_clear()
    assert native.library() is not None
    assert kept.stat().st_mtime_ns == written
