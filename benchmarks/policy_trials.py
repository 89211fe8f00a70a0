"""What helps a policy learn within a hundred trials: two hundred searches side by side, in seconds instead of minutes.

python benchmarks/policy_trials.py                on the landscape `signals`
python benchmarks/policy_trials.py --table FILE   on an .npz of NAS-Bench-201 too

All searches are one batched LSTM policy, as in `archwright.controllers.policy`, and one batched Adam. Two problems: the
table, and `signals` (`archwright.lab.landscape`). Each line leaves out or adds one thing; the first is what the
strategy `reinforce` does, except for its rate on `signals`, which is 0.0025. Scores are of what was best by its
reward, after a quarter, half and all of the trials.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archwright.lab.landscape import NOISE, _constants
from archwright.spaces.enas_micro import OPERATIONS

NODES, FRESH = 5, 16  # of an ENAS cell; proposals drawn, of which the first new one is taken


@dataclass(frozen=True)
class Recipe:
    """What a search does. The defaults are those of `reinforce` in a budget of a hundred trials."""

    rate: float = 0.01
    units: int = 16
    uniform: int = 5  # first proposals
    spread: bool = False  # these have each option equally often
    around: float = 0.9  # share of proposals that keep most answers of the best so far
    ranks: bool = True  # rewards as normal scores of their ranks; else minus a moving average
    fresh: bool = True  # nothing is proposed twice
    batch: int = 1
    epochs: int = 1  # of a minibatch; more have PPO's ratio
    replayed: int = 0  # earlier trials learned from again, with PPO's ratio
    imitated: bool = False  # of those, the better half alone (self-imitation)
    elites: int = 0  # of priority-queue training
    elite_weight: float = 0.3


class Policy:
    """R independent LSTMs, one for each search: sampling and scoring of answers [R, B, decisions]."""

    def __init__(self, searches: int, units: int, source: torch.Generator, *, links: bool) -> None:
        shapes = {"embedding": (5, units), "head": (5, units), "start": (1, units), "lstm": (2 * units, 4 * units)}
        if links:
            shapes |= {"previous": (units, units), "current": (units, units), "score": (units, 1)}
        self.units = units
        self.parameters = {
            name: (0.2 * torch.rand(searches, *shape, generator=source) - 0.1).requires_grad_()
            for name, shape in shapes.items()
        }

    def __getitem__(self, name: str) -> Tensor:
        return self.parameters[name]

    def step(self, state: tuple[Tensor, Tensor] | None, fed: Tensor) -> tuple[Tensor, Tensor]:
        gates = fed if state is None else fed + state[0] @ self["lstm"][:, self.units :]
        sigmoids, g = gates.split((3 * self.units, self.units), -1)
        o, i, f = sigmoids.sigmoid().chunk(3, -1)
        cell = i * g.tanh() if state is None else f * state[1] + i * g.tanh()
        return o * cell.tanh(), cell


class Answers:
    """Takes logits one decision at a time; draws or looks up the answers, and adds up their log-probabilities."""

    def __init__(self, given: Tensor | None, source: torch.Generator, kept: tuple[Tensor, Tensor] | None) -> None:
        self.given, self.source, self.kept = given, source, kept
        self.drawn: list[Tensor] = []
        self.log_prob: Any = 0.0

    def take(self, logits: Tensor) -> Tensor:
        log_probs, place = logits.log_softmax(-1), len(self.drawn)
        if self.given is not None:
            answer = self.given[:, :, place]
        else:
            flat = log_probs.exp().reshape(-1, logits.shape[-1])
            answer = torch.multinomial(flat, 1, generator=self.source).view(logits.shape[:2])
            if self.kept is not None:
                answer = torch.where(self.kept[1][:, :, place], self.kept[0][:, :, place], answer)
        self.drawn.append(answer)
        self.log_prob = self.log_prob + log_probs.gather(-1, answer.unsqueeze(-1)).squeeze(-1)
        return answer


class Cells:
    """NAS-Bench-201: six decisions of five options; reward and score by number."""

    decisions, links, noise = 6, False, 0.0

    def __init__(self, path: str, reward: str = "val_acc_12", device: int | None = None) -> None:
        with np.load(path) as file:
            number = (file["ops"].astype(int) * 5 ** np.arange(6)).sum(1)
            weight, self.name = np.ones(5**6), reward
            if device is not None:  # accuracy against latency, as in MnasNet
                latency = file["hw_latency_ms"].reshape(5**6, -1)[:, device]
                weight = (latency / np.median(latency)) ** -0.07
                self.name = f"{reward} against latency on {file['hw_names'][device]}"
            self.rewards, self.scores = np.empty(5**6), np.empty(5**6)
            self.rewards[number], self.scores[number] = file[reward] * weight, file["test_acc_200"] * weight

    def number(self, answers: Tensor) -> Tensor:
        return (answers * 5 ** torch.arange(6)).sum(-1)

    def look(self, answers: Tensor) -> tuple[Tensor, Tensor]:
        number = self.number(answers).numpy()
        return torch.from_numpy(self.rewards[number]), torch.from_numpy(self.scores[number])

    def widths(self) -> Tensor:
        return torch.full((6,), 5)

    def play(self, policy: Policy, count: int, answers: Answers) -> None:
        fed = (policy["start"] @ policy["lstm"][:, : policy.units]).expand(-1, count, -1)
        options, state = policy["embedding"] @ policy["lstm"][:, : policy.units], None
        for _ in range(self.decisions):
            state = policy.step(state, fed)
            answer = answers.take(state[0] @ policy["head"].transpose(1, 2))
            fed = options.gather(1, answer.unsqueeze(-1).expand(-1, -1, options.shape[-1]))


class Signals:
    """The landscape `signals`: two cells of five nodes, each two links and two operations."""

    decisions, links, noise = 40, True, NOISE

    def __init__(self) -> None:
        maps, signals, wanted = _constants()
        by_cell = [[maps[cell, name] for name in OPERATIONS] for cell in ("normal", "reduction")]
        self.maps, self.signals, self.wanted = (torch.from_numpy(np.array(x)) for x in (by_cell, signals, wanted))

    def number(self, answers: Tensor) -> Tensor:
        return torch.zeros(answers.shape[:-1], dtype=torch.long)

    def look(self, answers: Tensor) -> tuple[Tensor, Tensor]:
        rows, cells = torch.arange(len(answers)), answers.view(-1, 2, NODES, 4)
        before = last = self.signals.expand(len(answers), -1, -1)
        for cell in (0, 1, 0, 1, 0):
            states, used = [before, last], torch.zeros(len(answers), NODES + 2, dtype=torch.bool)
            for node in range(NODES):
                stacked, total = torch.stack(states, 1), torch.zeros_like(before)
                for side in (0, 1):
                    source, operation = cells[:, cell, node, side], cells[:, cell, node, 2 + side]
                    total = total + self.maps[cell][operation] @ stacked[rows, source]
                    used[rows, source] = True
                states.append(total.tanh())
            loose = (~used).double()[:, :, None, None]
            before, last = last, (torch.stack(states, 1) * loose).sum(1) / loose.sum(1)
        cosine = (last * self.wanted).sum(1) / (last.norm(dim=1) + 1e-9)
        score = 50 + 50 * cosine.mean(-1)
        return score, score

    def widths(self) -> Tensor:
        return torch.tensor([[k, k, 5, 5] for k in range(2, NODES + 2)] * 2).flatten()

    def play(self, policy: Policy, count: int, answers: Answers) -> None:
        inputs, hidden = policy["lstm"][:, : policy.units], policy["lstm"].shape[-1]
        start = (policy["start"] @ inputs).expand(-1, count, -1)
        options, state, fed = policy["embedding"] @ inputs, None, start
        for _ in range(2):
            keys: list[Tensor] = []
            values = [torch.zeros_like(start)] * 2
            for _ in range(2):
                state = policy.step(state, fed)
                keys.append(state[0] @ policy["previous"])
                fed = start
            for _ in range(NODES):
                for _ in range(2):
                    state = policy.step(state, fed)
                    compared = torch.stack(keys, 2) + (state[0] @ policy["current"]).unsqueeze(2)
                    answer = answers.take((compared.tanh() @ policy["score"].unsqueeze(1)).squeeze(-1))
                    chosen = answer[..., None, None].expand(-1, -1, 1, hidden)
                    fed = torch.stack(values, 2).gather(2, chosen).squeeze(2)
                for _ in range(2):
                    state = policy.step(state, fed)
                    answer = answers.take(state[0] @ policy["head"].transpose(1, 2))
                    fed = options.gather(1, answer.unsqueeze(-1).expand(-1, -1, hidden))
                state = policy.step(state, fed)
                keys.append(state[0] @ policy["previous"])
                values.append(state[0] @ inputs)
                fed = start


def normal_scores(rewards: Tensor) -> Tensor:
    """Return the normal scores of the ranks in each row."""
    return torch.special.ndtri((rewards.argsort(1).argsort(1) + 0.5) / rewards.shape[1])


def uniform(problem: Cells | Signals, searches: int, recipe: Recipe, source: torch.Generator) -> Tensor:
    """Return the first proposals [searches, uniform, decisions], drawn or spread."""
    widths, count = problem.widths(), recipe.uniform
    if not recipe.spread:
        return (torch.rand(searches, count, len(widths), generator=source) * widths).long()
    order = torch.rand(searches, count, len(widths), generator=source).argsort(1)  # a permutation for each decision
    return order % widths


def kept(best: Tensor, share: float, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the best answers [R, B, decisions] and which are kept: all but one, or with half the chance more."""
    shape = best.shape
    more = (torch.rand(*shape[:2], 3, generator=source) < 0.5).long().cumprod(-1).sum(-1)
    order = torch.rand(shape, generator=source).argsort(-1)
    near = torch.rand(shape[0], 1, 1, generator=source) < share
    return best, (order > more.unsqueeze(-1)) & near


