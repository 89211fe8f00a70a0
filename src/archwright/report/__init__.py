"""Output for people: drawings of architectures, plots of searches and results, intervals, tables, words.

`text` and `drawing` show an `archwright.graph.Graph`, `layout` places it; `statistics` has the intervals of a result.
"""
