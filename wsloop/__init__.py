"""wsloop: a WebSocket messaging daemon whose event loop is written by hand.

Read `loop/reactor.py` first: its `run_once` is the whole program's heartbeat. Then follow
a byte: `transport/tcp.py`, `server/connection.py`, `protocol/session.py`, `hub/dispatcher.py`.
"""

__version__ = "0.1.0"
