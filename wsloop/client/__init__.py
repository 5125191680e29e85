"""Outbound connections: what the server asks of others over HTTP, and a messaging client over WebSocket.

Everything runs on the server's own reactor; nothing here waits. Read `urls.py` and `names.py` for
where to go, `connection.py` and `http.py` for how, `breaker.py` and `endpoint.py` for whether it is
worth trying, `backend.py` and `hooks.py` for what is said. Must not know of `server/`, which it
serves through the ports of `hub/backend.py`.

Apart from that, `websocket.py`, `messaging.py` and what they name: a client of any server that speaks
the messaging protocol, for the command line and for load tests.
"""
