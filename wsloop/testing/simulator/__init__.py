"""The simulator: the real server on virtual time, over a network that does what networks do.

Reactor, sessions, connections, hub and link are those that the daemon runs; clock, poller, sockets, entropy
and everybody outside are this package's. One seed is one history, bit for bit. Read `world.py` for a step,
`faults.py` for what goes wrong, `run.py` for a run, and docs/internals/simulator.md for the way through.
"""
