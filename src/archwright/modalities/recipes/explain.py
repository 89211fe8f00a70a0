"""Why a dish: its nearest known dishes, the pairs that carry it, shared compounds, nutrition, and what is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from archwright.modalities.recipes.names import shown, titled
from archwright.modalities.recipes.plausibility import Dish
from archwright.modalities.recipes.scoring import Tasting

NEAREST, PAIRS = 3, 3
NUTRIENTS = ("energy_kcal", "protein_g", "fat_g", "carbohydrate_g")
WORDS = {
    "en": {
        "near": "near",
        "alike": "{title} ({share:.0%} alike{also}{lacks})",
        "also": "; it also has {}",
        "lacks": "; it lacks {}",
        "pairs": "carried by",
        "pair": "{pair} (in {dishes}, {lift:.1f} times chance)",
        "compounds": "compounds",
        "shared": "{pair} share {count}",
        "nutrition": "nutrition",
        "portion": "about {energy_kcal:.0f} kcal a portion: protein {protein_g:.0f} g, fat {fat_g:.0f} g, "
        "carbohydrate {carbohydrate_g:.0f} g; balance {balance:.2f}",
        "new": "new",
        "never": "no known dish has {}",
        "known": "this set of ingredients is known",
        "apart": "{:.0%} away from the nearest known dish",
        "comma": ", ",
        "list": ", ",
    },
    "zh": {
        "near": "相近",
        "alike": "{title}（相似{share:.0%}{also}{lacks}）",
        "also": "，另有{}",
        "lacks": "，没有{}",
        "pairs": "搭配",
        "pair": "{pair}（见于{dishes}道菜，是偶然的{lift:.1f}倍）",
        "compounds": "风味",
        "shared": "{pair}有{count}种共同的风味物质",
        "nutrition": "营养",
        "portion": "一份约{energy_kcal:.0f}千卡：蛋白质{protein_g:.0f}克，脂肪{fat_g:.0f}克，碳水化合物"
        "{carbohydrate_g:.0f}克；均衡度{balance:.2f}",
        "new": "新意",
        "never": "已知菜肴中没有{}",
        "known": "这组食材是已知的",
        "apart": "与最近的已知菜肴相差{:.0%}",
        "comma": "，",
        "list": "、",
        "plausible": "合理度",
        "novel": "新颖度",
        "reward": "得分",
    },
}


def explained(tasting: Tasting, dish: Dish, metrics: Mapping[str, float]) -> dict[str, Any]:
    """Return what is said of a dish as plain data, with English names."""
    data, (ingredients, methods) = tasting.data, dish
    likeness = tasting.likeness(ingredients)
    titles = {known.ingredients: known.title for known in reversed(data.recipes)}
    near = []
    for at in np.argsort(-likeness, kind="stable")[:NEAREST]:
        theirs = tasting.sets[at]
        also, lacks = set(theirs) - set(ingredients), set(ingredients) - set(theirs)
        names = {
            "also": [data.ingredients[i] for i in sorted(also)],
            "lacks": [data.ingredients[i] for i in sorted(lacks)],
        }
        near.append({"title": titles[theirs], "likeness": float(likeness[at]), **names})
    used, total = tasting.members[list(ingredients)].sum(1, dtype=np.int64), len(tasting.sets)
    pairs = []
    for (i, a), (j, b) in combinations(enumerate(ingredients), 2):
        together = int((tasting.members[a] & tasting.members[b]).sum(dtype=np.int64))
        lift = together * total / max(1, int(used[i]) * int(used[j]))
        two = [data.ingredients[a], data.ingredients[b]]
        shared = len(frozenset.intersection(*(data.compounds.get(name, frozenset()) for name in two)))
        pairs.append({"pair": two, "dishes": together, "lift": lift, "shared_compounds": shared})
    return {
        "ingredients": [data.ingredients[i] for i in ingredients],
        "methods": [data.methods[m] for m in methods],
        "metrics": dict(metrics),
        "nearest": near,
        "pairs": sorted((pair for pair in pairs if pair["dishes"]), key=lambda pair: -pair["lift"]),
        "new_pairs": [pair["pair"] for pair in pairs if not pair["dishes"]],
    }


def title_of(found: Mapping[str, Any], language: str) -> str:
    """Return a dish in one line: "potato + beef, braise"."""
    ingredients, methods = ([shown(name, language) for name in found[part]] for part in ("ingredients", "methods"))
    return WORDS[language]["comma"].join([" + ".join(ingredients), *methods])


def reasons(found: Mapping[str, Any], language: str) -> list[tuple[str, str]]:
    """Return the lines of what `explained` found: a word for what each is about, and the text."""
    words, metrics = WORDS[language], found["metrics"]

    def named(names: Sequence[str], between: str) -> str:
        return between.join(shown(name, language) for name in names)

    near = []
    for one in found["nearest"]:
        more = {
            part: words[part].format(named(one[part], words["list"])) if one[part] else "" for part in ("also", "lacks")
        }
        near.append(words["alike"].format(title=titled(one["title"], language), share=one["likeness"], **more))
    counted = {"en": "{} dish{}", "zh": "{}"}[language]
    carrying = [
        words["pair"].format(
            pair=named(pair["pair"], "-"),
            dishes=counted.format(pair["dishes"], "es" * (pair["dishes"] > 1)),
            lift=pair["lift"],
        )
        for pair in found["pairs"][:PAIRS]
    ]
    lines = [("near", near[:NEAREST]), ("pairs", carrying)]
    sharing = sorted(
        (pair for pair in found["pairs"] if pair["shared_compounds"]), key=lambda p: -p["shared_compounds"]
    )
    shared = [words["shared"].format(pair=named(p["pair"], "-"), count=p["shared_compounds"]) for p in sharing[:PAIRS]]
    lines.append(("compounds", shared))
    if {"balance", *NUTRIENTS} <= set(metrics):
        lines.append(("nutrition", [words["portion"].format(**metrics)]))
    if metrics["novel"] > 0:
        never = [words["never"].format(words["list"].join(named(pair, "+") for pair in found["new_pairs"][:PAIRS]))]
        new = [words["apart"].format(metrics["novel"]), *(never if found["new_pairs"] else [])]
    else:
        new = [words["known"]]
    lines.append(("new", new))
    return [(words[about], words["comma"].join(texts)) for about, texts in lines if texts]


def lines_of(dishes: Sequence[Mapping[str, Any]], language: str = "en") -> list[str]:
    """Return dishes with their reasons as lines of text."""
    lines, words = [], WORDS[language]
    for number, found in enumerate(dishes, start=1):
        measured = found.get("figures") or {name: found["metrics"][name] for name in ("plausible", "novel")}
        figures = [f"{words.get(name, name)} {value:.2f}" for name, value in measured.items()]
        figures.append(f"{words.get('reward', 'reward')} {found['reward']:.3f}")
        lines += [f"{number}. {title_of(found, language)}", f"   {words['comma'].join(figures)}"]
        lines += [f"   {about}: {text}" for about, text in reasons(found, language)]
        lines.append("")
    return lines
