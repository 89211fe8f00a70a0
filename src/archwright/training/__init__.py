"""Training a network: `recipe`, `fit`, and the pure functions they use. `recipe` and `schedules` need no torch."""
