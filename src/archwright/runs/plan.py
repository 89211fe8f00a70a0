"""A plan: everything that a run does, explicit and frozen before it starts. It is data, and goes to JSON and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from archwright.components import named_again, space_from_json, space_to_json
from archwright.controllers import CONTROLLERS
from archwright.costs.target import Target
from archwright.engines.settings import Cluster
from archwright.errors import ConfigError, RunError
from archwright.methods import METHODS, method_class
from archwright.methods.protocol import Context, Search
from archwright.space import Space
from archwright.stored import made, reading
from archwright.training.recipe import ENAS_MICRO_FINAL, Recipe

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality

FORMAT = 2
PATIENCE = 0.01  # of a wall-time budget: there are some ten measurements
# And the fields that ask for them.
OPTIONAL_PHASES = {
    "grid": "grid",
    "known network": "known",
    "random search": "baseline",
    "reference": "reference",
}
SEARCH_SETTINGS = ("trials", "objective", "objective_settings", "within", "pareto")
OWN = ("seed", "device", "threads", "transferred")  # fields of the plan that are no part of it
PHASES = ("search", "derive", "grid", "final training", "known network", "random search", "reference", "test")


@dataclass(frozen=True)
class DataSource:
    """Where the data comes from.

    Args:
        name: how the user named the data ("python" for arrays).
        options: arguments of the modality's loader.
        fingerprint: of the data, so that a resumed run notices other data.
        contract: in words, what a model of this data takes.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    contract: str = ""


