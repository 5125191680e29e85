"""Conformance: every case of the Autobahn TestSuite against the daemon's `/echo`.

`__main__.py` is the command and the first file to read. `cases.py` has the list of cases and the
explanations, `judge.py` what passes, `page.py` the table in docs/reference/conformance.md, `run.py`
daemon and child process, `suite.py` the only file that knows kosoku, which plays the cases.
"""
