"""Any sampler of Optuna as a controller of any space: every decision is a categorical parameter (extra `optuna`)."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archwright.controllers.objectives import values_of
from archwright.errors import ConfigError, MissingExtra
from archwright.loop import Proposal, State, Trial
from archwright.space import Answer, Architecture, Choice, Decision, Link, Links, Space, decisions_of, generator, trace

if TYPE_CHECKING:
    import optuna


class OptunaSampler:
    """Lets a sampler of Optuna answer the questions in the order asked.

    A Choice or Link is one categorical parameter, a set of links one boolean for each anchor. A link among other
    anchors, or a choice among other options, is another parameter, so conditional decisions form Optuna's
    conditional search space. Each proposal has a new sampler, seeded by (seed, stream), with all finished trials:
    samplers that carry more than the trials from one proposal to the next begin afresh. Only the trials are stored, and
    reported again when a run is resumed.

    Args:
        space: what is searched.
        sampler: the name of a class in `optuna.samplers`.
        settings: arguments of that class, except `seed`.
        objectives: several at once, by the metrics of a trial that hold them, larger is better; none: the reward.
        batch: proposals asked for at a time.
        seed: of every proposal, with its stream's number.
    """

    def __init__(
        self,
        space: Space,
        *,
        sampler: str = "TPESampler",
        settings: Mapping[str, Any] | None = None,
        objectives: Sequence[str] = (),
        batch: int = 1,
        seed: int = 0,
    ) -> None:
        if batch < 1:
            raise ConfigError(f"OptunaSampler(batch={batch!r}): at least one proposal must be asked for at a time")
        self.space, self.batch, self.seed = space, batch, seed
        try:
            import optuna
        except ImportError:
            raise MissingExtra("OptunaSampler needs Optuna: pip install 'archwright[optuna]'") from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna: Any = optuna
        self._sampler, self._settings, self._objectives = sampler, dict(settings or {}), tuple(objectives)
        self._make(0)  # raises now if the settings are wrong
        self.load_state_dict({})

    def ask(self, streams: Sequence[int]) -> list[Proposal]:
        return [Proposal(stream, self._propose(stream)) for stream in streams]

    def _propose(self, stream: int) -> Architecture:
        finished = self._study.get_trials(deepcopy=False)  # never changed, so a copy of the study may share them
        study = copy.deepcopy(self._study, {id(trial): trial for trial in finished})
        study.sampler = self._make(int(generator((self.seed, stream)).integers(2**31)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna warns of experimental parts
            trial = study.ask()

            def answer(question: Decision) -> Answer:
                values = [trial.suggest_categorical(name, values) for name, values in parameters(self.space, question)]
                if isinstance(question, Links):
                    return tuple(anchor for anchor, taken in zip(question.among, values, strict=True) if taken)
                return values[0]  # type: ignore[no-any-return]

            return trace(self.space.grown(stream), answer)

    def tell(self, trials: Sequence[Trial]) -> bool:
        for trial in trials:
            params, values = answered(self.space.for_architecture(trial.architecture), trial.architecture)
            distributions = {n: self._optuna.distributions.CategoricalDistribution(v) for n, v in values.items()}
            found = values_of(trial, self._objectives) if self._objectives else [trial.reward]
            self._add(found, {"params": params, "distributions": distributions})
        return False

    def _add(self, values: Sequence[float] | None, given: Mapping[str, Any]) -> None:
        """Add a finished trial; a genetic sampler first puts it into the generation that is being filled."""
        running, failed = self._optuna.trial.TrialState.RUNNING, self._optuna.trial.TrialState.FAIL
        self._study.add_trial(self._optuna.trial.create_trial(state=running, **given))
        added = self._study.get_trials(deepcopy=False)[-1]
        if isinstance(sampler := self._make(0), self._optuna.samplers.BaseGASampler):
            sampler.get_trial_generation(self._study, added)
        self._study.tell(added.number, values, state=failed if values is None else None)

    def state_dict(self) -> State:
        return {}  # the trials are the state

    def load_state_dict(self, state: State) -> None:
        self._study: optuna.Study = self._optuna.create_study(
            directions=["maximize"] * max(1, len(self._objectives)),
            sampler=self._optuna.samplers.RandomSampler(seed=0),
        )

    def _make(self, seed: int) -> Any:
        cls = getattr(self._optuna.samplers, self._sampler, None)
        if cls is None:
            raise ConfigError(f"OptunaSampler(sampler={self._sampler!r}): optuna.samplers has no such class")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return cls(seed=seed, **self._settings)
            except TypeError as error:
                raise ConfigError(f"optuna.samplers.{self._sampler}: {error}") from None


def answered(space: Space, architecture: Architecture) -> tuple[dict[str, Any], dict[str, tuple[Any, ...]]]:
    """Return an architecture as categorical parameters: the value of each, and the values that it may have."""
    chosen: dict[str, Any] = {}
    options: dict[str, tuple[Any, ...]] = {}
    for question in decisions_of(space, architecture):
        answer = architecture[question.name]
        taken = answer if isinstance(answer, tuple) else (answer,)
        answers = [anchor in taken for anchor in question.among] if isinstance(question, Links) else taken
        for (name, values), value in zip(parameters(space, question), answers, strict=True):
            chosen[name], options[name] = value, values
    return chosen, options


def parameters(space: Space, question: Decision) -> list[tuple[str, tuple[Any, ...]]]:
    """Return the categorical parameters of a question, by name, with their values."""
    if isinstance(question, Choice):
        some = question.options != space.vocabularies[question.vocabulary]
        return [(f"{question.name}:{question.vocabulary}{question.options if some else ''}", question.options)]
    if isinstance(question, Link):
        return [(f"{question.name}:{','.join(question.among)}", question.among)]
    return [(f"{question.name}:{anchor}", (False, True)) for anchor in question.among]
