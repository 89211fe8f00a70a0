"""The one loop: a controller proposes architectures, an evaluator scores them, the score comes back as the reward.

`run` is a generator: it yields every finished trial, and progress between trials; the caller draws, logs and stops.
With a store, what is yielded has been recorded, and a run that was killed goes on where it was. This module is also the
door to `protocols` and `budgets`.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace

from archwright.budgets import Budget as Budget
from archwright.budgets import Epochs as Epochs
from archwright.budgets import Minutes as Minutes
from archwright.budgets import Tally as Tally
from archwright.budgets import Trials as Trials
from archwright.errors import ArchwrightError, ChildFailure, ConfigError, Diverged
from archwright.protocols import Ask as Ask
from archwright.protocols import Controller as Controller
from archwright.protocols import Describes as Describes
from archwright.protocols import Engine as Engine
from archwright.protocols import Evaluator as Evaluator
from archwright.protocols import Progress as Progress
from archwright.protocols import Proposal as Proposal
from archwright.protocols import Result as Result
from archwright.protocols import Saved as Saved
from archwright.protocols import State as State
from archwright.protocols import Stateless as Stateless
from archwright.protocols import Store as Store
from archwright.protocols import Trial as Trial

CHECKPOINT_SECONDS = 60.0  # at most this much shared training is done again after a kill
# Between two looks at the time while children are under way; and Python may miss the Ctrl-C that comes at the moment
# when it begins to wait.
LOOK_SECONDS = 1.0


class Inline:
    """Evaluates in this process, one at a time, at the moment of `submit`."""

    workers = 1

    def submit(self, evaluator: Evaluator, proposal: Proposal) -> Future[Result]:
        future: Future[Result] = Future()
        try:
            future.set_result(evaluator.evaluate(proposal))
        except (Exception, SystemExit) as error:  # a child's failure is the trial's; Ctrl-C is not
            _release(error)
            future.set_exception(error if isinstance(error, Exception) else ChildFailure(f"SystemExit: {error}"))
        return future

    def close(self) -> None:
        pass


def _release(error: BaseException | None) -> None:
    """Let go of what the frames of a failed child hold: the next child needs the memory."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def run(
    controller: Controller,
    evaluator: Evaluator,
    *,
    budget: Budget,
    store: Store | None = None,
    engine: Engine | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Trial | Progress]:
    """Search until the budget is used up, yielding trials (recorded in `store`) and progress between them.

    With an engine of several workers, new proposals are asked for as soon as none is waiting, so nothing waits for the
    slowest child. Closing the generator, or a time that runs out, leaves proposals under way pending: the next `run` on
    the store takes them up. A counted budget ends with everything answered that was begun.

    If the evaluator's state was saved, a resumed run starts from that checkpoint and repeats what is recorded after it:
    the controller is asked again, the evaluator prepares as before, and recorded results are reported in place of
    evaluations (except of soft weights, because gradients are not recorded).
    """
    engine = engine if engine is not None else Inline()
    if evaluator.stateful and engine.workers > 1:
        raise ConfigError(
            f"{type(evaluator).__name__} keeps its state in one process, so it cannot be used with an engine of "
            f"{engine.workers} workers; use the in-process engine"
        )
    # One worker waits for the minibatch that it completes. Several never wait, so each would get the next minibatch as
    # the policy was before the last one was learned from: they are given few at a time.
    at_once = controller.batch if engine.workers == 1 else engine.workers
    began = clock()
    saved = store.load() if store is not None else Saved([], [], 0)
    start = saved.checkpoint or saved
    told, streams, waiting = len(start.trials), start.streams, list(start.pending)
    restore(controller, start)
    if saved.evaluator is not None:
        evaluator.load_state_dict(saved.evaluator)
    number = 1 + max((*(n for n, _ in waiting), *(trial.number for trial in start.trials)), default=-1)
    repeated = {trial.number: trial for trial in saved.trials[told:]}
    recorded = [*((n, trial.proposal) for n, trial in repeated.items()), *saved.pending]
    known = {n: proposal for n, proposal in recorded if n >= number}  # to be asked for again
    under_way: dict[Future[Result], tuple[int, Proposal, float]] = {}
    # Without a checkpoint to go back to, the first possible one is made: what follows depends on it.
    saved_at, dirty = -math.inf if saved.checkpoint is None else began, False
    described = controller if isinstance(controller, Describes) else None
    training = dict(start.figures)  # of the last progress

    def ask(n: int) -> list[Proposal]:
        nonlocal streams
        proposals = controller.ask(range(streams, streams + n))
        streams += n
        return proposals

    def room(ahead: int = 0) -> bool:
        """Return whether the budget has room for another trial, once `ahead` more have been reported."""
        trials = told + ahead
        tally = Tally(trials, trials / evaluator.trials_per_epoch, clock() - began)
        return trials < len(saved.trials) or budget.spent(tally) < 1

    def checkpoint(every: float) -> None:
        nonlocal saved_at, dirty
        lost = known or repeated or any(proposal.soft is not None for _, proposal in waiting)  # not in what is recorded
        if store is not None and dirty and not lost and clock() - saved_at >= every:
            store.checkpoint(evaluator.state_dict(), streams, training)
            saved_at, dirty = clock(), False

    while room():
        # Nothing is begun that a counted budget has no room for: what is under way when it ends would be lost.
        if not waiting and len(under_way) < engine.workers and room(len(under_way)):
            for progress in evaluator.prepare(ask, told):
                dirty = True
                training.update(progress.metrics)
                checkpoint(CHECKPOINT_SECONDS)
                yield progress
                if not room():  # a time is over in the middle of shared training too
                    break
            if not room():  # time may have run out meanwhile
                break
            asked = list(enumerate(ask(at_once), start=number))
            number += len(asked)
            if not asked and not under_way:  # the controller has nothing left to propose
                break
            if store is not None and (new := [(n, proposal) for n, proposal in asked if n not in known]):
                store.proposed(new, streams)
            waiting = [(n, replace(known.pop(n), soft=p.soft) if n in known else p) for n, p in asked]
        while waiting and len(under_way) < engine.workers and room(len(under_way)):
            index, proposal = waiting.pop(0)
            begun = clock()
            if index in repeated and proposal.soft is None:
                future: Future[Result] = Future()
                future.set_result(repeated[index].result)
            else:
                future = engine.submit(evaluator, proposal)
            under_way[future] = (index, proposal, begun)
        done, _ = wait(under_way, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
        ended = sorted(done, key=lambda f: under_way[f][0])
        answered: list[Trial] = []  # and not recorded yet: what ends together is recorded together
        try:
            for future in ended:
                index, proposal, begun = under_way.pop(future)
                trial = Trial(index, proposal, result_of(future, evaluator), clock() - begun)
                changed = controller.tell([trial])
                told += 1
                if repeated.pop(index, None) is None:
                    figures = {**training, **(described.metrics() if described is not None else {})}
                    answered.append(replace(trial, figures=figures))
                if answered and (changed or future is ended[-1]):
                    finished, answered = answered, []
                    if store is not None:
                        store.told(finished, controller.state_dict() if changed else None)
                    yield from finished
        finally:  # an error that ends the run costs nothing that came before it
            if store is not None and answered:
                store.told(answered, None)
    checkpoint(0)


def restore(controller: Controller, saved: Saved) -> None:
    """Bring a new controller to where the stored one was: its last state, and the trials reported after that."""
    if saved.controller is not None:
        controller.load_state_dict(saved.controller)
    if missed := saved.trials[saved.controller_trials :]:
        controller.tell(missed)


def result_of(future: Future[Result], evaluator: Evaluator) -> Result:
    """Return the result of an evaluation, or a failed trial in its place."""
    error = future.exception()
    if error is None:
        result = future.result()
        if math.isfinite(result.reward):
            return result
        error = Diverged(f"the reward is {result.reward}")
    fixable = isinstance(error, ArchwrightError) and not isinstance(error, ChildFailure)
    if fixable or not isinstance(error, Exception):  # the next child would meet it again
        raise error
    return Result(evaluator.failure_reward, {}, f"{type(error).__name__}: {error}")
