"""What the operator sees: command line, configuration, signals, logs, composition."""

import os

# numpy, where it is installed, unmasks large messages. What it brings for linear algebra would start a
# thread for each core when it is loaded, and use none.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
