"""The event loop: poller, timers, wakeup and the turn.

Knows nothing of what sockets carry or of WebSockets. Read `reactor.py` first.
"""
