"""The jobs of kills.py: real commands on small data, each with a counted budget, so that a seed fixes how they end."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CHILD = Path(__file__).with_name("kills_child.py")
SEED = ("--device", "cpu", "--threads", "1", "--seed", "3")
IMAGES = ("--data", "digits", "--limit", "200")
TEXT = ("--data", "topics", "--level", "characters", "--limit", "3000", "--validation", "0.002", "--test", "0.002")
RUN = "run"  # the folder that every job writes


@dataclass(frozen=True)
class Job:
    """A command and the one that goes on with it. `FINISHED` in a word stands for the run of the job `after`.

    `resume`: what goes on with it once it has begun; None is the same command. `program`: what the words are given to.
    `copied`: the run of the job `after` is copied, and the command works in it. `says`: it says when it begins.
    `varies`: files that are another each time.
    """

    name: str
    words: tuple[str, ...]
    resume: tuple[str, ...] | None = ("resume", RUN, "--json")
    after: str | None = None
    copied: bool = False
    varies: tuple[str, ...] = ()
    says: bool = True
    program: tuple[str, ...] = (sys.executable, str(CHILD))

    def command(self, begun: bool, finished: Path | None) -> list[str]:
        """Return the command line of the first process, or where the job has `begun` of a later one."""
        words = self.resume if begun and self.resume is not None else self.words
        return [*self.program, *(word.replace("FINISHED", str(finished)) for word in words)]


def searching(name: str, *words: str, varies: tuple[str, ...] = ()) -> Job:
    """A search."""
    return Job(name, ("search", *words, "--baseline", "false", *SEED, "--run", RUN, "--json"), varies=varies)


CHILDREN = (
    "--search_recipe.epochs",
    "2",
    "--final_recipe.epochs",
    "6",
    "--final_recipe.batch",
    "32",
    "--shortlist",
    "2",
)
SHARED = ("--trials_per_epoch", "8", "--warmup", "1", "--samples", "4", "--search_recipe.batch", "32")
BENCH = ("bench", "--strategies", "random,evolution,local", "--json", "--out", RUN)
JOBS: Sequence[Job] = (
    searching("race", *IMAGES, "--trials", "5", "--final_recipe.epochs", "6"),
    searching(
        "enas-micro",
        *(*IMAGES, *SHARED, "--space", "enas-micro", "--space.nodes", "2", "--space.filters", "8", "--trials", "24"),
        *("--final_recipe.epochs", "6", "--final_recipe.batch", "32", "--shortlist", "2", "--reference", "false"),
    ),
    searching("nas-conv", *IMAGES, *CHILDREN, "--space", "nas-conv", "--space.layers", "3", "--trials", "6"),
    # The order in which two workers answer is not fixed: what is proposed must not depend on it, and pictures show it.
    searching(
        "two workers",
        *(*IMAGES, *CHILDREN, "--space", "nas-conv", "--space.layers", "3", "--trials", "6"),
        *("--workers", "2", "--controller", "random"),
        varies=(f"{RUN}/search.png", f"{RUN}/search.svg"),
    ),
    searching("race of text", *TEXT, "--space", "recurrent", "--trials", "5", "--final_recipe.epochs", "2"),
    searching(
        "enas-recurrent",
        *(*TEXT, *SHARED, "--space", "enas-recurrent", "--space.nodes", "3", "--space.units", "16", "--trials", "16"),
        *("--final_space.units", "16", "--steps_per_epoch", "6", "--evaluation_batch", "8", "--reference", "true"),
        *("--search_recipe.length", "8", "--final_recipe.epochs", "2", "--shortlist", "2"),
    ),
    searching(
        "nas-recurrent",
        *(*TEXT, "--space", "nas-recurrent", "--space.base", "2", "--space.units", "16", "--final_space.units", "16"),
        *("--trials", "5", "--search_recipe.epochs", "1", "--final_recipe.epochs", "2", "--shortlist", "2"),
    ),
    Job(
        "transfer",
        (
            *("transfer", "FINISHED", *IMAGES, "--repeats", "1", "--filters", "8", "--compare", "true"),
            *("--final_recipe.epochs", "8", "--final_recipe.batch", "32", *SEED, "--to", RUN, "--json"),
        ),
        after="enas-micro",
    ),
    Job(
        "rank",
        ("rank", RUN, "--architectures", "5", "--epochs", "4", "--json"),
        resume=None,
        after="enas-micro",
        copied=True,
    ),
    Job(
        "bench", (*BENCH, "--table", "signals", "--budget", "60t", "--runs", "20", "--resume"), resume=None, says=False
    ),
    Job(
        "bench of training",
        (*BENCH, *IMAGES, "--space", "nas-conv", "--trials", "4", "--runs", "1", "--epochs", "1"),
        resume=None,
    ),
)
BY_NAME: Mapping[str, Job] = {job.name: job for job in JOBS}
