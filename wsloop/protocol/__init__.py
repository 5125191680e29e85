"""The sans-IO protocol core: bytes in, events out, events in, bytes out.

No socket, time, randomness or os. The only room that sees wsproto and h11. A connection
first lives in `handshake.py` (HTTP), then in `session.py` (WebSocket); read those two first.
"""
