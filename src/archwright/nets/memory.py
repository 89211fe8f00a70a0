"""What a language model remembers of the text that it has just read. Exported models contain this source.

So it imports torch alone, and shapes are in the docstrings.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TextMemory(nn.Module):
    """A continuous cache (Grave, Joulin & Usunier 2017): tokens that followed similar outputs are expected again.

    The last `size` outputs h_i of the model are remembered with the token w_i after each: a memory is the outputs
    [batch, size, units] and the tokens [batch, size], -1 where there is none yet. Beside the model's own probabilities,
    a token has a `share` of softmax_i(`sharpness` h . h_i), summed over those i where w_i is the token. Both are fitted
    after training.
    """

    share: Tensor
    sharpness: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("share", torch.zeros(()))
        self.register_buffer("sharpness", torch.zeros(()))

    def start(self, batch: int, units: int) -> tuple[Tensor, Tensor]:
        """Return an empty memory."""
        outputs = self.share.new_zeros(batch, self.size, units)
        return outputs, torch.full((batch, self.size), -1, device=outputs.device)

    def forward(
        self, logits: Tensor, outputs: Tensor, before: Tensor, tokens: Tensor, memory: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return logits of the mixture, and the memory to go on with.

        Logits are [time, batch, vocabulary], outputs [time, batch, units], tokens [time, batch]; `before` is the output
        before the first token, [batch, units].
        """
        similar, known, words, memory = self.recall(outputs, before, tokens, memory)
        weights = weighed(similar, known, self.sharpness)
        places = words.clamp(min=0)[None].expand(len(outputs), -1, -1)
        own = logits.to(weights.dtype).log_softmax(2) + torch.log1p(-self.share)
        # Only what is remembered changes: few places of a large vocabulary.
        remembered = torch.zeros_like(own).scatter_add(2, places, weights).gather(2, places)
        mixed = torch.logaddexp(own.gather(2, places), torch.log(self.share * remembered))
        return own.scatter(2, places, mixed), memory

    def recall(
        self, outputs: Tensor, before: Tensor, tokens: Tensor, memory: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Return how similar outputs are to earlier ones, which they know, the tokens of those, and the new memory.

        The first two are [time, batch, size + time], the tokens [batch, size + time]. Not known is what lies before the
        text, further back than `size`, or ahead.
        """
        time = len(outputs)
        followed = torch.cat([before[None], outputs])[:time].transpose(0, 1)
        earlier = torch.cat([memory[0], followed], dim=1)
        words = torch.cat([memory[1], tokens.t()], dim=1)
        place = torch.arange(self.size + time, device=words.device)
        now = torch.arange(time, device=words.device)[:, None]
        known = ((place > now) & (place <= now + self.size))[:, None] & (words >= 0)
        similar = torch.bmm(outputs.transpose(0, 1), earlier.transpose(1, 2)).transpose(0, 1)
        return similar, known, words, (earlier[:, time:], words[:, time:])


def memory_of(model: nn.Module) -> TextMemory | None:
    """Return the memory of a language model, or None: one of a user's own has none."""
    return getattr(model, "memory", None)


def weighed(similar: Tensor, known: Tensor, sharpness: Tensor) -> Tensor:
    """Return the weight of each remembered token; an output knows one at least, that which it has just read."""
    return (sharpness * similar).masked_fill(~known, -torch.inf).softmax(2)
