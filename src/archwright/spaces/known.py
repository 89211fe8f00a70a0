"""Networks that people know, as architectures of the space `Stages`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from archwright.errors import SpaceError, offered
from archwright.space import Architecture, replay
from archwright.spaces.settings import nearest


@dataclass(frozen=True)
class Known:
    """A known network at its published width, for images of 32 pixels. `parameters`: with 3 channels and 10 classes.

    `stages`, separated by commas: width, kind, number of blocks, halving, and the kernel's side if it is not 3.
    """

    paper: str
    parameters: int
    stem: int
    stages: str
    order: str = "after"
    head: str = "average"
    activation: str = "relu"


KNOWN = {
    "resnet9": Known(  # Page's own has no bias in the classifier: 6,573,120
        *("Page 2018, How to train your ResNet", 6_573_130, 64),
        "128 conv-residual 1 late-max, 256 plain 1 late-max, 512 conv-residual 1 late-max",
        *("inside", "max"),
    ),
    "resnet9-gelu": Known(  # better than with ReLU in equal time: docs/value.md
        *("ResNet-9 with the activation of airbench's networks (Jordan 2024)", 6_573_130, 64),
        "128 conv-residual 1 late-max, 256 plain 1 late-max, 512 conv-residual 1 late-max",
        *("inside", "max", "gelu"),
    ),
    # The published one begins with 24 filters of 2x2 that are set from data; counted like this it has 1,972,792.
    "airbench94": Known(
        *("Jordan 2024, 94% on CIFAR-10 in 3.29 seconds", 1_973_186, 24),
        "64 plain 2 late-max, 256 plain 2 late-max, 256 plain 2 late-max",
        *("inside", "max", "gelu"),
    ),
    "resnet20": Known(
        *("He et al. 2016, Deep Residual Learning", 269_722, 16),
        "16 residual 3 none, 32 residual 3 stride, 64 residual 3 stride",
    ),
    "wrn-16-4": Known(
        *("Zagoruyko & Komodakis 2016, Wide Residual Networks", 2_748_890, 16),
        "64 residual 2 none, 128 residual 2 stride, 256 residual 2 stride",
        "before",
    ),
    # Usual VGGs for CIFAR-10 have biases before BatchNorm too: 9,231,114 and 14,728,266. The last pool is the head.
    "vgg11": Known(
        *("Simonyan & Zisserman 2015, A with BatchNorm and one linear layer", 9_228_362, 64),
        "128 plain 1 max, 256 plain 2 max, 512 plain 2 max, 512 plain 2 max",
        head="max",
    ),
    "vgg16": Known(
        *("Simonyan & Zisserman 2015, D with BatchNorm and one linear layer", 14_724_042, 64),
        "64 plain 1 none, 128 plain 2 max, 256 plain 3 max, 512 plain 3 max, 512 plain 3 max",
        head="max",
    ),
    # Two halvings instead of the five that 224 pixels have; the size is the same. ReLU stands for ReLU6.
    "mobilenetv2": Known(
        *("Sandler et al. 2018, MobileNetV2", 2_236_682, 32),
        "16 inverted-1 1 none, 24 inverted-6 2 none, 32 inverted-6 3 stride, 64 inverted-6 4 stride, "
        "96 inverted-6 3 none, 160 inverted-6 3 stride, 320 inverted-6 1 none, 1280 plain 1 none 1",
    ),
}

# With these a race begins; the first one stays to its last heat.
RACING = ("resnet9-gelu", "airbench94", "resnet9", "vgg11", "wrn-16-4", "resnet20", "mobilenetv2")


def known(
    name: str,
    space: Any,
    *,
    width: float = 1.0,
    rate: float = 0.1,  # He et al. 2016a
    weight_decay: float = 5e-4,  # Zagoruyko & Komodakis 2016
    batch: int = 128,  # both
    smoothing: float = 0.1,  # Szegedy et al. 2016
    augment: float = 1.0,
) -> Architecture:
    """Return a known network as an architecture of a space of `Stages`, every width multiplied by `width`.

    Widths, and what says how it is trained, become the nearest options of the space. Raises SpaceError if no network is
    called so, and UnknownOption if the space lacks something of it.
    """
    if name not in KNOWN:
        raise SpaceError(f"{name!r} is not a known network; {offered(name, KNOWN)}")
    network = KNOWN[name]
    stages = [stage.split() for stage in network.stages.split(",")]
    answers: dict[str, Any] = {
        "stem": nearest(space.widths, width * network.stem),
        "stages": len(stages),
        "order": network.order,
        "head": network.head,
    }
    if space.training:
        given = {"rate": rate, "weight_decay": weight_decay, "batch": batch, "smoothing": smoothing, "augment": augment}
        answers |= {word: nearest(space.vocabularies[word], value) for word, value in given.items()}
    for number, (wide, kind, blocks, halving, *kernel) in enumerate(stages, start=1):
        stage = {"width": nearest(space.widths, width * int(wide)), "kind": kind, "blocks": int(blocks)}
        stage |= {"halving": halving, "kernel": int(*kernel or "3"), "excite": False, "activation": network.activation}
        answers |= {f"{number}/{word}": answer for word, answer in stage.items()}
    return replay(space, answers)
