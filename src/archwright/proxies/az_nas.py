"""The zero-cost scores of AZ-NAS (Lee & Ham 2024): of the feature maps between a network's blocks, for random inputs.

Blocks are the stem and the members of the network's own lists of modules (cells, layers, reductions), in the order in
which they run. BatchNorm uses the statistics of the batch.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from archwright.proxies.untrained import tensor_of

if TYPE_CHECKING:
    from archwright.proxies.untrained import Untrained

EXAMPLES = 16  # random inputs
DEAD = -10.0  # trainability of a block through which no gradient comes, or every one unchanged


def expressivity(one: Untrained) -> float:
    """Return the sum over blocks of `entropy`: how evenly they use their channels."""
    return sum(map(entropy, features(one)))


def progressivity(one: Untrained) -> float:
    """Return the least gain in `entropy` from one block to the next."""
    found = [entropy(maps) for maps in features(one)]
    return min((after - before for before, after in pairwise(found)), default=0.0)


def trainability(one: Untrained) -> float:
    """Return the mean over blocks of 2 - s - 1/s, s the spectral norm of the estimated Jacobian: 0 where it is 1."""
    maps, found = features(one), []
    with one.drawing():
        for before, after in pairwise(maps):
            sent = torch.randint(0, 2, after.shape).to(after.dtype) * 2 - 1
            received: Tensor | None = torch.autograd.grad(after, before, sent, retain_graph=True, allow_unused=True)[0]
            found.append(DEAD if received is None else _stability(sent, received))
    return sum(found) / max(1, len(found))


def entropy(maps: Float[Tensor, "batch channels *sides"]) -> float:
    """Return the entropy in nats of the variances along the principal components of the channels."""
    rows = _rows(maps.detach()).double()
    variances = torch.linalg.eigvalsh(torch.cov(rows.T)).clamp_min(0)
    shares = variances / variances.sum().clamp_min(1e-30)
    return float(torch.special.entr(shares).sum())


def features(one: Untrained) -> list[Tensor]:
    """Return what the blocks make of random inputs, with the graph of the computation."""
    if "features" not in one.shared:
        one.shared["features"] = _features(one)
    found: list[Tensor] = one.shared["features"]
    return found


def _features(one: Untrained) -> list[Tensor]:
    network, found = copy.deepcopy(one.network).eval(), list[Tensor]()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    lists = (child for child in network.children() if isinstance(child, nn.ModuleList))
    stem = getattr(network, "stem", None)
    blocks = [*([] if stem is None else [stem]), *(block for members in lists for block in members)]

    def keep(module: nn.Module, read: Any, made: Any) -> None:
        found.append(tensor_of(made))

    for block in blocks:
        block.register_forward_hook(keep)
    with torch.enable_grad():
        network(*one.inputs(network, EXAMPLES))
    return found


def _stability(sent: Tensor, received: Tensor) -> float:
    if received.dim() == 4 and received.shape[2:] != sent.shape[2:]:
        side = -(-received.shape[2] // sent.shape[2])
        height, width = (side * pixels for pixels in sent.shape[2:])
        padded = functional.pad(received, (0, width - received.shape[3], 0, height - received.shape[2]))
        received = functional.pixel_unshuffle(padded, side)
    if received.shape == sent.shape and bool((received == sent).all()):
        return DEAD
    rows = _rows(sent)
    norm = float(torch.linalg.matrix_norm(rows.T @ _rows(received) / len(rows), 2))
    return max(DEAD, 2 - norm - 1 / max(norm, 1e-6))


def _rows(maps: Tensor) -> Float[Tensor, "rows channels"]:
    """Return a row of channels for each pixel; those of text, [time, batch, channels], are the last dimension."""
    return (maps.movedim(1, -1) if maps.dim() == 4 else maps).flatten(0, -2)
