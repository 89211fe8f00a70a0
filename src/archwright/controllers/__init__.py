"""The controllers that come with archwright, and the registry of their names.

A controller is any object with the methods of `archwright.loop.Controller`. The registry holds import paths, so
listing the names loads nothing.
"""

from __future__ import annotations

CONTROLLERS: dict[str, str] = {
    "evolution": "archwright.controllers.evolution:RegularizedEvolution",
    "gradient": "archwright.controllers.gradient:Gradient",
    "guided": "archwright.controllers.guided:Guided",
    "local": "archwright.controllers.local:LocalSearch",
    "optuna": "archwright.controllers.optuna_sampler:OptunaSampler",
    "ppo": "archwright.controllers.ppo:Ppo",
    "random": "archwright.controllers.random:Random",
    "reinforce": "archwright.controllers.reinforce:Reinforce",
}
