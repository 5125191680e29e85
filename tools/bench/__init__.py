"""Benchmarks: the daemon beside its peers, and single parts beside what they replace.

`echo.py` is the runner and the first file to read; `loadgen.c` makes the load. How to run and to
read them: docs/benchmarks.md. Everything here runs from the project's root as `python -m tools.bench...`.
"""
