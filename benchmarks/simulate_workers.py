"""NAS's distributed scheme at full size, simulated from what its messages cost here: where does it saturate?

    python benchmarks/simulate_workers.py [--replicas 100] [--children 8] [--shards 20] [--seconds 0.1 0.3 1 ...]
        [--spread 0.2] [--no-ray] [--json]

Measured first, with NAS's controller for its convolutional space: what a replica does to sample and to learn, what a
shard does for a pull and a push of its range, what the recording process does for a trial, and with Ray what it takes
to call an actor with such a range, and to submit a task and get its answer (`--no-ray` takes the costs of a Ray that
calls 5,350 actors and runs 2,300 tasks a second). Then simulated, event by event: every replica pulls from all shards,
samples, submits its children one by one, hands each result to the recording process as it comes, learns, and pushes to
all shards. Shards, replicas and the recording process do one thing at a time; children take `--seconds`, give or take
`--spread` of it.

It says how busy the children's workers are kept, how many updates come before a gradient, and which of the parts is the
busiest. A replica waits for the last of its children, so the spread alone keeps workers idle: that is the scheme's own
cost, whatever a message costs. The network is taken for as fast as this machine's memory.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from archwright.controllers.parameter_server import Push, Replica, Shard
from archwright.controllers.reinforce import Reinforce
from archwright.controllers.sharding import layout_of
from archwright.loop import Result, Trial
from archwright.spaces import SPACES
from archwright.store import RunStore


@dataclass(frozen=True)
class Costs:
    """Seconds. `call` is the caller's and the callee's work for one call of an actor, halved between them."""

    ask: float  # of all children of a replica
    learn: float
    pull: float
    push: float
    record: float  # of a trial
    call: float = 1 / 5350
    task: float = 1 / 2300


def median(action: Callable[[], object], repeats: int = 20) -> float:
    """Seconds."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def measured(children: int, shards: int, with_ray: bool) -> Costs:
    """What the parts cost on this machine."""
    controller = Reinforce.nas(SPACES["nas-conv"](), batch=children)
    layout = layout_of(controller, shards)
    servers = [Shard(pieces, controller.adam_settings) for pieces in layout]
    taken: list[list[Push]] = []

    class Nowhere:
        def pull(self) -> list[Any]:
            return [server.pull() for server in servers]

        def push(self, pushes: Any) -> list[int]:
            taken.append(pushes)
            return [0]

    replica = Replica(controller, layout, Nowhere())  # type: ignore[arg-type]
    proposals = replica.ask(range(children))
    trials = [Trial(p.stream, p, Result(p.stream / children), 1.0) for p in proposals]

    def learn() -> None:
        replica.begin(0)
        replica._versions = [0] * shards  # so that the pull is not in it
        replica.tell(trials)

    largest = max(range(shards), key=lambda index: len(servers[index].pull().values))
    learn()
    push, server, numbers = taken[-1][largest], servers[largest], iter(range(10**9))
    pull = median(server.pull)
    costs = {
        "ask": max(0.0, median(lambda: replica.ask(range(children))) - shards * pull),
        "learn": median(learn),
        "pull": pull,
        "push": median(lambda: server.push(Push(next(numbers), 0, push.gradient, push.absent, push.rewarded)), 200),
        "record": recorded(trials),
    }
    return Costs(**costs, **(ray_costs(push) if with_ray else {}))


def recorded(trials: list[Trial], count: int = 400) -> float:
    """Of one trial, with its proposal."""
    with tempfile.TemporaryDirectory() as folder, RunStore(Path(folder), create=True) as store:
        began = time.perf_counter()
        for number in range(count):
            proposal = trials[number % len(trials)].proposal
            store.proposed([(number, proposal)], number + 1)
            store.told([Trial(number, proposal, Result(0.5), 1.0)], None)
        return (time.perf_counter() - began) / count


def nothing(number: int) -> int:
    return number


def ray_costs(push: Push, count: int = 500) -> dict[str, float]:
    """Of a call with a push in it, and of a child's task with nothing in it."""
    import ray

    from archwright.engines.cluster import connect

    class Server:
        def push(self, push: Push) -> int:
            return push.number

    connect(None, cpus=1, object_store=80 * 2**20)
    try:
        actor = ray.remote(num_cpus=0)(Server).remote()
        task = ray.remote(num_cpus=1)(nothing)
        ray.get([actor.push.remote(push), task.remote(1)])
        began = time.perf_counter()
        ray.get([actor.push.remote(push) for _ in range(count)])
        called = time.perf_counter()
        ray.get([task.remote(1) for _ in range(count)])
        ended = time.perf_counter()
    finally:
        ray.shutdown()
    return {"call": (called - began) / count, "task": (ended - called) / count}


