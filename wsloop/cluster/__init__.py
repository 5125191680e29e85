"""Several processes that are one messaging domain: the link between them, and both of its ends.

`messages.py` is what is said and `link.py` what carries it. A worker's end is `uplink.py`, which
reconnects, and `remote.py`, the ports of `hub/` on it; the hub process's end is `service.py`, which owns the
one memory broker of all. `domain.py` makes either the domain of a server. Must not know of sockets'
contents, clients' protocols or settings.
"""
