"""Comparisons of search strategies: equal budgets, paired seeds, intervals. `archwright bench` calls it.

`tables` and `landscape` are searched by `strategies`: in `contest` in memory, in `training` on real children in a
folder that can be resumed. `record` keeps the searches that have ended, `summary` compares them.
"""
