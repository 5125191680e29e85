"""The people of a run: clients of all kinds, whoever calls the server's API, and the operator.

Each is an `Actor` (`actors.py`): it acts when its time has come, and hears what the network brings it. What
it sees is told to the checkers as it happens. They speak for themselves, with a frame reader and a frame
writer of their own (`frames.py`), so that the server's are not checked against themselves, and cheaply: a
message costs some 5 us, since a run has millions of them.
"""