def searches(problem: Cells | Signals, count: int, trials: int, recipe: Recipe, seed: int = 0) -> Tensor:
    """Return the score [count, trials] of the best so far by reward."""
    source, rows = torch.Generator().manual_seed(seed), torch.arange(count)
    policy = Policy(count, recipe.units, source, links=problem.links)
    adam = torch.optim.Adam(list(policy.parameters.values()), lr=recipe.rate)
    proposed = torch.zeros(count, trials, problem.decisions, dtype=torch.long)
    rewards, scores = (torch.zeros(count, trials, dtype=torch.float64) for _ in range(2))
    likely = torch.zeros(count, trials)  # log-probabilities when proposed
    tried = torch.zeros(count, 5**6, dtype=torch.bool)
    first, average = uniform(problem, count, recipe, source), None
    fresh = recipe.fresh and not problem.links  # of 2.56e25 architectures none comes twice
    for number in range(trials):
        with torch.no_grad():
            if number < recipe.uniform:
                answer = first[:, number]
            else:
                width = FRESH if fresh else 1
                best = proposed[rows, rewards[:, :number].argmax(1)].unsqueeze(1).expand(-1, width, -1)
                answers = Answers(None, source, kept(best, recipe.around, source))
                problem.play(policy, width, answers)
                drawn = torch.stack(answers.drawn, -1)
                if fresh:
                    drawn = torch.cat(
                        [drawn, (torch.rand(count, 4, problem.decisions, generator=source) * 5).long()], 1
                    )
                    answer = drawn[rows, (~tried.gather(1, problem.number(drawn))).float().argmax(1)]
                else:
                    answer = drawn[:, 0]
            scored = Answers(answer.unsqueeze(1), source, None)
            problem.play(policy, 1, scored)
            likely[:, number] = scored.log_prob[:, 0]
            proposed[:, number], tried[rows, problem.number(answer)] = answer, True
            reward, scores[:, number] = problem.look(answer)
            rewards[:, number] = reward + problem.noise * torch.randn(count, generator=source, dtype=torch.float64)
        told = number + 1
        if told % recipe.batch:
            continue
        new = torch.arange(told - recipe.batch, told).expand(count, -1)
        if average is None:
            average = rewards[:, :told].mean(1)
        ranked = normal_scores(rewards[:, :told])
        for _ in range(recipe.epochs):
            past = torch.rand(count, told, generator=source).argsort(1)[:, : min(recipe.replayed, told)]
            top = rewards[:, :told].topk(min(recipe.elites, told), 1)[1]
            chosen = torch.cat([new, past, top], 1)
            worth = ranked.gather(1, new) if recipe.ranks else rewards.gather(1, new) - average[:, None]
            again = (
                ranked.gather(1, past).clamp(min=0 if recipe.imitated else -9) * recipe.batch / max(past.shape[1], 1)
            )
            advantage = torch.cat([worth, again], 1).float()
            answers = Answers(proposed[rows[:, None], chosen], source, None)
            problem.play(policy, chosen.shape[1], answers)
            log_prob = answers.log_prob[:, : advantage.shape[1]]
            if recipe.epochs > 1 or recipe.replayed:
                ratio = (log_prob - likely.gather(1, chosen[:, : advantage.shape[1]])).exp()
                gain = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
            else:
                gain = log_prob * advantage
            loss = -gain.sum() / recipe.batch
            if top.shape[1]:
                loss = loss - recipe.elite_weight * answers.log_prob[:, advantage.shape[1] :].mean(1).sum()
            adam.zero_grad()
            loss.backward()
            adam.step()
        for each in rewards[:, told - recipe.batch : told].T:
            average = 0.9 * average + 0.1 * each
    return scores.gather(1, rewards.cummax(1)[1])


