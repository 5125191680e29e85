"""The targets, one file each.

Each has `one_input(data)`, which reads any bytes and raises only for a bug, and `inputs()`, a strategy that
draws what it is meant for: seeds of its corpus.
"""
