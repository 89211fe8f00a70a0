"""Components by name: a registry's, or `path/to/file.py:Name` for one's own.

A file is loaded only if the user typed its name in this call: on the command line, or as an argument in Python. A name
that is read (a run folder, an architecture, a configuration) loads nothing by itself.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archwright.controllers import CONTROLLERS
from archwright.errors import ConfigError, RunError, offered
from archwright.space import Architecture, Space, check
from archwright.spaces import SPACES
from archwright.stored import made
from archwright.userfiles import defined, module_of

# What comes from the user's files, by the name it was called in this process.
_OWN: dict[str, type[Space]] = {}
_OWN_CONTROLLERS: dict[str, Any] = {}
_OWN_OBJECTIVES: dict[str, Any] = {}
_TYPED: set[str] = set()


def typed(*words: str) -> None:
    """Let the files load, and the clusters be joined, that these words name: the user typed them in this call."""
    for word in words:
        _TYPED.update((word, word.partition("=")[2]))


def require_typed(name: str, kind: str, example: str = "FILE.py:NAME") -> None:
    """Raise RunError for a name that was read and that the user did not type in this call."""
    if name not in _TYPED:
        raise RunError(f"the {kind} is {name}; it is used only if you type it in this call: --{kind} {example}")


def space_class(name: str) -> type[Space]:
    """Return the space of that name, or the class in the user's file, which is run once in a process."""
    if name in _OWN:
        return _OWN[name]
    if ".py:" in name:
        found = from_file(name, "space")
        if not (isinstance(found, type) and issubclass(found, Space) and dataclasses.is_dataclass(found)):
            raise ConfigError(f"{name} is not a space: it must be a frozen dataclass that extends Space")
        SPACES.setdefault(found.name, found)  # so that its architectures can be drawn
        _OWN[name] = found
        return found
    if name not in SPACES:
        raise ConfigError(f"{name!r} is not a space; {offered(name, sorted(SPACES), 'file.py:Name')}")
    return SPACES[name]


def controller_class(name: str) -> Any:
    """Return the controller of that name, or the class in the user's file."""
    if ".py:" in name:
        if name not in _OWN_CONTROLLERS:
            _OWN_CONTROLLERS[name] = from_file(name, "controller")
        return _OWN_CONTROLLERS[name]
    if name not in CONTROLLERS:
        raise ConfigError(f"{name!r} is not a controller; {offered(name, sorted(CONTROLLERS), 'file.py:Name')}")
    module, _, attribute = CONTROLLERS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def objective_function(name: str) -> Any:
    """Return the objective of that name in the user's file, or in this process."""
    if name not in _OWN_OBJECTIVES:
        _OWN_OBJECTIVES[name] = from_file(name, "objective")
    if not callable(_OWN_OBJECTIVES[name]):
        raise ConfigError(f"{name} is not an objective: it must be a function of a mapping of metrics")
    return _OWN_OBJECTIVES[name]


def name_of_objective(objective: Any, recorded: str | None = None) -> str:
    """Return what `objective_function` finds a callable by, in this process; `recorded` is what a run calls it."""
    name = recorded or _file_and_name(objective, getattr(objective, "__qualname__", type(objective).__qualname__))
    _OWN_OBJECTIVES[name] = objective
    return name


def name_of_space(space: Space) -> str:
    """Return what `space_class` finds the space by: its registered name, or its file and class."""
    cls = type(space)
    if cls.__module__.startswith("archwright.") and SPACES.get(space.name) is cls:
        return space.name
    name = _file_and_name(cls, cls.__qualname__)
    _OWN[name] = cls
    SPACES.setdefault(space.name, cls)
    return name


def _file_and_name(component: Any, name: str) -> str:
    try:
        file = inspect.getsourcefile(component) or "interactive.py"
    except (TypeError, OSError):  # typed in, not read from a file
        file = "interactive.py"
    return f"{Path(file).absolute()}:{name}"


def named_again(kind: str, name: str, named: str | None) -> str:
    """Return the name of a space, controller or objective that a run recorded, or what the user calls it in this call.

    Raises: RunError, if it comes from a file that nobody has typed in this process: nothing is loaded from there.
    """
    own = {"space": _OWN, "controller": _OWN_CONTROLLERS, "objective": _OWN_OBJECTIVES}[kind]
    if ".py:" not in name or name in own:
        return name
    if named is not None and ".py:" in named:
        typed(named)
        return named
    require_typed(name, kind)
    return name


def with_fields(cls: type[Space], fields: Mapping[str, Any]) -> Space:
    """Return a space with fields from JSON."""
    return made(cls, frozen(fields), cls.name)


def frozen(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields from JSON as a space has them: lists become tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def space_for(architecture: Architecture, named: str | None = None) -> Space:
    """Return the space of an architecture, with its fields; `named` is what the user calls it. Checks the answers."""
    space = with_fields(space_class(named or architecture.space), dict(architecture.fields))
    check(space, architecture)
    return space


def from_file(name: str, kind: str) -> Any:
    """Return the `kind` of component that a typed `path/to/file.py:Name` names; the file is run."""
    require_typed(name, kind)
    path_text, _, attribute = name.rpartition(":")
    path = Path(path_text).expanduser()
    if not path.is_file():
        raise ConfigError(f"{name}: there is no file {path}")
    module = module_of(path)
    if not hasattr(module, attribute):
        there = ", ".join(defined(module)) or "nothing that could be named"
        raise ConfigError(f"{path} defines no {attribute!r} but {there}")
    return getattr(module, attribute)


def space_to_json(space: Space) -> dict[str, Any]:
    """Return the space's name and all its fields."""
    fields = {f.name: getattr(space, f.name) for f in dataclasses.fields(space) if f.init}
    return {"name": name_of_space(space), **{k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}}


def space_from_json(data: Mapping[str, Any], named: str | None = None) -> Space:
    """Read what `space_to_json` returned. `named` is the file that the user named in this call."""
    values = dict(data)
    name = named_again("space", str(values.pop("name")), named)
    return with_fields(space_class(name), values)
