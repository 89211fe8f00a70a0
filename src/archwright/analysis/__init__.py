"""Analyses of searches: how well shared weights rank, runs side by side, warnings of a collapse, drawings."""
