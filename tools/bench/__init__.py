"""Benchmarks: the daemon beside its peers, and single parts beside what they replace.

`run.py` is the runner and the first file to read; `load/` makes the load, `servers/` has what is
loaded. How to run and to read them: docs/benchmarks.md. Everything here runs from the project's root
as `python -m tools.bench...`.
"""
