"""`python -m wsloop` is the `wsloop` command."""

from wsloop.daemon.cli import main

main()
