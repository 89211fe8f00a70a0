"""Trained language models as files that need no archwright: PyTorch source with safetensors, programs of one step."""

from __future__ import annotations

import inspect
import json
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from archwright import __version__
from archwright.export import template as images_template
from archwright.export import text_template as template
from archwright.export.cells import cell_source
from archwright.export.expressions import fold, literal
from archwright.export.files import checked_formats, compare, run_source, write_program, write_weights
from archwright.export.model_file import CHECKED, MARK, Source, evaluated
from archwright.export.tracing import ExportError
from archwright.nets.language import LanguageModel

if TYPE_CHECKING:
    from archwright.architecture import Architecture

DOCSTRING = '''\
"""A language model of {tokens:,} {level}: plain PyTorch that needs torch and the standard library alone.

From Python:

    import model

    model.perplexity(text)  # how well a text is predicted
    model.write("some words", count=50)  # go on writing
    network = model.load(device="cuda")  # an nn.Module: logits, states = network(tokens, network.start(batch))

From the shell, `python model.py` describes the model and checks it against outputs stored when it was written;
`python model.py WORDS` goes on writing after the words.

Tokens are numbers, [time, batch]; vocabulary.json has what they stand for. The weights are in model.safetensors. What
only acts in training, dropout, was left out of this file.

{mark} {version}; the architecture, {architecture}, is below as JSON.
"""'''


class Step(nn.Module):
    """One token of each row: what programs for other runtimes have. Tokens [batch], states [batch, n, units]."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [batch, vocabulary] of the next tokens, and the new states."""
        logits, states = self.network.step(tokens, states)
        return logits, states


def export_language_model(
    model: LanguageModel,
    folder: Path,
    *,
    vocabulary: Sequence[str],
    level: str,
    architecture: Architecture,
    formats: Sequence[str] = ("source", "pt2"),
) -> dict[str, Path]:
    """Write a trained language model into `folder` and return the files by what they are.

    "source" is `model.py`, with `model.safetensors` and `vocabulary.json`; "pt2" and "onnx" are programs of one step
    (see `Step`). Each is run before it is kept: its logits must be those of the model. `model` is not changed.

    Raises: as `archwright.export.export`.
    """
    checked_formats(formats, folder)
    written, expected = _source(model, vocabulary, level, architecture)
    tokens = template.check_tokens(len(vocabulary))
    network: Any = run_source(written, "Model")
    compare("the written source", lambda: network(tokens, network.start(2))[0], expected)
    files: dict[str, Path] = {}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as made:
        if "source" in formats:
            for what, name in (("source", "model.py"), ("weights", "model.safetensors"), ("words", "vocabulary.json")):
                files[what] = Path(made, name)
            files["source"].write_text(written.text, encoding="utf-8")
            weights = dict(written.state)
            if network.classify.weight is network.embedding.weight:
                del weights["classify.weight"]  # `load` in the written file knows
            write_weights(weights, files["weights"], architecture)
            files["words"].write_text(json.dumps(list(vocabulary)), encoding="utf-8")
        about = {"level": level, "vocabulary": list(vocabulary), "architecture": architecture.to_json()}
        example = {"tokens": tokens[0], "states": network.start(2)}
        for form in ("pt2", "onnx"):
            if form in formats:
                files[form] = Path(made, f"model.{form}")
                write_program(form, Step(network), example, ("logits", "next_states"), files[form], about)
        if "pt2" in formats:
            step = torch.export.load(files["pt2"]).module()
            compare("model.pt2", lambda: _stepped(step, tokens, network.start(2)), expected)
        return {what: path.replace(folder / path.name) for what, path in files.items()}


def _stepped(step: Callable[..., tuple[Tensor, Tensor]], tokens: Tensor, states: Tensor) -> Tensor:
    logits = []
    for row in tokens:
        made, states = step(row, states)
        logits.append(made)
    return torch.stack(logits)


def _source(
    model: LanguageModel, vocabulary: Sequence[str], level: str, architecture: Architecture
) -> tuple[Source, Tensor]:
    """Return the source and the weights, and the logits of the tokens that it is checked with."""
    if not isinstance(model, LanguageModel):
        raise ExportError(f"a {type(model).__name__} cannot be written as plain PyTorch; archwright predict runs it")
    own: Any = evaluated(model)
    cells = own.recurrent_cells()
    cell, *others = [cell_source(each) for each in cells]
    if any(other.text != cell.text for other in others):
        raise ExportError("the layers have cells of several kinds, so they cannot be written as one")
    with torch.no_grad():
        logits = own(template.check_tokens(len(vocabulary)), own.start(2))[0]
    if not logits.isfinite().all():
        raise ExportError("the model's logits are not finite; a model that diverged cannot be exported")
    tied = own.classify.weight is own.embedding.weight
    sizes = (len(vocabulary), cells[0].units, len(cells), cells[0].states)
    check = tuple(tuple(float(f"{value:.8g}") for value in row) for row in logits[-1, :, :CHECKED].tolist())
    constants = {
        "LEVEL": literal(level),
        "TOKENS, UNITS, LAYERS, STATES": ", ".join(map(str, sizes)),
        "TIED": literal(tied),
        "CHECK": literal(check),
        "ARCHITECTURE_ID": literal(architecture.id),
        "ARCHITECTURE": literal(json.loads(json.dumps(architecture.to_json()))),
    }
    state = {name: value for name, value in own.state_dict().items() if not name.startswith("cells.")}
    for layer, each in enumerate(cells):
        values = dict(each.named_parameters())
        state |= {f"cells.{layer}.{name}": values[place] for name, place in cell.parameters.items()}
    docstring = DOCSTRING.format(
        tokens=len(vocabulary), level=level, mark=MARK, version=__version__, architecture=architecture.id
    )
    return Source(_file(docstring, constants, cell.text), state), logits


def _file(docstring: str, constants: dict[str, str], cell: str) -> str:
    text, images = inspect.getsource(template), inspect.getsource(images_template)
    text = text[text.index("from __future__") :]
    text = text.replace("from archwright.export.template import read_safetensors\n\n", "")
    shared = "import struct\nimport sys\nfrom collections.abc import Sequence\n"  # imports of what is put in below
    text = text.replace("import sys\n", shared).replace("import Path\n", "import Path\nfrom typing import NamedTuple\n")
    dtypes = images[images.index("DTYPES = {") : images.index("}\n") + 2]
    text = text.replace("# <shared/>\n", f"{dtypes}\n\n{inspect.getsource(images_template.read_safetensors)}")
    values = "".join(fold(f"{name} = {value}", 0) + "\n" for name, value in constants.items())
    text = re.sub(r"# <constants>\n.*# </constants>\n", lambda _: values, text, flags=re.DOTALL)
    text = re.sub(r"# <cell>\n.*\n\n# </cell>\n", lambda _: f"{cell}\n", text, flags=re.DOTALL)
    return f"{docstring}\n\n{text}"
