"""Comparisons of search strategies: equal budgets, paired seeds, intervals. `archwright bench` is a skin over it.

`tables` and `landscape` have what is searched, `strategies` what searches it, `contest` runs it in memory, `training`
on real children in a folder that can be resumed, `summary` says what came out.
"""
