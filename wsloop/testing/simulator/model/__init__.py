"""What the promises mean, told as data: above all what was appended where, and when.

Knows no server, socket or frame. `checkers` judge by it, `people` feed it. Begin with `ledger.py`.
"""
