"""`archwright rank`: whether a run's shared weights can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from archwright.analysis.ranking import Ranking
from archwright.cli.commands import Parser, print_json
from archwright.cli.display import Display
from archwright.cli.guarded import INTERRUPTED
from archwright.modalities import modality
from archwright.modalities.protocol import data_lines
from archwright.proxies.joined import as_lines
from archwright.runs.folder import opened


def rank(arguments: Sequence[str]) -> int:
    """Train random architectures from scratch and compare their order with the shared weights'."""
    parser = Parser(
        prog="archwright rank",
        description="Say whether the shared weights of a finished run rank architectures as training from scratch "
        "does: Kendall's tau between the two over random architectures, with its 95 % interval. Can be stopped; the "
        "same command goes on.",
    )
    parser.add_argument("run", type=Path, help="the run folder")
    parser.add_argument("--architectures", type=int, default=40, help="how many (default 40)")
    parser.add_argument("--epochs", type=float, help="of each, from scratch; default: a third of final training")
    parser.add_argument(
        "--trainings",
        type=int,
        default=1,
        help="of each architecture, from as many seeds (default 1); with 2 the agreement of two trainings is "
        "printed too, the most that shared weights can reach",
    )
    parser.add_argument("--data", help="where the data is now, if it has moved")
    parser.add("space", "controller", "json")
    given = parser.parse_args(arguments)
    with Display(json_output=given.json) as display:
        run = opened(given.run, data=given.data, space=given.space, controller=given.controller)
        with run as (store, plan, data):
            for line in data_lines(modality(data)):
                display.say(line)
            ranking = Ranking(
                plan,
                data,
                store,
                architectures=given.architectures,
                epochs=given.epochs,
                trainings=given.trainings,
            )
            try:
                for event in ranking:
                    display(event)
            except KeyboardInterrupt:
                display.say(f"stopped; the same command goes on, what is trained is in {given.run}")
                return INTERRUPTED
        result = ranking.result
        if given.json:
            print_json(result)
        else:
            low, high = result["interval"]
            count = result["architectures"]
            display.say(
                f"Kendall's tau {result['tau']:.2f}, 95 % interval {low:.2f} to {high:.2f}, {count} architectures"
            )
            if result["agreement"] is not None:
                low, high = result["agreement"]["interval"]
                tau = result["agreement"]["tau"]
                display.say(f"two trainings with each other: {tau:.2f}, 95 % interval {low:.2f} to {high:.2f}")
            display.say("Kendall's tau of orders that cost no training, and of the shared weights:")
            for line in as_lines(result["competitors"]):
                display.say(f"  {line}")
            if (best := result["competitors"]["best"]) is not None:
                display.say(f"the best of them: {best.replace('_', ' ')}")
            display.say(result["verdict"])
            display.say(f"drawn to {given.run / 'ranking.png'}")
    return 0
