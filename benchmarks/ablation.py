"""What a network, or a part of the recipe, brings in equal processor time: one training on one thread, tested once.

    python benchmarks/ablation.py --data DIR --seconds 215
    python benchmarks/ablation.py --data DIR --recipe '{"augment": 0.5}' --answers '{"1/activation": "gelu"}'
    python benchmarks/ablation.py --data DIR --known vgg11 --size 0.37 --looks 0.03 0.09 0.27
    python benchmarks/ablation.py --data DIR --mutant 3 --looks 0.024 0.19
    python benchmarks/ablation.py --data TEXT --known lstm --recipe '{"sampled": 1}' --answers '{"units": 320}'

The steps that fit are counted before, from the fastest of a few, so other work on the machine changes how long it takes
and not what comes out. `--looks` are shares of the training after which the validation part is looked at, as a race
does. One line of JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from typing import Any

import torch

from archwright.modalities import modality, read
from archwright.presets import DEFAULT_SPACES, preset
from archwright.space import mutate, replay
from archwright.spaces import SPACES
from archwright.training.child import child_network
from archwright.training.fit import Fit
from archwright.training.measure import parameters, tune_process

# One-cycle for images; for text the recipe of a race, but the last weights instead of the best.
PLAIN: dict[str, dict[str, Any]] = {
    "images": {"average": 0.0, "decay": 0.9, "warmup": 0.1, "batch": 128},
    "text": {"looks": 0},
}
FASTEST = 5  # of eight steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seconds", type=float, default=60, help="processor time of the training")
    parser.add_argument("--known", help="a known network of the space; by default resnet9, or lstm for text")
    parser.add_argument("--size", type=float, default=0.25, help="times its published widths")
    parser.add_argument("--answers", type=json.loads, default={}, help="decisions to change")
    parser.add_argument("--recipe", type=json.loads, default={}, help="fields of the recipe to change")
    parser.add_argument("--space", type=json.loads, default={}, help="fields of the space: stem_stride, zero_init")
    parser.add_argument("--mutant", type=int, help="a decision or two changed, drawn from this seed")
    parser.add_argument("--looks", type=float, nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    tune_process()
    found = modality(read(given.data, seed=0, limit=given.limit))
    cls = SPACES[DEFAULT_SPACES[found.name]]
    usual = preset("small", cls, found).final_recipe
    recipe = replace(usual, **{"precision": "bfloat16", **PLAIN[found.name], **given.recipe})
    own = {"whiten": recipe.whiten} if found.name == "images" else {}
    space: Any = cls(training=False, **own, **given.space)
    name = given.known or ("resnet9" if found.name == "images" else "lstm")
    known = space.known(given.size, recipe, len(found.data.train))
    architecture = replay(space, {**dict(known[name].answers), **given.answers})
    if given.mutant is not None:
        architecture = mutate(space, mutate(space, architecture, given.mutant), given.mutant)

    def fit(epochs: float) -> Fit:
        network = child_network(space, architecture, found.data.task, given.seed)
        return Fit(network, found, replace(recipe, epochs=epochs), seed=given.seed, device="cpu", validate_last=1)

    timed, steps = iter(fit(100)), []
    for _ in range(10):
        begun = time.process_time()
        next(timed)
        steps.append(time.process_time() - begun)
    step = sum(sorted(steps[2:])[:FASTEST]) / FASTEST
    training = fit(1)
    training = fit(max(2, int(given.seconds / step)) / training.per_epoch)
    begun, looks = time.process_time(), []
    for share in given.looks:
        for _ in training.until(int(share * training.steps)):
            pass
        looks.append([share, round(training.validate()[training.scored_by], 4)])
    for _ in training:
        pass
    print(
        json.dumps(
            {
                "data": found.data.name,
                "network": f"{name} x {given.size:g}",
                "answers": given.answers,
                "mutant": given.mutant,
                "recipe": given.recipe,
                "parameters": parameters(training.model),
                "epochs": round(training.steps / training.per_epoch, 1),
                "looks": looks,
                f"test_{found.metric}": round(found.test(training.model, recipe, "cpu")[found.metric], 4),
                "seconds": round(time.process_time() - begun),
            }
        )
    )


if __name__ == "__main__":
    main()
