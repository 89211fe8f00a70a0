"""Results that papers report: points to plot beside one's own, where the data set is the same."""

from __future__ import annotations

from archwright.report.tradeoff import Point

CIFAR_10 = frozenset(("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"))
CIFAR_TEST, IMAGENET_CLASSES, IMAGENET_TEST = 10_000, 1000, 50_000


def _reported(name: str, accuracy: float, parameters: float, multiply_adds: float | None = None) -> Point:
    return Point(name, "published", accuracy, None, parameters, multiply_adds)


# Zoph et al. 2018, tables 1 to 3.
NASNET_ON_CIFAR_10 = (
    _reported("NASNet-A (6 @ 768)", 0.9659, 3.3e6),
    _reported("NASNet-A (6 @ 768) + cutout", 0.9735, 3.3e6),
    _reported("NASNet-A (7 @ 2304)", 0.9703, 27.6e6),
    _reported("NASNet-A (7 @ 2304) + cutout", 0.9760, 27.6e6),
    _reported("NASNet-B (4 @ 1152)", 0.9627, 2.6e6),
    _reported("NASNet-C (4 @ 640)", 0.9641, 3.1e6),
)
NASNET_ON_IMAGENET = (
    _reported("NASNet-A (4 @ 1056), 224 px", 0.740, 5.3e6, 564e6),
    _reported("NASNet-B (4 @ 1536), 224 px", 0.728, 5.3e6, 488e6),
    _reported("NASNet-C (3 @ 960), 224 px", 0.725, 4.9e6, 558e6),
    _reported("NASNet-A (5 @ 1538), 299 px", 0.786, 10.9e6, 2.35e9),
    _reported("NASNet-A (7 @ 1920), 299 px", 0.808, 22.6e6, 4.93e9),
    _reported("NASNet-A (6 @ 4032), 331 px", 0.827, 88.9e6, 23.8e9),
)


def reported(classes: frozenset[str], test_images: int) -> tuple[Point, ...]:
    """Return the published networks for a data set, recognised by its classes and the size of its test part."""
    if {name.lower() for name in classes} == CIFAR_10 and test_images == CIFAR_TEST:
        return NASNET_ON_CIFAR_10
    if len(classes) == IMAGENET_CLASSES and test_images == IMAGENET_TEST:
        return NASNET_ON_IMAGENET
    return ()
