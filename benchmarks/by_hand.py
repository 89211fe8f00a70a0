"""A network that a person would write by hand, trained for so many seconds in all and tested: value.py's reference.

    python benchmarks/by_hand.py --data PATH --seconds T --net resnet9-16

`--net`: `resnet9-WIDTH` (the fast residual network of nine layers that hand-made records on CIFAR-10 use),
`resnet20`, `resnet32`, ... (He et al. 2016, section 4.2; `-WIDTH` may follow), `svm` (scikit-learn's), `lstm-UNITS`
and `lstm-UNITSxLAYERS` (text). Data are read and split by archwright's own loader, so that all contestants have the
same three parts for a seed. The clock starts with the process and decides: the schedule follows it, so that the time
is kept whatever the machine does. The last line is one JSON object. `--onnx FILE` keeps the trained network.
"""

# ruff: noqa: E402
from __future__ import annotations

import time

BEGAN = time.monotonic()  # before the imports, which take seconds

import argparse
import json
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from archwright.data.images import ImageData
from archwright.data.sources import load
from archwright.data.text import is_text, load_text
from by_hand_clock import Clock

RESERVE = 2.0  # seconds for what comes after the test


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Residual(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(convolution(channels, channels), convolution(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class Basic(nn.Module):
    """The block of ResNet-20: new channels of the way around are zeros (He et al. 2016, option A)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = convolution(inputs, outputs, stride)
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.stride, self.added = stride, outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        around = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))
        return functional.relu(self.second(self.first(x)) + around)


def resnet9(channels: int, width: int, classes: int, size: int) -> nn.Sequential:
    """ResNet-9 with `width` channels after the stem and eight times as many at the end."""
    return nn.Sequential(
        *(convolution(channels, width), convolution(width, 2 * width), nn.MaxPool2d(2), Residual(2 * width)),
        *(convolution(2 * width, 4 * width), nn.MaxPool2d(2), convolution(4 * width, 8 * width)),
        nn.MaxPool2d(2) if size >= 16 else nn.Identity(),
        *(Residual(8 * width), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8 * width, classes)),
    )


def resnet(depth: int, channels: int, width: int, classes: int) -> nn.Sequential:
    """ResNet of 6n + 2 layers for small images."""
    if (depth - 2) % 6:
        raise SystemExit(f"resnet{depth}: the depth must be 9, or 6n + 2, such as 20 and 32")
    layers: list[nn.Module] = [convolution(channels, width)]
    inputs = width
    for stage in range(3):
        for block in range((depth - 2) // 6):
            layers.append(Basic(inputs, width << stage, 2 if stage and not block else 1))
            inputs = width << stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def network(name: str, channels: int, classes: int, size: int) -> nn.Sequential:
    """The network of this name."""
    found = re.fullmatch(r"resnet(\d+)(?:-(\d+))?", name)
    if found is None:
        raise SystemExit(f"{name}: no network for images; there are resnet9-WIDTH, resnet20, resnet32, ... and svm")
    depth, width = int(found[1]), int(found[2] or 16)
    return resnet9(channels, width, classes, size) if depth == 9 else resnet(depth, channels, width, classes)


def one_cycle(progress: float) -> float:
    """The rate's share of its peak: up in a fifth of the time, then down to zero."""
    return progress / 0.2 if progress < 0.2 else (1 - progress) / 0.8


def augmented(x: Tensor, *, flip: bool, shift: bool) -> Tensor:
    """A batch shifted by up to an eighth, all images alike, and each flipped or not."""
    _, _, height, width = x.shape
    most = height // 8 * shift
    down, right = torch.randint(2 * most + 1, (2,)).tolist()
    x = functional.pad(x, (most,) * 4, mode="reflect")[:, :, down : down + height, right : right + width]
    if flip:
        x = torch.where((torch.rand(len(x)) < 0.5)[:, None, None, None], x.flip(3), x)
    return x.contiguous(memory_format=torch.channels_last)


def train_images(data: ImageData, given: argparse.Namespace) -> dict[str, Any]:
    """Train a network with one-cycle SGD until there is just time for the test, and test it."""
    x, test = (data.preprocessing(p.x).contiguous(memory_format=torch.channels_last) for p in (data.train, data.test))
    y, flip, batch = data.train.y, data.task.channels == 3 if given.flip is None else given.flip, given.batch
    net = network(given.net, data.task.channels, len(data.classes), data.task.height)
    net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), given.lr, momentum=0.9, nesterov=True, weight_decay=5e-4)

    def step(index: Tensor, rate: float) -> None:
        optimizer.param_groups[0]["lr"] = rate
        loss = functional.cross_entropy(
            net(augmented(x[index], flip=flip, shift=given.shift)), y[index], label_smoothing=0.1
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(10):
        step(torch.randint(len(x), (batch,)), 1e-3)
    testing = _seconds_of(net, test[:500]) * len(test) / 500
    now = time.process_time if given.processor else time.monotonic
    clock, steps, used = Clock(BEGAN + given.seconds - 1.2 * testing - RESERVE, now), 0, len(x)
    while (progress := clock.progress()) < 1:
        if used + batch > len(x):
            order, used = torch.randperm(len(x)), 0
        step(order[used : used + batch], given.lr * one_cycle(progress))
        used += batch
        steps += 1
    net.eval()
    with torch.no_grad():
        right = sum(
            int((net(images).argmax(1) == labels).sum())
            for images, labels in zip(test.split(500), data.test.y.split(500), strict=True)
        )
    found = {
        "parameters": sum(p.numel() for p in net.parameters()),
        "epochs": round(steps * min(batch, len(x)) / len(x), 2),
        "test_accuracy": right / len(test),
        "seconds": round(time.monotonic() - BEGAN, 1),
    }
    if given.onnx is not None:  # after the clock: a person would write it once
        write(net, data, given.onnx)
    return found


class Raw(nn.Module):
    """A network of raw pixels, normalised inside as those that archwright exports are."""

    def __init__(self, net: nn.Module, data: ImageData) -> None:
        super().__init__()
        self.net, (mean, std) = net, (data.preprocessing.mean, data.preprocessing.std)
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor([value or 1.0 for value in std]).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.net((images.float() - self.mean) / self.std)  # type: ignore[no-any-return]


def write(net: nn.Module, data: ImageData, path: Path) -> None:
    """Write a trained network as ONNX, as archwright writes its own."""
    from archwright.export.program import Program, write_onnx

    images = data.test.x[:2].float()
    source = Raw(net.to(memory_format=torch.contiguous_format), data).eval()
    write_onnx(Program(source, {"images": images}, ("logits",), {}), path)


def _seconds_of(net: nn.Module, x: Tensor) -> float:
    net.eval()
    began = time.monotonic()
    with torch.no_grad():
        net(x)
    net.train()
    return time.monotonic() - began


def train_svm(data: ImageData, given: argparse.Namespace) -> dict[str, Any]:
    """Train a support vector machine: gamma and C chosen in validation, then trained on both parts. Takes its time."""
    from sklearn.svm import SVC

    parts = {name: (data.preprocessing(part.x).flatten(1).numpy(), part.y.numpy()) for name, part in data.parts.items()}
    usual = 1 / parts["train"][0].shape[1]  # the pixels' variance is 1
    machines = [SVC(gamma=usual * factor, C=c) for factor in (0.5, 1, 2, 4) for c in (1, 10)]
    best = max(machines, key=lambda machine: machine.fit(*parts["train"]).score(*parts["validation"]))
    both = [torch.cat([torch.from_numpy(parts[name][i]) for name in ("train", "validation")]).numpy() for i in (0, 1)]
    best.fit(*both)
    return {"parameters": best.support_vectors_.size, "epochs": None, "test_accuracy": best.score(*parts["test"])}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="as archwright search takes it")
    parser.add_argument("--seconds", type=float, default=1200, help="from the start of the process to its end")
    parser.add_argument("--net", required=True)
    parser.add_argument("--batch", type=int, default=128, help="images")
    parser.add_argument("--lr", type=float, default=0.2, help="the peak, of image networks")
    parser.add_argument("--flip", action=argparse.BooleanOptionalAction, help="mirror images; default: colour ones")
    parser.add_argument("--shift", action=argparse.BooleanOptionalAction, default=True, help="move images a little")
    parser.add_argument("--limit", type=int, help="at most so many training images")
    parser.add_argument("--onnx", type=Path, metavar="FILE", help="keep the network as ONNX, written after the clock")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    given = parser.parse_args(arguments)
    given.processor = False  # seconds are those of the clock on the wall; grammar.py counts the processor's
    torch.manual_seed(given.seed)
    torch.set_num_threads(given.threads)
    if is_text(given.data):
        from by_hand_text import train_text

        found = train_text(load_text(given.data, limit=given.limit), given.net, BEGAN + given.seconds - RESERVE)
    else:
        train = train_svm if given.net == "svm" else train_images
        found = train(load(given.data, seed=given.seed, limit=given.limit), given)
    score = next(value for name, value in found.items() if name.startswith("test_"))
    if not math.isfinite(score):
        raise SystemExit(f"{given.net}: the training diverged")
    print(json.dumps({"net": given.net, "seconds": round(time.monotonic() - BEGAN, 1), **found}))


if __name__ == "__main__":
    main()
