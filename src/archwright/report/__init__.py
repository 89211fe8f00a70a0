"""What a run leaves for people: drawings of architectures, plots of a search, intervals, and tables.

`graph` is what a space hands over, `text` and `drawing` show it, `layout` places it (`layers`, `crossings` and
`positions` are its steps), `plots` shows searches and results, `statistics` says how far to trust them.
"""
