"""A plan: everything that a run does, explicit and frozen before it starts. It is data, and goes to JSON and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from archwright.components import named_again, space_from_json, space_to_json
from archwright.errors import ConfigError, RunError
from archwright.evaluators.objective import OBJECTIVES
from archwright.space import Space
from archwright.training.recipe import ENAS_MICRO_FINAL, ENAS_MICRO_SEARCH, Recipe

FORMAT = 1
OPTIONAL_PHASES = {"grid": "grid", "random search": "baseline", "reference": "reference"}  # and the fields that ask
PHASES = ("search", "derive", "grid", "final training", "random search", "reference", "test")


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Args:
        data: how the user named the data ("python" for arrays).
        data_options: arguments of `archwright.data.sources.load`.
        fingerprint: of the data, so that a resumed run notices other data.
        space: as searched.
        final_space: the same space, with the settings of final training.
        controller: name; its settings are `controller_settings`.
        evaluator: "shared-weights" (ENAS) or "from-scratch" (NAS).
        objective: what the reward is, a name in `archwright.evaluators.objective.OBJECTIVES`.
        last_epochs: of a child's last epochs the best counts, where the objective asks for the best (NAS: 5).
        search_recipe: how shared weights, or each child of the search, are trained.
        final_recipe: how finalists and random candidates are trained.
        trials: proposals scored in the search.
        trials_per_epoch: scored after each epoch of shared training.
        steps_per_epoch: shared training steps between two such phases; None is a whole pass over the training part.
        warmup: rounds of shared training before the first trial.
        architectures_per_step: of shared training (ENAS's M: 1).
        sampling: of shared training: its steps train what the "policy" proposes (ENAS), or what is drawn "uniform"ly.
        evaluation_batch: validation images, or rows of text, that a trial is scored on; None is the batch of
            `search_recipe`.
        samples: architectures that are sampled and ranked after the search (ENAS derives from 10).
        rank_minibatches: validation minibatches they are ranked on (ENAS uses one); None is the whole validation part.
        shortlist: of those, how many are first trained from scratch for a sixth of final training; the best of them in
            validation loss go on. 1: none, the ranking decides (ENAS).
        finalists: of those, how many are trained from scratch.
        grid: after the search, try a small grid of recipes on the best architecture (Zoph & Le 2017, section 4.1), each
            for a quarter of final training; all networks are then trained with the one that did best in validation.
        baseline: train random architectures the same way: as many, and for as much time.
        reference: train the space's reference network the same way (`nas-recurrent`: an LSTM of as many parameters).
        residual: train a hand-made residual network of about so many parameters the same way, as the reference.
        transferred: what the architecture was taken from, in a run that searches nothing and trains it at another size.
        engine: where children are trained, with `from-scratch`: "local", or "ray" or "ray:ADDRESS", a Ray cluster (see
            `archwright.engines.cluster`).
        workers: children that are trained at a time, with `from-scratch` (1 on "local": in this process).
        time_limit: seconds for one child, with `from-scratch`.
        memory_limit: gigabytes (1e9 bytes) of data for the process of one child, which has torch's 0.25 in it.
        child_cpus, child_gpus: what a child takes of a Ray cluster; a fraction of a GPU is shared.
        replicas: of the controller, on a Ray cluster, each with `children` at a time (NAS: 100 of 8); 0: none.
        children: of a replica; they are the controller's minibatch. None without replicas.
        shards: of the parameter server that the replicas share (NAS: 20).
        accumulate: gradients from replicas to an update (NAS: 10 for recurrent cells).
        minutes: what the whole run may take; None is a counted budget.
        estimate: expected seconds by phase.
    """

    data: str
    data_options: Mapping[str, Any]
    fingerprint: str
    space: Space
    final_space: Space
    controller: str = "reinforce"
    controller_settings: Mapping[str, Any] = field(default_factory=dict)
    evaluator: Literal["shared-weights", "from-scratch"] = "shared-weights"
    objective: str = "accuracy"
    last_epochs: int = 1
    search_recipe: Recipe = ENAS_MICRO_SEARCH
    final_recipe: Recipe = ENAS_MICRO_FINAL
    trials: int = 45_000
    trials_per_epoch: int = 300
    steps_per_epoch: int | None = None
    warmup: int = 0
    architectures_per_step: int = 1
    sampling: Literal["policy", "uniform"] = "policy"
    evaluation_batch: int | None = None
    samples: int = 10
    rank_minibatches: int | None = None
    shortlist: int = 1
    finalists: int = 1
    grid: bool = False
    baseline: bool = True
    reference: bool = False
    residual: int | None = None
    transferred: str | None = None
    engine: str = "local"
    workers: int = 1
    time_limit: float | None = None
    memory_limit: float | None = None
    child_cpus: float = 1.0
    child_gpus: float = 0.0
    replicas: int = 0
    children: int | None = None
    shards: int = 1
    accumulate: int = 1
    seed: int = 0
    device: str = "cpu"
    threads: int = 0
    minutes: float | None = None
    estimate: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (
            "trials",
            "trials_per_epoch",
            "samples",
            "shortlist",
            "finalists",
            "workers",
            "last_epochs",
            "architectures_per_step",
            "shards",
            "accumulate",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.finalists > self.samples and self.evaluator == "shared-weights":
            raise ConfigError(
                f"finalists is {self.finalists}, more than the {self.samples} samples they are taken from"
            )
        if self.objective not in OBJECTIVES:
            raise ConfigError(f"objective is {self.objective!r}; pick one of {', '.join(sorted(OBJECTIVES))}")
        if self.evaluator not in ("shared-weights", "from-scratch"):
            raise ConfigError(f"evaluator is {self.evaluator!r}; it must be shared-weights or from-scratch")
        if self.sampling not in ("policy", "uniform"):
            raise ConfigError(f"sampling is {self.sampling!r}; it must be policy or uniform")
        if self.evaluator == "shared-weights" and self.workers > 1:
            raise ConfigError(
                f"workers is {self.workers}, but shared weights live in one process; use --evaluator from-scratch, "
                "or workers 1"
            )
        if self.engine != "local" and self.engine.partition(":")[0] != "ray":
            raise ConfigError(f"engine is {self.engine!r}; it must be local, ray, or ray:ADDRESS")
        if self.engine != "local" and self.evaluator == "shared-weights":
            raise ConfigError(f"engine is {self.engine}, but shared weights live in one process; use engine local")
        if self.replicas < 0 or (self.replicas and self.engine == "local"):
            raise ConfigError(f"replicas is {self.replicas}; replicas need --engine ray")
        if not self.replicas and (self.children is not None or self.shards > 1 or self.accumulate > 1):
            raise ConfigError("children, shards and accumulate are of a search by replicas: give --replicas as well")
        if self.replicas and self.controller != "reinforce":
            raise ConfigError(f"replicas need the controller reinforce, not {self.controller}")
        for name in ("time_limit", "memory_limit"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be greater than zero")
        if not self.child_cpus >= 0 or not self.child_gpus >= 0 or not self.child_cpus + self.child_gpus > 0:
            raise ConfigError(
                f"child_cpus is {self.child_cpus} and child_gpus {self.child_gpus}; a child takes some of one of them"
            )
        if self.warmup < 0:
            raise ConfigError(f"warmup is {self.warmup}; it must be zero or more")
        if self.grid and self.minutes is not None:
            raise ConfigError("grid needs a counted budget: leave out --minutes, or --grid")
        if self.minutes is not None and not self.minutes > 0:
            raise ConfigError(f"minutes is {self.minutes}; it must be greater than zero")

    @property
    def in_process(self) -> bool:
        """Whether children are trained in the process that searches."""
        return self.engine == "local" and self.workers == 1 and self.memory_limit is None

    @property
    def ray_address(self) -> str | None:
        """Of the cluster; None is one of our own."""
        return self.engine.partition(":")[2] or None

    @property
    def reference_name(self) -> str | None:
        """What the reference network is."""
        return "a residual network" if self.residual is not None else self.space.reference_name

    @property
    def epochs(self) -> int:
        """Rounds of shared training; trials follow each after the first `warmup`."""
        return self.warmup + -(-self.trials // self.trials_per_epoch)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        plain["space"] = space_to_json(self.space)
        plain["final_space"] = space_to_json(self.final_space)
        for name in ("search_recipe", "final_recipe"):
            plain[name] = dataclasses.asdict(plain[name])
        return {"format": FORMAT, **{k: dict(v) if isinstance(v, Mapping) else v for k, v in plain.items()}}

    @staticmethod
    def from_json(
        data: Mapping[str, Any], *, space_named: str | None = None, controller_named: str | None = None
    ) -> Plan:
        """Read what `to_json` wrote. Components from a user's file are loaded only if the user names them again."""
        try:
            if data["format"] != FORMAT:
                raise RunError(f"plan format {data['format']!r} is unknown; this version of archwright reads {FORMAT}")
            values = {k: v for k, v in data.items() if k != "format"}
            values["space"] = space_from_json(values["space"], space_named)
            values["final_space"] = space_from_json(values["final_space"], space_named)
            values["controller"] = named_again("controller", str(values["controller"]), controller_named)
            values["search_recipe"] = Recipe(**values["search_recipe"])
            values["final_recipe"] = Recipe(**values["final_recipe"])
            return Plan(**values)
        except (KeyError, TypeError, AttributeError) as error:
            raise RunError(f"the run's plan is damaged: {error!r}") from None


def wanted_phases(fields: Mapping[str, Any]) -> list[str]:
    """The phases of a plan, in order, from its fields (or its JSON)."""
    return [phase for phase in PHASES if fields.get(OPTIONAL_PHASES.get(phase, ""), True)]
