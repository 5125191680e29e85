"""What a running daemon tells of itself: its numbers, and whether it is well.

`metrics.py` is the table of all metrics; `observer.py` collects the numbers of one process from the rooms
below; `snapshot.py` makes those of several processes one; `exposition.py` writes them in Prometheus'
format; `service.py` answers over HTTP. Nothing in here is asked on the way of a message.
"""
