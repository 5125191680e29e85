"""The judge: has conversations with a WebSocket echo server, and reports the shortest that goes wrong.

`python -m wsloop.testing.judge URL`. It draws conversations from `wsloop.testing.strategies`, plays them over
real sockets (`player.py`), and holds what came back against the oracle (`rules.py`). It knows nothing of the
server but its address: any one that sends every message back will do.
"""
