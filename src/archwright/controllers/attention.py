"""How a hidden state looks back: attention over anchors; and how logits are bounded."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


@dataclass(frozen=True)
class Squash:
    """Bounds logits: constant * tanh(logit / temperature) (ENAS; None leaves a part out)."""

    temperature: float | None
    constant: float | None

    def __call__(self, logits: Float[Tensor, "rows options"]) -> Float[Tensor, "rows options"]:
        """The logits in [-constant, constant]."""
        if self.temperature is not None:
            logits = logits / self.temperature
        return logits if self.constant is None else self.constant * torch.tanh(logits)


class Attention(nn.Module):
    """Scores v^T tanh(W_previous a + W_current h) of anchors a for a hidden state h (Zoph & Le 2017, section 3.3)."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.previous = nn.Parameter(torch.empty(units, units))
        self.current = nn.Parameter(torch.empty(units, units))
        self.score = nn.Parameter(torch.empty(units))

    def keys(self, anchors: Float[Tensor, "anchors units"]) -> Float[Tensor, "anchors units"]:
        """W_previous a: what `forward` compares with."""
        return anchors @ self.previous

    def forward(
        self,
        states: Float[Tensor, "rows units"],
        keys: Float[Tensor, "anchors units"],
        among: Int[Tensor, "rows width"],
    ) -> Float[Tensor, "rows width"]:
        """One score for each row's state with each of the anchors that the row of `among` numbers."""
        compared = keys.index_select(0, among.flatten()).view(*among.shape, len(self.score))
        compared += (states @ self.current).unsqueeze(1)
        scores: Tensor = compared.tanh_() @ self.score
        return scores
