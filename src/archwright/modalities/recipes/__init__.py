"""Recipes as a kind of data: known dishes, how plausible others are, and why."""
