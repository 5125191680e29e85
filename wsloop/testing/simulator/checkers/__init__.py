"""Judges of a run: each promise in a file of its own, which says what would break it.

P1 to P5 and P7 are functions that are told of one event (an append, an acknowledgement, a push) and raise a
`Violation`; the others look at the world after each step, at rest and at the end. None walks over the whole
world after a step: what costs more than a comparison is done every so many steps, and says so.
"""
