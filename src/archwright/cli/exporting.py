"""`archwright export`: files that run without archwright, and what they cost on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archwright.cli.commands import Parser, print_json, print_line
from archwright.cli.showing import model_folder
from archwright.costs.target import Precision, Runtime, Target
from archwright.errors import ConfigError
from archwright.files import inside, target
from archwright.modalities import load_model

if TYPE_CHECKING:
    from archwright.costs.latency import Latency

PROGRAMS: Mapping[str, tuple[Runtime, Precision]] = {
    "pt2": ("eager", "float32"),
    "onnx": ("onnx", "float32"),
    "int8": ("onnx", "int8"),
}
FORMATS_HELP = "of source, pt2, onnx and int8, separated by commas (default source,pt2)"
INT8_HELP = "an ONNX file in 8 bits, too, calibrated on training data; usual for onnx of a search in 8 bits"
DATA_HELP = "what int8 is calibrated on and tested with, if the run's data has moved, or a model folder has no run"


def export(arguments: Sequence[str]) -> int:
    """Write a model as files that run without archwright, and measure them."""
    parser = Parser(
        prog="archwright export",
        description="Write a run's model as files that run without archwright; say how large they are, how long one "
        "evaluation takes here, and what 8 bits cost in validation.",
    )
    parser.add_argument("run", type=Path, help="a finished run, or a folder that `archwright train` wrote")
    parser.add_argument("--to", type=Path, help="the folder; default: RUN/export")
    parser.add_argument("--formats", "--format", dest="formats", default="source,pt2", help=FORMATS_HELP)
    parser.add_argument("--int8", action="store_true", help=INT8_HELP)
    parser.add_argument("--data", help=DATA_HELP)
    parser.add_argument("--batch", type=int, help="images, or rows of text, of one evaluation (default: the run's, 1)")
    parser.add_argument("--threads", type=int, help="of one evaluation (default: the run's, 1)")
    parser.add("space", "seed", "json")
    given = parser.parse_args(arguments)
    for name in ("batch", "threads"):
        if getattr(given, name) is not None and getattr(given, name) < 1:
            raise ConfigError(f"--{name} is {getattr(given, name)}; it must be at least 1")

    folder = target(given.to or inside(given.run, "export"))
    model = load_model(model_folder(given.run), space=given.space)
    formats = [part.strip() for part in given.formats.split(",")]
    aimed = _target(_run_of(given.run))
    batch, threads = given.batch or aimed.batch, given.threads or aimed.threads
    in_8_bits = given.int8 or ("onnx" in formats and aimed.precision == "int8")
    if in_8_bits or "int8" in formats:  # beside the file that it is compared with
        formats += [form for form in ("onnx", "int8") if form not in formats]
    data = _data(given.run, given.data, given.seed) if "int8" in formats else None
    files = model.export(folder, formats=formats, data=data)
    figures: dict[str, dict[str, Any]] = {what: {"bytes": path.stat().st_size} for what, path in files.items()}
    words = {what: [_size(figures[what]["bytes"])] for what in files}
    for what in (what for what in PROGRAMS if what in files):
        found = _latency(what, files[what], threads, batch)
        figures[what] |= {"latency_ms": found.milliseconds, "latency_interval_ms": list(found.interval)}
        words[what].append(found.words())
    lines = [f"{what:<8} {path}  {', '.join(words[what])}" for what, path in files.items()]
    if "int8" in files:
        lines += _validated(model, data, files, figures)
    if given.json:
        print_json({**{what: str(path) for what, path in files.items()}, "figures": figures})
        return 0
    for line in lines:
        print_line(line)
    return 0


def _run_of(folder: Path) -> Path | None:
    """Return the run of a folder, which is one or lies in one (RUN/known); None for a model by itself."""
    return next((one for one in (folder, folder.absolute().parent) if (one / "run.sqlite").is_file()), None)


def _target(run: Path | None) -> Target:
    """Return where the run's networks are to be run: what its search kept its aims on."""
    from archwright.runs.folder import target_of

    return Target() if run is None else target_of(run)


def _data(folder: Path, named: str | None, seed: int) -> Any:
    """Return the run's data, or for a model without a run what is named."""
    from archwright.modalities import read
    from archwright.runs.folder import data_of

    if (run := _run_of(folder)) is not None:
        return data_of(run, named)
    if named is None:
        raise ConfigError(f"{folder} is no run, and int8 is calibrated on training data: --data says where it is")
    return read(named, seed=seed)


def _latency(what: str, file: Path, threads: int, batch: int) -> Latency:
    """Measure one evaluation of a file, in turns with the fixed network that all latencies are measured beside."""
    from archwright.costs.latency import latency
    from archwright.export.onnx_runtime import onnx_session
    from archwright.export.program import pt2_run

    run: Callable[[], object]
    if PROGRAMS[what][0] == "onnx":
        session = onnx_session(file, threads=threads)
        run = partial(session, session.example(batch))
    else:
        run = pt2_run(file, batch)
    return latency(run, Target(*PROGRAMS[what], threads=threads, batch=batch))


def _validated(model: Any, data: Any, files: Mapping[str, Path], figures: dict[str, dict[str, Any]]) -> list[str]:
    """Test the ONNX files on the validation part; return what 8 bits change in words, and add it to the figures."""
    from archwright.export.onnx_runtime import onnx_session
    from archwright.modalities import modality

    judge = modality(data)
    records = {what: model.tested(onnx_session(files[what]), data) for what in ("onnx", "int8")}
    difference, *interval = judge.difference(records["int8"], records["onnx"])
    for what, record in records.items():
        figures[what][f"validation_{judge.metric}"] = record[judge.metric]
    figures["int8"] |= {"difference": difference, "difference_interval": interval}
    before, after = (judge.wording.words(record[judge.metric]) for record in records.values())
    return [
        f"in validation {before} before, {after} in 8 bits: {judge.wording.words_of_difference(difference, *interval)}"
    ]


def _size(size: int) -> str:
    return f"{size / 1e6:,.2f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"
