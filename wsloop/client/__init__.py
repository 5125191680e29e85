"""What the server asks of others: outbound connections, HTTP on them, the backend, the hooks.

Everything runs on the server's own reactor; nothing here waits. Read `urls.py` and `names.py` for
where to go, `connection.py` and `http.py` for how, `breaker.py` and `endpoint.py` for whether it is
worth trying, `backend.py` and `hooks.py` for what is said. Must not know of `server/`, which it
serves through the ports of `hub/backend.py`.
"""