class Part:
    """Does one thing at a time, in the order in which they come."""

    def __init__(self) -> None:
        self.free = self.busy = 0.0

    def serve(self, now: float, seconds: float) -> float:
        """When it is done."""
        self.free = max(now, self.free) + seconds
        self.busy += seconds
        return self.free


def simulate(
    costs: Costs, *, replicas: int, children: int, shards: int, seconds: float, spread: float, rounds: int = 12
) -> dict[str, float]:
    """A search in which every replica has `rounds` minibatches."""
    rng = random.Random(0)
    recorder, servers = Part(), [Part() for _ in range(shards)]
    hands = [Part() for _ in range(replicas)]
    versions, staleness, trained = 0, [], 0.0
    call = costs.call / 2

    def replica(index: int) -> Iterator[float]:
        """Yields the time of its next event; nothing before that time may depend on it."""
        nonlocal versions, trained
        hand, now = hands[index], 0.0
        for _ in range(rounds):
            now = hand.serve(now, shards * call)
            yield now
            now = max(server.serve(now, call + costs.pull) for server in servers)
            seen = versions
            now = hand.serve(now, costs.ask)
            ends = []
            for _ in range(children):
                now = hand.serve(now, costs.task / 2)
                length = seconds * rng.uniform(1 - spread, 1 + spread)
                trained += length
                ends.append(now + costs.task / 2 + length)
            for end in sorted(ends):
                now = max(now, end)
                yield now
                now = hand.serve(now, call)
                now = recorder.serve(now, call + costs.record)
            now = hand.serve(now, costs.learn + shards * call)
            yield now
            now = max(server.serve(now, call + costs.push) for server in servers)
            staleness.append(versions - seen)
            versions += 1
        yield now

    lives = [replica(index) for index in range(replicas)]
    events = [(next(life), index) for index, life in enumerate(lives)]
    heapq.heapify(events)
    end = 0.0
    while events:
        end, index = heapq.heappop(events)
        if (following := next(lives[index], None)) is not None:
            heapq.heappush(events, (following, index))
    trials = replicas * rounds * children
    return {
        "seconds": seconds,
        "busy": trained / (end * replicas * children),
        "trials_per_second": trials / end,
        "staleness": float(np.mean(staleness)),
        "recorder": recorder.busy / end,
        "shards": max(server.busy for server in servers) / end,
        "replicas": max(hand.busy for hand in hands) / end,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=100)  # Zoph & Le 2017, section 4.1, and the next two
    parser.add_argument("--children", type=int, default=8)
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.1, 0.3, 1, 3, 10, 100, 3600], help="of a child")
    parser.add_argument("--spread", type=float, default=0.2, help="of their length")
    parser.add_argument("--no-ray", action="store_true", help="do not measure Ray")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    size = {"replicas": arguments.replicas, "children": arguments.children, "shards": arguments.shards}
    costs = measured(arguments.children, arguments.shards, not arguments.no_ray)
    rows = [simulate(costs, seconds=seconds, spread=arguments.spread, **size) for seconds in arguments.seconds]
    if arguments.json:
        print(
            json.dumps(
                {**size, "costs": asdict(costs), "rows": rows, "verdict": verdict(costs, arguments.spread, **size)}
            )
        )
        return
    print("milliseconds: " + ", ".join(f"{name} {1000 * cost:.3f}" for name, cost in asdict(costs).items()))
    print(
        "".join(
            f"{name:>12}" for name in ("child s", "busy", "trials/s", "staleness", "recorder", "shards", "replicas")
        )
    )
    for row in rows:
        seconds, busy, rate, late, *parts = row.values()
        print(f"{seconds:>12g}{busy:>12.1%}{rate:>12.1f}{late:>12.1f}" + "".join(f"{part:>12.1%}" for part in parts))
    print(verdict(costs, arguments.spread, **size))


def verdict(costs: Costs, spread: float, **size: int) -> str:
    """Where it saturates: with children of no length at all, and from which length on it is no longer felt."""
    least = simulate(costs, seconds=0.0, spread=spread, **size)
    part = max(("recorder", "shards", "replicas"), key=least.__getitem__)
    most = simulate(costs, seconds=1e6, spread=spread, **size)["busy"]
    lengths = [0.1 * 1.1**step for step in range(120)]
    enough = next(s for s in lengths if simulate(costs, seconds=s, spread=spread, **size)["busy"] >= 0.95 * most)
    workers = size["replicas"] * size["children"]
    return (
        f"saturates at {least['trials_per_second']:.0f} trials/s: there the {part.rstrip('s')} is busy for "
        f"{least[part]:.0%} of the time; children of {enough:.1f} s or more keep {workers} workers 95 % as busy as "
        f"free messages would ({most:.0%})"
    )


if __name__ == "__main__":
    main()
