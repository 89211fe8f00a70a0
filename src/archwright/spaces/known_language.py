"""Language models that people know, as architectures of the space `Recurrent`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from archwright.errors import SpaceError, offered
from archwright.space import Architecture, replay
from archwright.spaces.nas_recurrent import NAS_CELL, NasRecurrent
from archwright.spaces.settings import nearest

TREE = "tree"  # the kind of cell that NAS's decisions describe


@dataclass(frozen=True)
class Known:
    """A known language model at its published width. `parameters`: with a vocabulary of 10,000."""

    paper: str
    parameters: int
    cell: str
    layers: int
    units: int
    dropout: float
    tied: bool = True


KNOWN = {
    "lstm": Known("Inan et al. 2017: an LSTM whose classifier is the embedding", 13_136_400, "lstm", 1, 800, 0.5),
    "lstm-2": Known("two layers of it", 18_262_800, "lstm", 2, 800, 0.5),
    "gru": Known("Cho et al. 2014", 11_854_800, "gru", 1, 800, 0.5),
    "nascell": Known("Zoph & Le 2017, NASCell", 18_250_000, TREE, 1, 800, 0.5),
    # Zaremba et al. 2014 have one bias a gate, PyTorch's LSTM two: 4,651,600, 19,775,200 and 66,022,000.
    "zaremba-small": Known("Zaremba et al. 2014, small", 4_653_200, "lstm", 2, 200, 0.0, tied=False),
    "zaremba-medium": Known("Zaremba et al. 2014, medium", 19_780_400, "lstm", 2, 650, 0.5, tied=False),
    "zaremba-large": Known("Zaremba et al. 2014, large", 66_034_000, "lstm", 2, 1500, 0.65, tied=False),
}


def dropout_for(layers: int, units: int, read: float) -> float:
    """Return the dropout of a model that reads each token of the training part `read` times a token of it.

    That is passes divided by tokens. The more weights in its layers, and the more often it reads a small text, the more
    it drops: 0.5 and 0.65 for Zaremba's medium and large models of Penn Treebank, 0.2 for the small one (which has 0
    there, and learns by heart).
    """
    learned = 8 * layers * units**2 * read
    return 0.2 + 0.19 * math.log10(max(learned, 1e-3) / 9)


# With these a race begins; the first one stays to its last heat.
RACING = ("lstm", "lstm-2", "gru", "nascell")


def known(
    name: str,
    space: Any,
    *,
    width: float = 1.0,
    dropout: float | None = None,
    read: float | None = None,
    optimizer: str = "sgd",
    rate: float = 20.0,  # Zaremba et al. 2014, for the mean over 20 tokens
    batch: int = 20,  # the same
    length: int = 35,  # the same
) -> Architecture:
    """Return a known language model as an architecture of a space of `Recurrent`, its units multiplied by `width`.

    Numbers become the nearest options of the space. `dropout` None is the published one, or, with `read`, that of
    `dropout_for`. Raises SpaceError if none is
    called so, and UnknownOption if the space lacks its cell.
    """
    if name not in KNOWN:
        raise SpaceError(f"{name!r} is not a known language model; {offered(name, KNOWN)}")
    network = KNOWN[name]
    layers, units = nearest(space.depths, network.layers), nearest(space.widths, width * network.units)
    if dropout is None:
        dropout = network.dropout if read is None else dropout_for(layers, units, read)
    share = nearest(space.dropouts, dropout)
    answers: dict[str, Any] = {
        **{"cell": network.cell, "layers": layers, "units": units},
        "tied": network.tied if network.tied in space.ties else space.ties[0],
        **{"input": share, "output": share},
        **dict.fromkeys(("hidden", "words"), nearest(space.dropouts, 0.0)),
    }
    if network.cell == TREE:
        answers |= dict(NasRecurrent().from_tokens(NAS_CELL).answers)
    if space.training:
        answers |= {"optimizer": optimizer, "rate": nearest(space.rates, rate)}
        answers |= {"batch": nearest(space.batches, batch), "length": nearest(space.lengths, length)}
    return replay(space, answers)