USUAL = Recipe()
LINES = {
    "as it is": USUAL,
    "the papers' rate, on its own": Recipe(rate=3.5e-4, around=0, ranks=False, fresh=False, batch=10),
    "only a higher rate": Recipe(around=0, ranks=False, fresh=False),
    "no proposals around the best": replace(USUAL, around=0.0),
    "half of them around the best": replace(USUAL, around=0.5),
    "all of them around the best": replace(USUAL, around=1.0),
    "nothing is learned": replace(USUAL, rate=1e-12),
    "three times the rate": replace(USUAL, rate=0.03),
    "a third of the rate": replace(USUAL, rate=0.003),
    "rewards, not their ranks": replace(USUAL, ranks=False),
    "proposals may come again": replace(USUAL, fresh=False),
    "first proposals spread": replace(USUAL, spread=True),
    "ten first proposals, spread": replace(USUAL, spread=True, uniform=10),
    "32 trials replayed": replace(USUAL, replayed=32),
    "the better half of 32 replayed": replace(USUAL, replayed=32, imitated=True),
    "priority queue of ten": replace(USUAL, elites=10),
    "PPO: minibatches of 5, 4 epochs": replace(USUAL, batch=5, epochs=4),
}


def unseen(path: str, devices: list[int] | None, count: int, trials: int) -> None:
    """Print how the strategy does on tables not used for a choice, beside search without learning and random search."""
    with np.load(path) as file:
        devices = list(range(len(file["hw_names"]))) if devices is None else devices
    problems = [Cells(path, "val_acc_200"), *(Cells(path, device=device) for device in devices)]
    compared = {"as it is": USUAL, "nothing is learned": LINES["nothing is learned"]}
    compared["random"] = replace(USUAL, rate=1e-12, around=0.0)
    for problem in problems:
        found = {name: searches(problem, count, trials, recipe, seed=2)[:, -1] for name, recipe in compared.items()}
        best = problem.scores.max()
        words = [f"{name} {best - end.mean():.3f} +- {end.std() / count**0.5:.3f}" for name, end in found.items()]
        print(f"{problem.name:60} regret: {', '.join(words)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", help="an .npz of NAS-Bench-201, as in archwright bench")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--searches", type=int, nargs=2, default=(200, 48), help="of the table and of signals")
    help_unseen = "tables of the file that no choice was made on: 200 epochs, and accuracy against latency on devices"
    parser.add_argument("--unseen", action="store_true", help=help_unseen)
    parser.add_argument("--devices", type=int, nargs="*", help="their numbers (default: all)")
    parser.add_argument("--only", default="", help="lines that hold this text")
    given = parser.parse_args()
    torch.set_num_threads(1)
    problems = (Cells(given.table) if given.table else None, Signals())
    if given.unseen:
        unseen(given.table, given.devices, given.searches[0], given.trials)
        return
    for name, recipe in LINES.items():
        if given.only not in name:
            continue
        words, begun = [], time.process_time()
        for problem, count in zip(problems, given.searches, strict=True):
            if count and problem is not None:
                found = searches(problem, count, given.trials, recipe, seed=1)
                end, places = found[:, -1], [given.trials // 4 - 1, given.trials // 2 - 1]
                early = ", ".join(f"{found[:, place].mean():.2f}" for place in places)
                words.append(f"{early}, {end.mean():.2f} +- {end.std() / count**0.5:.2f}")
                if isinstance(problem, Cells):
                    words[-1] += f" ({(end >= problem.scores.max()).double().mean():.0%} at the optimum)"
        print(f"{name:34} {'   '.join(words)}   [{time.process_time() - begun:.0f} s]", flush=True)


if __name__ == "__main__":
    main()
