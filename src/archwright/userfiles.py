"""The user's own files of code (`file.py:Name`): each runs once in a process, and goes to other processes by value.

A file may do more than define a class: it may add an operation to a registry. So what is sent is its source, as it was
when it was loaded, and the other process runs it before it unpickles what refers to it.
"""

from __future__ import annotations

import ast
import hashlib
import io
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import IO, Any

from archwright.errors import ConfigError

_SOURCES: dict[str, tuple[str, bytes]] = {}  # by module name: the file's path and source
_PLACES: set[str] = set()  # of the files that have been run, or are just being run


def module_of(path: Path) -> ModuleType:
    """Return the module of a file, which runs the first time; ConfigError if it cannot."""
    place = str(path.resolve())
    name = f"archwright_user_{path.stem}_{hashlib.sha256(place.encode(errors='surrogateescape')).hexdigest()[:8]}"
    try:
        if name not in sys.modules:
            _run(name, place, path.read_bytes())
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{path} cannot be loaded: {type(error).__name__}: {error}") from error
    return sys.modules[name]


def defined(module: ModuleType) -> list[str]:
    """Return the public names that a file defines: classes, functions and values, but nothing that it imports."""
    names: list[str] = []
    for node in ast.parse(_SOURCES[module.__name__][1]).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]
    return [name for name in names if not name.startswith("_")]


def _run(name: str, place: str, source: bytes) -> None:
    module = ModuleType(name)
    module.__file__ = place
    sys.modules[name] = module  # dataclasses and pickles look their module up
    _PLACES.add(place)
    try:
        exec(compile(source, place, "exec"), vars(module))
    except BaseException:
        del sys.modules[name]
        raise
    _SOURCES[name] = (place, source)


def place_in(frame: FrameType | None) -> str | None:
    """Return where the user's code is in a frame and those that called it: "my_space.py, line 12, in decide"."""
    while frame is not None and frame.f_code.co_filename not in _PLACES:
        frame = frame.f_back
    return None if frame is None else _words(frame.f_code, frame.f_lineno)


def place_of(error: BaseException) -> str | None:
    """Return where in the user's code an error was raised, in the same words."""
    found, trace = None, error.__traceback__
    while trace is not None:
        if (code := trace.tb_frame.f_code).co_filename in _PLACES:
            found = _words(code, trace.tb_lineno)
        trace = trace.tb_next
    return found


def _words(code: CodeType, line: int) -> str:
    return f"{Path(code.co_filename).name}, line {line}, in {code.co_name}"


def pickled(thing: object, dump: Callable[[object, IO[bytes]], None] = pickle.dump) -> bytes:
    """Pickle a value for another process, with the user's files that this one has loaded."""
    stream = io.BytesIO()
    pickle.dump(_SOURCES, stream)
    try:
        dump(thing, stream)
    except Exception as error:
        raise ConfigError(
            f"{type(thing).__name__} cannot be sent to another process ({type(error).__name__}: {error}); "
            "what it holds must be picklable, such as functions at the top level of a module"
        ) from error
    return stream.getvalue()


def unpickled(data: bytes) -> Any:
    """Return what `pickled` was given. For data of this program's own processes only."""
    stream = io.BytesIO(data)
    for name, (place, source) in pickle.load(stream).items():
        if name not in sys.modules:
            _run(name, place, source)
    return pickle.load(stream)
