"""Trained language models as files that need no archwright: PyTorch source with safetensors, programs of one step."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from archwright import __version__
from archwright.export import template as images_template
from archwright.export import text_template as template
from archwright.export.cells import cell_source
from archwright.export.expressions import literal
from archwright.export.files import Calibration, checked_formats, compare, run_source, weights, write_files
from archwright.export.model_file import MARK, Source, evaluated, filled, identity
from archwright.export.program import Program
from archwright.export.tracing import ExportError
from archwright.nets import memory
from archwright.nets.language import LanguageModel

if TYPE_CHECKING:
    from archwright.architecture import Architecture

STATES = ("states", "outputs", "words")  # of a program: the last two are the memory's
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
    """One token of each row: what programs for other runtimes have.

    Tokens are [batch], states [batch, n, units]. A model with a memory reads and gives that, too: outputs
    [batch, remembered, units], and words [batch, remembered].
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, tokens: Tensor, states: Tensor, outputs: Tensor | None = None, words: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Logits [batch, vocabulary] of the next tokens, and the new states."""
        given = (states,) if outputs is None or words is None else (states, outputs, words)
        logits, ends = self.network.step(tokens, given)
        return logits, *ends


def export_language_model(
    model: LanguageModel,
    folder: Path,
    *,
    vocabulary: Sequence[str],
    level: str,
    architecture: Architecture,
    formats: Sequence[str] = ("source", "pt2"),
    calibration: Calibration | None = None,
) -> dict[str, Path]:
    """Write a trained language model into `folder` and return the files by what they are.

    "source" is `model.py`, with `model.safetensors` and `vocabulary.json`; "pt2", "onnx" and "int8" are programs of one
    step (see `Step`). Each is run before it is kept: its logits must be those of the model. `model` is not changed.

    Raises: as `archwright.export.export`.
    """
    checked_formats(formats, folder, calibration)
    written, expected = _source(model, vocabulary, level, architecture)
    tokens = template.check_tokens(len(vocabulary))
    network: Any = run_source(written, "Model")
    compare("the written source", lambda: network(tokens, network.start(2))[0], expected)
    state = dict(written.state)
    if network.classify.weight is network.embedding.weight:
        del state["classify.weight"]  # `load` in the written file knows
    sources = {
        "source": ("model.py", written.text.encode()),
        "weights": ("model.safetensors", weights(state, architecture)),
        "words": ("vocabulary.json", json.dumps(list(vocabulary)).encode()),
    }
    about = {"level": level, "vocabulary": list(vocabulary), "architecture": architecture.to_json()}
    states: tuple[Tensor, ...] = network.start(2)
    names = STATES[: len(states)]
    example = {"tokens": tokens[0], **dict(zip(names, states, strict=True))}
    program = Program(Step(network), example, ("logits", *(f"next_{name}" for name in names)), about)
    logits = partial(_stepped, tokens=tokens, states=states)
    return write_files(folder, formats, sources, program, logits, expected, calibration)


def _stepped(step: Callable[..., Sequence[Tensor]], tokens: Tensor, states: Sequence[Tensor]) -> Tensor:
    logits = []
    for row in tokens:
        made, *states = step(row, *states)
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
    remembers = 0 if own.memory is None or not own.memory.share else own.memory.size
    with torch.no_grad():
        logits = own(template.check_tokens(len(vocabulary)), own.start(2))[0]
    tied = own.classify.weight is own.embedding.weight
    sizes = (len(vocabulary), cells[0].units, len(cells), cells[0].states)
    constants = {
        "LEVEL": literal(level),
        "TOKENS, UNITS, LAYERS, STATES": ", ".join(map(str, sizes)),
        "TIED": literal(tied),
        **({"REMEMBERS": literal(remembers)} if remembers else {}),
        **identity(logits[-1], architecture),
    }
    apart = ("cells.",) if remembers else ("cells.", "memory.")
    state = {name: value for name, value in own.state_dict().items() if not name.startswith(apart)}
    for layer, each in enumerate(cells):
        values = dict(each.named_parameters())
        state |= {f"cells.{layer}.{name}": values[place] for name, place in cell.parameters.items()}
    docstring = DOCSTRING.format(
        tokens=len(vocabulary), level=level, mark=MARK, version=__version__, architecture=architecture.id
    )
    return Source(filled(_template(cell.text, remembers > 0), docstring, constants, cell=cell.text), state), logits


def _template(cell: str, remembers: bool) -> str:
    """Return the text model's template, with what it shares with that of images put in, and what `cell` imports."""
    text, images = inspect.getsource(template), inspect.getsource(images_template)
    text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("from archwright."))
    text = text.replace("import Tensor, nn\n\n", "import Tensor, nn\n")
    kept = r"\1" if remembers else ""
    text = re.sub(r" +# <memory>\n(.*?) +# </memory>\n", kept, text, flags=re.DOTALL)
    imports = {"import sys\n": "import struct\nimport sys\n"}
    if "Sequence[" in cell:
        imports["import sys\n"] += "from collections.abc import Sequence\n"
    if "(NamedTuple)" in cell:
        imports["import Path\n"] = "import Path\nfrom typing import NamedTuple\n"
    for line, lines in imports.items():
        text = text.replace(line, lines)
    dtypes = images[images.index("DTYPES = {") : images.index("}\n") + 2]
    parts = [dtypes, inspect.getsource(images_template.read_safetensors)]
    if remembers:
        parts += [inspect.getsource(part) for part in (memory.TextMemory, memory.weighed)]
    return text.replace("# <shared/>\n", "\n\n".join(parts))
