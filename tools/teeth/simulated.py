"""`python -m tools.teeth.simulated SHAPE SEED STEPS`: the simulator, without what it does about a failure.

Prints {"steps", "violation"} as JSON: nobody needs the plan of a planted bug made shorter.
"""

from __future__ import annotations

import json
import sys

from wsloop.testing.simulator.run import simulate

if __name__ == "__main__":
    shape, seed, steps = sys.argv[1:]
    outcome = simulate(int(seed), int(steps), shape=shape)
    print(json.dumps({"steps": outcome.steps, "violation": str(outcome.violation or "")}))
