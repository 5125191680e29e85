"""Where session, transport and timers meet. Read `connection.py` first."""
