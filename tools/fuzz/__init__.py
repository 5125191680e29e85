"""Guided random bytes for whatever reads a stranger's: `make fuzz`, told in docs/internals/fuzzing.md.

A target is a plain function of bytes (`targets/`, listed in `table.py`). With atheris it is driven by what
its inputs reach (`driven.py`, a process of its own, started by `campaign.py`); without it tests replay the
inputs that are kept in `corpus/`. The rule for all: an event or a named error, never another exception;
within bounds of time and memory (`bounds.py`).
"""
