"""A trained network as one file of plain PyTorch, with its weights, class names and preprocessing."""

from __future__ import annotations

import builtins
import copy
import inspect
import json
import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from archwright import __version__
from archwright.errors import ConfigError
from archwright.export import template
from archwright.export.classes import Class
from archwright.export.classes import classes as write_classes
from archwright.export.expressions import fold, literal
from archwright.export.tracing import Call, ExportError, trace

if TYPE_CHECKING:
    from archwright.architecture import Architecture
    from archwright.data.images import Preprocessing

MARK = "Written by archwright"
CHECKED = 10  # logits stored per image: enough to notice a difference
RESERVED = {"ARCHITECTURE", "ARCHITECTURE_ID", *dir(builtins), *vars(template)} - {"Model"}

DOCSTRING = '''\
"""A network that sorts images into {classes} classes: plain PyTorch that needs torch and the standard library alone.

From Python:

    import model

    names, probabilities = model.predict(images)  # a tensor [n, {channels}, {height}, {width}], uint8 or float
    network = model.load(device="cuda")  # an nn.Module: network(images) gives logits [n, {classes}]

From the shell, `python model.py` describes the network and checks it against outputs stored when it was written.

Images are raw pixels in the units of the training data{units}; the network
normalises them itself. It can be trained further (`network.train()`): BatchNorm works as it did, but what only acts in
training was left out of this file (dropout, drop path, auxiliary heads). The weights are in model.safetensors.

{mark} {version}{architecture}.
"""'''


@dataclass(frozen=True)
class Source:
    """The text of `model.py`, and the tensors of `model.safetensors` by their names in its state dict."""

    text: str
    state: dict[str, Tensor]


def source(
    model: nn.Module,
    *,
    classes: Sequence[str],
    preprocessing: Preprocessing,
    architecture: Architecture | None = None,
    name: str = "Model",
) -> Source:
    """Write a network that maps preprocessed images to logits as plain PyTorch, as it is in evaluation.

    `name` is the class's. Whatever the class names contain stays data. `model` is not changed.

    Raises:
        ExportError: if the network decides by its input, calls what is not torch's, or gives no logits for `classes`.
    """
    model = evaluated(model)
    if not name.isidentifier() or keyword.iskeyword(name) or name in RESERVED:
        raise ConfigError(f"{name!r} cannot be the name of the exported class; use a Python name such as 'Model'")
    constants = {
        "CLASSES": literal(tuple(map(str, classes))),
        "CHANNELS, HEIGHT, WIDTH": f"{preprocessing.channels}, {preprocessing.height}, {preprocessing.width}",
        "MEAN": literal(tuple(map(float, preprocessing.mean))),
        "STD": literal(tuple(float(value) or 1.0 for value in preprocessing.std)),
    }
    kept = preprocessing.units
    constants["PIXELS"] = literal(() if kept is None else (float(kept.low), float(kept.high)))
    images = preprocessing(check_images(preprocessing))
    with torch.no_grad():
        logits = model(images)
    if not isinstance(logits, Tensor) or logits.shape != (2, len(classes)):
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        wanted = f"(2, {len(classes)}), one logit for each of the {len(classes)} classes"
        raise ExportError(f"for 2 images the network gives {shape}; it must give {wanted}")
    constants |= identity(logits, architecture)
    written, state = write_classes(trace(model, images), name, [*RESERVED])
    network = "\n\n\n".join(_class(part, part is written[-1]) for part in written)
    text = re.sub(r"\bModel\b", name, inspect.getsource(template))
    if not re.search(r"\bF\.", network):
        text = text.replace("import torch.nn.functional as F\n", "")
    scale = preprocessing.file_scale
    units = (
        "(0 to 255, as in an image file)" if scale == 1 else f"(the 0 to 255 of an image file, times {scale or 0:.6g})"
    )
    docstring = DOCSTRING.format(
        classes=len(classes),
        channels=preprocessing.channels,
        height=preprocessing.height,
        width=preprocessing.width,
        units="" if scale is None else f" {units}",
        mark=MARK,
        version=__version__,
        architecture="" if architecture is None else f"; the architecture, {architecture.id}, is below as JSON",
    )
    return Source(filled(text, docstring, constants, network=network), state)


