"""How fast weights are forgotten, by how often a network sees its examples."""

from __future__ import annotations

import math

MEMORY = 3.5


def usual_weight_decay(learning_rate: float, per_epoch: int, passes: float) -> float:
    """Return the weight decay of SGD for `passes` over the training part, in `per_epoch` steps each.

    A step leaves 1 - rate x decay of a weight, so weights remember 1 / (rate x decay) steps. Counted in passes that is
    what the best decay keeps when batch and data change (Wang & Aitchison 2024). Here it is `MEMORY` times the root of
    all passes: 5e-4 for the 200 passes over CIFAR-10 in batches of 128 that are usual (Zagoruyko & Komodakis 2016, at
    a rate of 0.1), more where steps are few (docs/value.md).
    """
    return 1 / (learning_rate * per_epoch * MEMORY * math.sqrt(passes))
