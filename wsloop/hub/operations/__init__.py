"""What an operator may do to the hub: publish, look, subscribe users, send them away.

Free of any transport: a request is a Struct of `requests.py`, what comes of it one of `results.py`,
or an error code. `table.py` names all methods, `server/api.py` brings them to HTTP. Fields and
behaviour are those of Centrifugo's server API, since its clients are used with it.
"""