def identity(logits: Tensor, architecture: Architecture | None) -> dict[str, str]:
    """Return the constants that a file is recognised and checked by.

    Raises:
        ExportError: if the logits are not finite.
    """
    if not logits.isfinite().all():
        raise ExportError("the network's logits are not finite; a network that diverged cannot be exported")
    check = tuple(tuple(float(f"{value:.8g}") for value in row) for row in logits[:, :CHECKED].tolist())
    if architecture is None:
        return {"CHECK": literal(check)}
    stored = json.loads(json.dumps(architecture.to_json()))
    return {"CHECK": literal(check), "ARCHITECTURE_ID": literal(architecture.id), "ARCHITECTURE": literal(stored)}


def filled(text: str, docstring: str, constants: dict[str, str], **parts: str) -> str:
    """Give a template its docstring and constants, and `parts` for the code between `# <name>` and `# </name>`."""
    values = "\n".join(fold(f"{name} = {value}", 0) for name, value in constants.items())
    for name, content in {"constants": values, **parts}.items():
        head, rest = text.split(f"# <{name}>\n")
        text = "".join([head, content, "\n", rest.split(f"# </{name}>\n")[1]])
    return f"{docstring}\n\n{text[text.index('from __future__') :]}"


def evaluated(model: nn.Module) -> nn.Module:
    """Copy a model to the CPU, in evaluation mode and float32.

    Raises:
        ExportError: if it has a BatchNorm without running statistics.
    """
    plain = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    own: nn.Module = copy.deepcopy(plain).cpu().float().eval()
    for parameter in own.parameters():
        parameter.data = parameter.data.contiguous()  # channels_last would add in another order
    for path, module in own.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
            raise ExportError(
                f"{path} normalises by the statistics of each batch, so an image's logits would depend on others; "
                "build the network with running statistics (statistics='running') and train it before it is exported"
            )
    return own


def check_images(preprocessing: Preprocessing) -> Tensor:
    """Return the two images that an exported network checks itself with (`largest_difference` in the template)."""
    noise = template.noise(2, preprocessing.channels, preprocessing.height, preprocessing.width)
    std = torch.tensor([value or 1.0 for value in preprocessing.std]).view(-1, 1, 1)
    return noise * std + torch.tensor(preprocessing.mean).view(-1, 1, 1)


def _class(part: Class, whole: bool) -> str:
    settings = "".join(f", {name}: {kind}" for name, kind in part.settings.items())
    lines = [f"class {part.name}(nn.Module):"]
    lines.append(f'    """{"From pixels to logits." if whole else _places(part.parts)}"""')
    if whole or part.attributes:
        lines += ["", fold(f"def __init__(self{settings}) -> None", 4) + ":", "        super().__init__()"]
    if whole:
        for constant in ("mean", "std"):
            values = f"torch.tensor({constant.upper()}).view(-1, 1, 1)"
            lines.append(f'        self.register_buffer("{constant}", {values}, persistent=False)')
    for attribute, layer in part.attributes.items():
        made = layer.write()
        line = f'self.register_buffer("{attribute}", {made})' if layer.buffer else f"self.{attribute} = {made}"
        lines.append(fold(line, 8))
    inputs = "".join(f", {name}: Tensor" for name in part.forward.inputs)
    result = "Tensor" if part.forward.outputs == 1 else "tuple[Tensor, ...]"
    lines += ["", fold(f"def forward(self{inputs}) -> {result}", 4) + ":"]
    if whole:
        lines.append("        x = (x - self.mean) / self.std")
    for statement in part.forward.statements:
        line = fold(f"{', '.join(statement.targets)} = {statement.source}", 8)
        if whole and statement.shape is not None and len(statement.shape) > 1 and len(line) < 90:
            line += f"  # {' x '.join(map(str, statement.shape[1:]))}"
        lines.append(line)
    lines.append(fold(f"return {part.forward.returned}", 8))
    return "\n".join(lines)


def _places(calls: Sequence[Call]) -> str:
    """Where parts are in the network that was trained."""
    places = [re.sub(r"[^\w.]", "_", call.path.partition(".")[2], flags=re.ASCII) for call in calls]
    shown = [place for i, place in enumerate(places) if len(", ".join(places[: i + 1])) < 70] or [places[0][:70]]
    more = f" and {len(places) - len(shown)} more" if len(places) > len(shown) else ""
    return f"{', '.join(shown)}{more} of the network that was trained."
