"""Do the tests bite? Planted bugs, and what finds them.

`bugs/` holds small patches, each a fault that somebody could make. `python -m tools.teeth` (or `make teeth`)
plants one at a time in a copy of the package and lets the hunters loose on it: the simulator, and public
properties. A bug that nobody finds is a hole in the tests.
"""