@dataclass(frozen=True)
class FinalTraining:
    """How finalists are chosen and trained, and what they are compared with.

    Args:
        space: the space of the search, with the settings of final training.
        recipe: how finalists and random architectures are trained.
        shortlist: of the best ranked, how many are trained for a sixth of final training first; the best of them in
            validation loss go on. 1: none, the ranking decides (ENAS).
        finalists: of those, how many are trained from scratch: at most, where several objectives are given.
        inherit: they start from the shared weights wherever theirs have the same name and shape, not from random ones.
        grid: after the search, try a small grid of recipes on the best architecture (Zoph & Le 2017, section 4.1), each
            for a quarter of final training; all networks are then trained with the one that did best in validation.
        baseline: train random architectures the same way: as many, and for as much time.
        reference: train a network to compare with the same way: the best known one of a race, or the space's reference
            (`nas-recurrent`: an LSTM of as many parameters).
        known: train a known network of the data's usual space for this share of the seconds of the network found, and
            offer it where it is better in validation (0.1 with --minutes, where the method races none); 0: none.
        deliver: what `model/` has: the network "found" by the search, or the "best" in validation of it and the known
            one. The other is kept beside it.
        residual: train a hand-made residual network of about so many parameters the same way, as the reference.
        ways: offer what is trained in each way that its space can run it (averaged over mirror images, too). Usual
            where an aim reads what a pass costs: then the search runs networks in the way that costs least.
    """

    space: Space
    recipe: Recipe = ENAS_MICRO_FINAL
    shortlist: int = 1
    finalists: int = 1
    inherit: bool = False
    grid: bool = False
    baseline: bool = False
    reference: bool = False
    known: float = 0.0
    deliver: Literal["found", "best"] = "found"
    residual: int | None = None
    ways: bool = False

    def __post_init__(self) -> None:
        for name in ("shortlist", "finalists"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 0 <= self.known <= 1:
            raise ConfigError(f"known is {self.known}; it must be 0 to 1, a share of final training")
        if self.deliver not in ("found", "best"):
            raise ConfigError(f"deliver is {self.deliver!r}; it must be found or best")

    @property
    def other_ways(self) -> dict[str, Space]:
        """The space as its networks are run in each other way that is offered, by the way's name."""
        others = {way: replace(self.space, **fields) for way, fields in self.space.ways.items()} if self.ways else {}
        return {way: space for way, space in others.items() if space != self.space}

    @property
    def reference_name(self) -> str | None:
        """The name of the reference network."""
        return "a residual network" if self.residual is not None else self.space.reference_name


@dataclass(frozen=True)
class Budget:
    """The time of a run.

    Args:
        minutes: what the whole run may take; None is a counted budget.
        estimate: expected seconds by phase.
        rates: measured seconds of a child's training step, and of what the method repeats.
    """

    minutes: float | None = None
    estimate: Mapping[str, float] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.minutes is not None and not self.minutes > 0:
            raise ConfigError(f"minutes is {self.minutes:g}; it must be greater than zero")

    @property
    def patience(self) -> float:
        """Seconds after which a measurement for the plan ends, though it has not seen all of its steps."""
        return math.inf if self.minutes is None else PATIENCE * 60 * self.minutes


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Args:
        data: where the data comes from.
        search: what is searched, and how.
        final: how finalists are trained, and what they are compared with.
        cluster: where children are trained.
        budget: the time of the run.
        target: where networks will run.
        seed: of everything random.
        device: of everything that runs in this process.
        threads: of this process; sums depend on it, and a resumed run must give the same bits.
        transferred: what the architecture was taken from, in a run that searches nothing and trains it at another size.
    """

    data: DataSource
    search: Search
    final: FinalTraining
    cluster: Cluster = field(default_factory=Cluster)
    budget: Budget = field(default_factory=Budget)
    target: Target = field(default_factory=Target)
    seed: int = 0
    device: str = "cpu"
    threads: int = 0
    transferred: str | None = None

    def __post_init__(self) -> None:
        search, cluster = self.search, self.cluster
        search.method.check(search, self.final.finalists)
        if search.method.in_one_process and not cluster.in_process:
            named = ("engine", "workers", "time_limit", "memory_limit")
            what = ", ".join(
                f"{name} is {v}" for name in named if (v := getattr(cluster, name)) not in ("local", 1, None)
            )
            name = search.method.name.replace("-", " ")
            raise ConfigError(f"{what}, but the method {name} needs one process; use --evaluator from-scratch")
        _require_fitting(search)
        if self.final.inherit and not search.method.shares:
            raise ConfigError(f"inherit: the method {search.method.name} leaves no shared weights to start from")
        if cluster.replicas and search.controller != "reinforce":
            raise ConfigError(f"replicas need the controller reinforce, not {search.controller}")
        if self.final.grid and self.budget.minutes is not None:
            raise ConfigError("grid needs a counted budget: leave out --minutes, or --grid")

    def context(self, modality: Modality) -> Context:
        """Return what the method is asked about, with the data."""
        parts = (self.search, modality, self.final.recipe, self.cluster, self.seed, self.device)
        return Context(*parts, patience=self.budget.patience, finalists=self.final.finalists)

    def changed(self, settings: Mapping[str, Any]) -> Plan:
        """Return the plan with settings by the names of their flags; those of another method are left out."""

        def changed(part: Any) -> Any:
            names = _settings_of(part) & settings.keys()
            return replace(part, **{name: settings[name] for name in names})

        own = {name: settings[name] for name in SEARCH_SETTINGS if name in settings}
        if own.get("objective", self.search.objective) != self.search.objective:
            own.setdefault("objective_settings", {})
        return replace(
            self,
            search=replace(self.search, **own, method=changed(self.search.method)),
            final=changed(self.final),
            cluster=changed(self.cluster),
            budget=changed(self.budget),
            target=replace(self.target, **settings.get("target", {})),
        )

    @property
    def wanted_phases(self) -> list[str]:
        """The phases of the run, in order."""
        return wanted_phases(vars(self.final))

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        parts = {name: dict(vars(getattr(self, name))) for name in PARTS}
        for part in (parts["search"], parts["final"]):
            part |= {"space": space_to_json(part["space"]), "recipe": asdict(part["recipe"])}
        method = self.search.method
        parts["search"]["method"] = {"name": method.name, **vars(method)}
        # Mappings of any kind become plain ones.
        plain = {name: {k: _plain(v) for k, v in part.items()} for name, part in parts.items()}
        return {"format": FORMAT, **plain, **{name: getattr(self, name) for name in OWN}}

    @staticmethod
    def from_json(
        data: Mapping[str, Any],
        *,
        space_named: str | None = None,
        controller_named: str | None = None,
        objective_named: str | None = None,
    ) -> Plan:
        """Read what `to_json` wrote. Components from a user's file are loaded only if the user names them again."""
        with reading("the run's plan"):
            values = upgraded(data)
            search, final = dict(values["search"]), dict(values["final"])
            for part in (search, final):
                part["space"] = space_from_json(part["space"], space_named)
                part["recipe"] = made(Recipe, part["recipe"], "a recipe")
            search["controller"] = named_again("controller", str(search["controller"]), controller_named)
            search["objective"] = named_again("objective", str(search["objective"]), objective_named)
            search |= {name: tuple(search.get(name, ())) for name in ("within", "pareto")}
            method = dict(search["method"])
            name = method.pop("name")
            search["method"] = made(method_class(name), method, f"the method {name}")
            parts = {"target": {}, **values, "search": search, "final": final}
            own = {name: values[name] for name in OWN}
            return made(Plan, {n: made(kind, parts[n], n) for n, kind in PARTS.items()} | own, "a plan")


PARTS: Mapping[str, Any] = {
    **{"data": DataSource, "search": Search, "final": FinalTraining, "cluster": Cluster, "budget": Budget},
    "target": Target,
}


def _require_fitting(search: Search) -> None:
    """Raise `ConfigError` where controller and method do not work together."""
    needed, used = search.method.controller, search.controller
    if needed is not None and used in CONTROLLERS and used != needed:
        raise ConfigError(f"the method {search.method.name} needs the controller {needed}, not {used}")
    owner = next((name for name in METHODS if method_class(name).controller == used), None)
    if owner is not None and needed is None:
        raise ConfigError(f"the controller {used} learns from gradients; use --evaluator {owner}")


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _settings_of(part: Any) -> set[str]:
    return {f.name for f in fields(part)} - {"space", "recipe"}


def setting_names() -> set[str]:
    """Return the names of the settings that flags set by name."""
    parts = (*map(method_class, METHODS), FinalTraining, Cluster)
    return {"evaluator", "target", *SEARCH_SETTINGS}.union(*map(_settings_of, parts))


def upgraded(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a stored plan in the present format."""
    if data["format"] == FORMAT:
        return data
    if data["format"] != 1:
        raise RunError(f"plan format {data['format']!r} is unknown; this version of archwright reads 1 and {FORMAT}")

    def part(cls: type[Any], **renamed: Any) -> dict[str, Any]:
        return {**{f.name: data[f.name] for f in fields(cls) if f.name in data}, **renamed}

    method = {"name": data["evaluator"], **part(method_class(data["evaluator"]))}
    return {
        "data": {"name": data["data"], "options": data["data_options"], "fingerprint": data["fingerprint"]},
        "search": part(Search, recipe=data["search_recipe"], method=method),
        "final": part(FinalTraining, space=data["final_space"], recipe=data["final_recipe"]),
        "cluster": part(Cluster),
        "budget": part(Budget),
        **{name: data.get(name) for name in OWN},
    }


def wanted_phases(final: Mapping[str, Any]) -> list[str]:
    """Return the phases of a plan, in order, from the fields of its final training (or their JSON)."""
    return [phase for phase in PHASES if phase not in OPTIONAL_PHASES or final.get(OPTIONAL_PHASES[phase])]
