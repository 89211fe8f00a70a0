"""What is measured of the space grammar: its table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def test_the_table_pairs_trainings_by_seed(script: Any, tmp_path: Path) -> None:
    grammar = script("grammar")
    search = {"task": "tile", "kind": "search", "search": "evolution", "name": None, "seed": 0, "starter": "resnet"}
    records: list[dict[str, Any]] = [search]
    for name, scores in {
        "found": (0.6, 0.62, 0.64),
        "starter": (0.59, 0.6, 0.61),
        grammar.HAND: (0.7, 0.7, 0.7),
    }.items():
        facts = {"task": "tile", "kind": "training", "search": "evolution 0", "name": name}
        records += [{**facts, "seed": seed, "test": score} for seed, score in enumerate(scores)]
    records += [{"task": "tile", "kind": "training", "search": "alone", "name": "vit", "seed": 0, "test": 0.4}]
    (tmp_path / "out.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    ((task, name, found, starter, gap, hand, behind, alone),) = grammar.table(tmp_path / "out.jsonl")
    assert (task, name, found, starter, hand, alone) == (
        "tile",
        "evolution 0",
        "62.00",
        "60.00 (resnet)",
        "70.00",
        "vit 40.0",
    )
    assert gap == "+2.00 points (-0.48 to +4.48)"  # 1, 2 and 3 points: 2 -+ 4.303 / sqrt(3)
    assert behind.startswith("-8.00 points")
