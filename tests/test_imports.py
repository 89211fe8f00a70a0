"""The directions in which rooms may know each other, read from the sources, and what is loaded only when needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import archwright
from archwright.methods import METHODS
from archwright.modalities import MODALITIES
from archwright.spaces import SPACES

SOURCES = Path(archwright.__file__).parent
FILES = sorted(path.relative_to(SOURCES).as_posix() for path in SOURCES.rglob("*.py"))

# Space, architecture and what is written over them: the innermost rooms, each may know those before it.
CORE = ("errors", "userfiles", "stored", "decisions", "architecture", "graph", "walk", "explore", "open", "space")

# What each room may know, besides the core and itself.
KNOWS: dict[str, set[str]] = {
    "protocols": set(),
    "budgets": set(),
    "loop": {"protocols", "budgets"},
    "files": set(),
    "database": {"files"},
    "states": {"protocols"},
    "statefiles": {"protocols", "files", "states", "database"},
    "sentences": set(),
    "spaces": {"loop", "sentences"},
    "fronts": set(),
    "controllers": {"loop", "fronts"},
    "engines": {"loop"},
    "distributed": {"loop", "controllers", "engines"},
    "store": {"protocols", "files", "states", "database", "statefiles"},
    "nets": {"sentences"},
    "data": {"files"},
    "training": {"loop", "nets"},
    "report": {"files"},
    "export": {"nets", "data", "files"},
    "components": {"spaces", "controllers"},
    "costs": {"nets", "training", "export"},
    "modalities": {"loop", "files", "nets", "data", "training", "report", "export", "components", "costs"},
    "evaluators": {"loop", "nets", "training", "modalities", "components", "costs"},
    "proxies": {"nets", "training", "modalities", "report"},
    "methods": {"loop", "engines", "evaluators", "modalities", "training", "proxies"},
    "presets": {"controllers", "modalities", "spaces", "training"},
}
BELOW = {*KNOWS}  # what every run is made from
KNOWS |= {"runs": BELOW, "analysis": BELOW | {"runs"}, "lab": BELOW | {"runs"}, "pages": BELOW | {"runs"}}
KNOWS |= {"tracking": BELOW | {"runs"}}
KNOWS |= {"api": {*KNOWS} - {"lab"}}
KNOWS |= {"dashboard": {*KNOWS} - {"lab"}, "estimator": {*KNOWS} - {"lab"}}
KNOWS |= {"testing": {"loop", "states", "controllers", "training", "evaluators"}}  # no room knows it
FRONT = {"__init__", "__main__", "cli"}  # may know everything

# Rooms with modules that load torch when they are imported; everything else loads it inside the functions that use it.
TORCH = {
    *("nets", "training", "data", "controllers", "evaluators", "modalities", "methods", "presets", "export", "runs"),
    *("analysis", "lab", "distributed", "pages", "dashboard", "api", "estimator", "cli", "proxies", "costs"),
}

# Imports against those directions: of types alone, or inside a function at the moment of use. Each has its reason.
TYPES_ONLY = {
    ("spaces", "nets"): "the return types of Space.network",
    ("training", "data"): "images and their preprocessing are handed in",
}
LAZY = {
    ("spaces", "nets"): "Space.network builds with torch, describing a space does not need it",
    ("architecture", "__init__"): "a notebook shows an architecture drawn, which takes everything above it",
    ("protocols", "__init__"): "as the line before: trials and their results",
}


@dataclass(frozen=True)
class Import:
    """One import of `module` in `file`. `kind` says when it happens: "import", "types" (never), "lazy" (in a call)."""

    file: str
    line: int
    module: str
    kind: str

    @property
    def importer(self) -> str:
        return self.file.split("/")[0].removesuffix(".py")

    @property
    def imported(self) -> str:
        """The room of archwright that is imported, or the name of another package."""
        package, *rest = self.module.split(".")
        return package if package != "archwright" else rest[0] if rest else "__init__"

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module} ({self.kind})"


def imports(file: str) -> Iterator[Import]:
    def visit(node: ast.AST, kind: str) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(file, node.lineno, alias.name, kind) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative imports hide where things come from"
            # `from archwright import nets` names its room only here
            names = (
                [f"archwright.{alias.name}" for alias in node.names] if node.module == "archwright" else [node.module]
            )
            yield from (Import(file, node.lineno, str(name), kind) for name in names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from (found for child in node.body for found in visit(child, "types"))
            yield from (found for child in node.orelse for found in visit(child, kind))
        else:
            inside = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            for child in ast.iter_child_nodes(node):
                yield from visit(child, "lazy" if inside else kind)

    yield from visit(ast.parse((SOURCES / file).read_text(encoding="utf-8")), "import")


IMPORTS = [found for file in FILES for found in imports(file)]
INSIDE = [found for found in IMPORTS if found.module.split(".")[0] == "archwright" and found.imported != found.importer]


def allowed(found: Import) -> bool:
    if found.importer in FRONT or found.module == "archwright.__version__":
        return True
    if found.importer in CORE:
        return found.imported in CORE[: CORE.index(found.importer)]
    return found.imported in CORE or found.imported in KNOWS[found.importer]


def test_every_room_is_in_the_picture() -> None:
    assert {found.importer for found in IMPORTS} <= {*CORE, *KNOWS, *FRONT}


def test_rooms_know_each_other_in_one_direction_only() -> None:
    against = [found for found in INSIDE if not allowed(found)]
    excused = {"types": TYPES_ONLY, "lazy": LAZY, "import": {}}
    assert [str(found) for found in against if (found.importer, found.imported) not in excused[found.kind]] == []
    used = {(found.importer, found.imported, found.kind) for found in against}
    stale = [pair for kind, pairs in excused.items() for pair in pairs if (*pair, kind) not in used]
    assert stale == []


def test_the_directions_have_no_cycle() -> None:
    order: list[str] = []
    while waiting := [room for room in KNOWS if room not in order]:
        free = [room for room in waiting if KNOWS[room] <= set(order)]
        assert free, f"these rooms know each other in a circle: {waiting}"
        order += free


def test_no_files_import_each_other_in_a_circle() -> None:
    """Imports of types and at the moment of use count too: whoever reads one file reads what it names first."""
    modules = {
        f"archwright.{file.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__"): file for file in FILES
    }
    uses: dict[str, set[str]] = {file: set() for file in FILES}
    for found in IMPORTS:
        module = found.module
        while module and module not in modules:
            module = module.rpartition(".")[0]
        target = modules.get(module, found.file)
        # A package's own door is named where a file beside it is meant; the top one lists what is public.
        if target not in (found.file, "__init__.py", f"{found.file.rpartition('/')[0]}/__init__.py"):
            uses[found.file].add(target)
    order: set[str] = set()
    while waiting := [file for file in FILES if file not in order]:
        free = [file for file in waiting if uses[file] <= order]
        assert free, f"a circle is among {waiting}"
        order |= set(free)


def test_torch_is_loaded_where_it_is_used() -> None:
    early = [found for found in IMPORTS if found.imported == "torch" and found.kind == "import"]
    assert [str(found) for found in early if found.importer not in TORCH] == []


def test_pictures_and_sklearn_are_loaded_at_the_moment_of_use() -> None:
    slow = {"matplotlib", "sklearn", "pyarrow", "PIL", "scipy", "rich", "onnx", "onnxruntime", "optuna", "ray"}
    slow |= {"jinja2", "markupsafe"}
    # The estimator extends scikit-learn's classes, and is itself loaded when it is first asked for.
    early = [found for found in IMPORTS if found.imported in slow and found.kind == "import"]
    assert [str(found) for found in early if found.importer != "estimator"] == []


LIGHT = [
    "archwright",
    "archwright.loop",
    "archwright.protocols",
    "archwright.budgets",
    "archwright.spaces",
    "archwright.modalities",
    *(f"archwright.{name}" for name in CORE),
]
ROOMS = ("spaces/", "sentences/")
LIGHT += [f"archwright.{file.removesuffix('.py').replace('/', '.')}" for file in FILES if file.startswith(ROOMS)]
LIGHT += [f"archwright.{name}" for name in ("__main__", "cli") if f"{name}.py" in FILES]  # so that --help is instant
HEAVY = {"torch", "numpy", "matplotlib", "sklearn", "scipy", "pyarrow", "PIL"}
LIGHT = sorted({name.removesuffix(".__init__") for name in LIGHT})


@pytest.mark.parametrize("module", LIGHT)
def test_what_describes_and_searches_does_not_load_torch(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(sys.modules.keys() & {HEAVY}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.split() == []


def test_every_registered_space_is_in_a_file_that_is_light() -> None:
    assert {space.__module__ for space in SPACES.values()} <= set(LIGHT)


# The axes: a run is plan x method x preset x modality, and only their rooms know which there are.
AXES = ("methods", "presets", "modalities", "data")  # data/ has one file for each kind of source
KINDS = {*METHODS, *SPACES, *MODALITIES, "nas", "enas", "darts"}
CLASSES = {"ImageData", "TextData", "Images", "Text", "SharedWeights", "FromScratch", "FromScratchMethod"}
CLASSES |= {"SharedWeightsMethod", "Task", "TextTask", "TrainedModel", "TrainedLanguageModel"}


def asked_for(node: ast.AST) -> set[str]:
    """The names of kinds that a comparison, a match or an isinstance tests for."""
    if isinstance(node, ast.Compare):
        tested: list[ast.AST] = [node.left, *node.comparators]
    elif isinstance(node, (ast.MatchValue, ast.MatchClass)):
        tested = [node]
    elif (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "issubclass")
    ):
        return {n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)} & CLASSES
    else:
        return set()
    constants = [n.value for part in tested for n in ast.walk(part) if isinstance(n, ast.Constant)]
    return {value for value in constants if isinstance(value, str)} & KINDS


def test_outside_the_axes_no_code_tests_which_method_paper_or_kind_of_data_it_has() -> None:
    found = [
        f"{file}:{getattr(node, 'lineno', 0)} asks for {', '.join(sorted(asked))}"
        for file in FILES
        if file.split("/")[0] not in AXES
        for node in ast.walk(ast.parse((SOURCES / file).read_text(encoding="utf-8")))
        if (asked := asked_for(node))
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    ['x == "shared-weights"', 'x in ("text", "audio")', "isinstance(data, (TextData, int))", 'a.name != "nasnet"'],
)
def test_the_test_above_can_fail(code: str) -> None:
    assert any(asked_for(node) for node in ast.walk(ast.parse(code)))


def test_public_names_are_those_that_are_typed() -> None:
    tree = ast.parse((SOURCES / "__init__.py").read_text(encoding="utf-8"))
    typed = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert {"__version__", *typed - {"annotations", "TYPE_CHECKING", "Any", "import_module"}} == set(archwright.__all__)
    assert all(getattr(archwright, name) for name in archwright.__all__ if name != "OptunaSampler")
