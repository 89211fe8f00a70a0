"""Whether final training that starts from shared weights needs half as long: the network a run found, trained anew.

    python benchmarks/inherit.py RUN [--epochs 8] [--seeds 3]

Trains it from scratch for `--epochs`, for half of them, and from the run's shared weights for half of them; validation
loss and metric, on one thread; in words why, where one could not be trained. One line of JSON for each seed.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch

from archwright.errors import ChildFailure
from archwright.modalities import modality
from archwright.runs.assembly import network_of, recipe_of
from archwright.runs.folder import opened
from archwright.space import Architecture
from archwright.training.fit import Fit
from archwright.training.inherit import inherit
from archwright.training.measure import tune_process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--epochs", type=float, help="default: those of the run")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    tune_process()
    with opened(given.run) as (store, plan, data):
        architecture = Architecture.from_json(store.get("ranked")[0][0])
        evaluator = store.load().evaluator
        assert evaluator is not None
        epochs = given.epochs or store.get("settled")["epochs"]
        for seed in range(given.seeds):
            found: dict[str, object] = {"run": given.run.name, "seed": seed, "epochs": epochs}
            for name, share, start in (("whole", 1.0, False), ("half", 0.5, False), ("inherited half", 0.5, True)):
                network = network_of(replace(plan, seed=seed), modality(data), architecture)
                recipe = replace(recipe_of(plan, architecture), epochs=share * epochs)
                fit = Fit(network, modality(data), recipe, seed=seed, device="cpu", validate_last=1)
                if start:
                    found["inherited"] = round(inherit(network, evaluator["network"]), 3)
                try:
                    for _ in fit:
                        pass
                    found[name] = [round(fit.metrics["validation_loss"], 4), round(fit.score, 4)]
                except ChildFailure as error:  # that is a result, too
                    found[name] = str(error)
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
