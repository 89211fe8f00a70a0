"""What every exported `model.py` contains. `model_file.py` fills in this docstring, the constants and the network."""

from __future__ import annotations

import functools
import json
import math
import struct
import sys
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# <constants>
CLASSES: tuple[str, ...] = ("a", "b")
CHANNELS, HEIGHT, WIDTH = 1, 1, 1
MEAN: tuple[float, ...] = (0.0,)
STD: tuple[float, ...] = (1.0,)
PIXELS: tuple[float, ...] = (0.0, 255.0)
CHECK: tuple[tuple[float, ...], ...] = ((0.0, 0.0),)
# </constants>

WEIGHTS = Path(__file__).with_name("model.safetensors")
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


# <network>
class Model(nn.Module):
    """Stands for the network."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Pixels to logits."""
        return F.relu(x)


# </network>


def load(weights: str | Path = WEIGHTS, device: str | torch.device = "cpu") -> Model:
    """Load the network with its weights, ready to classify: `load()(images)` gives logits [n, classes]."""
    network = Model()
    network.load_state_dict(read_safetensors(weights))
    return network.eval().to(device)


def predict(images: Tensor, network: Model | None = None, batch: int = 256) -> tuple[list[str], Tensor]:
    """Classify images [n, channels, height, width]: return class names and probabilities [n, classes].

    Images are uint8 or float: raw pixels in the units of the training data, PIXELS. Images in other units are a
    ValueError, or a warning where that is not certain. Without `network`, the weights beside this file are loaded once.
    """
    if images.ndim != 4 or tuple(images.shape[1:]) != (CHANNELS, HEIGHT, WIDTH):
        raise ValueError(f"images have shape {tuple(images.shape)}; it must be (n, {CHANNELS}, {HEIGHT}, {WIDTH})")
    check_units(images)
    network = _stored() if network is None else network
    device = next(network.parameters()).device
    with torch.no_grad():
        parts = [network(part.to(device).float()).softmax(1).cpu() for part in torch.split(images, batch)]
    probabilities = torch.cat(parts)
    return [CLASSES[index] for index in probabilities.argmax(1).tolist()], probabilities


def check_units(images: Tensor) -> None:
    """Compare the values with PIXELS: black and white in training, or the lowest and highest value there, if known."""
    if not PIXELS or not images.numel():
        return
    (black, white), low, high = PIXELS, float(images.min()), float(images.max())
    width = white - black if white > black else 1.0
    beyond = max(black - low, high - white) / width
    said = f"values are {low:g} to {high:g}, and in training they were {black:g} to {white:g}"
    if not beyond <= (0.5 if black == 0 and white in (1, 255) else 4):
        raise ValueError(f"{said}; bring them to that range")
    if beyond > 0.01 or (low < high and high - black <= width / 16):
        warnings.warn(f"{said}: are they in other units?", stacklevel=3)


@functools.cache
def _stored() -> Model:
    return load()


def read_safetensors(path: str | Path) -> dict[str, Tensor]:
    """Read a safetensors file: a length, a JSON header, then numbers. Nothing in it can run code."""
    data = Path(path).read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:start])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            values = bytearray(data[start + begin : start + end])
            dtype = DTYPES[entry["dtype"]]
            flat = torch.frombuffer(values, dtype=dtype) if values else torch.empty(0, dtype=dtype)
            tensors[name] = flat.reshape(entry["shape"])
    return tensors


def noise(*shape: int) -> Tensor:
    """Numbers from -2 to 2 that look random and are equal on every machine."""
    bits = torch.arange(math.prod(shape)) * 2654435761 % 2**32
    bits = (bits ^ (bits >> 15)) * 2246822519 % 2**32
    return ((bits ^ (bits >> 13)) % 2**16 / 2**14 - 2).view(shape)


def largest_difference(network: Model) -> float:
    """How far the logits of two images of noise are from those in CHECK, relative to the largest of them."""
    images = noise(2, CHANNELS, HEIGHT, WIDTH) * torch.tensor(STD).view(-1, 1, 1) + torch.tensor(MEAN).view(-1, 1, 1)
    expected = torch.tensor(CHECK)
    with torch.no_grad():
        logits = network(images)[:, : expected.shape[1]]
    return float((logits - expected).abs().max() / expected.abs().max().clamp(min=1))


def main() -> int:
    """Describe the network and check it; 1 if it does not give the outputs that it gave when it was written."""
    network = load()
    encoding = sys.stdout.encoding or "utf-8"
    names = ", ".join(map(repr, CLASSES)).encode(encoding, "backslashreplace").decode(encoding)
    print(f"classes     {len(CLASSES)}: {names}")
    print(f"input       {CHANNELS} x {HEIGHT} x {WIDTH}, raw pixels (mean {MEAN}, std {STD})")
    if PIXELS:
        print(f"pixels      {' to '.join(f'{value:g}' for value in PIXELS)} in training")
    print(f"parameters  {sum(parameter.numel() for parameter in network.parameters()):,}")
    difference = largest_difference(network)
    passed = difference < 1e-4
    print(f"self-check  {'passed' if passed else 'FAILED'}: outputs differ by {difference:.1e} from those stored")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
