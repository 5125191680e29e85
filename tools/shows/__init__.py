"""What the daemon promises its operator, shown on this machine: real processes, real sockets, signals.

Each show is a program that starts `wsloop serve`, loads it, does to it what it must survive, prints what it
saw as one JSON object and ends with 0 if every promise was kept. `make show-...` runs the full one, a test in
`tests/tools` a short slice. Next: house.py, the daemon of a show.
"""
