"""Draw the state diagrams in docs/images from the tables in the code, so that they cannot lie.

    python docs/make_diagrams.py           draws them anew
    python docs/make_diagrams.py --check   exits with 1 if one is out of date

The states stand in a column, in the order of their enum. A step to the next one is an arrow
down; whatever leads to the last state runs down a lane on the left; every other target has a
lane of its own on the right. A step that changes nothing is written into its state.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

from wsloop.client.breaker import BREAKER_TRANSITIONS, BreakerState
from wsloop.cluster.uplink_states import UPLINK_TRANSITIONS, UplinkState
from wsloop.hub.client_state import CLIENT_TRANSITIONS, ClientState
from wsloop.protocol.session_states import SESSION_TRANSITIONS, SessionState
from wsloop.server.lifecycle import DEADLINE_OF_STATE, TRANSITIONS, Deadlines, State
from wsloop.transport.tls_state import TLS_TRANSITIONS, TlsState

IMAGES = Path(__file__).parent / "images"

# All lengths are in pixels of the picture.
NODE_WIDTH, NODE_HEIGHT, PITCH, MARGIN = 200, 46, 94, 20
STUB, LANE, PORT = 112, 26, 24
"""From a node to its first lane, with room for a step's name; from lane to lane; from port to port."""

STYLE = (
    "text{font:13px sans-serif;fill:#1b1f24}.name{font-weight:bold;text-anchor:middle}"
    ".note{font-size:12px;fill:#57606a;text-anchor:middle}.left{text-anchor:end}"
    "rect.state{fill:#eef3fb;stroke:#3b5b92}path{fill:none;stroke:#57606a}"
)
ARROW = (
    '<marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
    'orient="auto"><path d="M0 0 8 4 0 8z" style="fill:#57606a;stroke:none"/></marker>'
)

Step = tuple[str, str, str]
"""From a state, by a step, to a state."""


@dataclass
class Diagram:
    """One picture: `notes` are second lines in the nodes, by state; long ones need a wider node."""

    title: str
    states: list[str]
    steps: list[Step]
    notes: dict[str, str] = field(default_factory=dict)
    node_width: int = NODE_WIDTH

    def edges(self) -> dict[tuple[str, str], list[str]]:
        """Return the names of the steps from each state to each other one."""
        found: dict[tuple[str, str], list[str]] = {}
        for before, name, after in self.steps:
            if before != after:
                found.setdefault((before, after), []).append(name)
        return found

    def note(self, state: str) -> str:
        """Return the second line of a node: its note, or the steps that change nothing."""
        stays = [name for before, name, after in self.steps if before == after == state]
        return self.notes.get(state, "") or ("stays on: " + ", ".join(stays) if stays else "")


def is_arrow_down(diagram: Diagram, edge: tuple[str, str]) -> bool:
    """Tell whether an edge leads to the state right below."""
    return diagram.states.index(edge[1]) == diagram.states.index(edge[0]) + 1


def lanes(diagram: Diagram) -> tuple[list[str], list[str]]:
    """Return the targets that have a lane on the left and on the right, inner lanes first."""
    reach: dict[str, int] = {}
    for before, after in diagram.edges():
        if not is_arrow_down(diagram, (before, after)):
            length = abs(diagram.states.index(after) - diagram.states.index(before))
            reach[after] = max(reach.get(after, 0), length)
    inner_first = sorted(reach, key=lambda state: (reach[state], diagram.states.index(state)))
    last = diagram.states[-1]
    return [state for state in inner_first if state == last], [s for s in inner_first if s != last]


class Canvas:
    """The picture of one diagram, and where things are on it."""

    def __init__(self, diagram: Diagram) -> None:
        self.diagram = diagram
        self.left, self.right = lanes(diagram)
        self.node_x = MARGIN + (STUB if self.left else 0)
        self.width = self.node_x + self.diagram.node_width + MARGIN
        self.width += STUB + LANE * (len(self.right) - 1) if self.right else 0
        self.height = 2 * MARGIN + PITCH * (len(diagram.states) - 1) + NODE_HEIGHT
        self.parts: list[str] = []

    def top(self, state: str) -> int:
        """Return the upper edge of a state's node."""
        return MARGIN + PITCH * self.diagram.states.index(state)

    def port(self, state: str, lane: str, *, on_left: bool) -> int:
        """Return the height at which the way between a state and a lane touches the state's node."""
        edges = self.diagram.edges()
        used = [
            target
            for target in (self.left if on_left else self.right)
            if target == state
            or ((state, target) in edges and not is_arrow_down(self.diagram, (state, target)))
        ]
        return self.top(state) + NODE_HEIGHT // 2 + PORT * (2 * used.index(lane) - len(used) + 1) // 2

    def text(self, x: int, y: int, words: str, kind: str = "") -> None:
        """Write one line."""
        attribute = f' class="{kind}"' if kind else ""
        self.parts.append(f'<text x="{x}" y="{y}"{attribute}>{escape(words)}</text>')

    def line(self, way: str, *, arrow: bool = True) -> None:
        """Draw along a path."""
        end = ' marker-end="url(#arrow)"' if arrow else ""
        self.parts.append(f'<path d="{way}"{end}/>')

    def draw_nodes(self) -> None:
        """Draw the states."""
        middle = self.node_x + self.diagram.node_width // 2
        for state in self.diagram.states:
            top, note = self.top(state), self.diagram.note(state)
            self.parts.append(
                f'<rect class="state" x="{self.node_x}" y="{top}" width="{self.diagram.node_width}" '
                f'height="{NODE_HEIGHT}" rx="8"/>'
            )
            self.text(middle, top + (20 if note else 28), state, "name")
            if note:
                self.text(middle, top + 37, note, "note")

    def draw_arrows_down(self) -> None:
        """Draw the steps to the state right below."""
        middle = self.node_x + self.diagram.node_width // 2
        for edge, names in self.diagram.edges().items():
            if is_arrow_down(self.diagram, edge):
                begin, end = self.top(edge[0]) + NODE_HEIGHT, self.top(edge[1])
                self.line(f"M{middle} {begin}V{end}")
                self.text(middle + 8, (begin + end) // 2 + 4, ", ".join(names))

    def draw_lane(self, target: str, *, on_left: bool) -> None:
        """Draw every other way to `target`."""
        side = -1 if on_left else 1
        edge_x = self.node_x + (0 if on_left else self.diagram.node_width)
        number = (self.left if on_left else self.right).index(target)
        lane_x = edge_x + side * (STUB + LANE * number)
        end_y = self.port(target, target, on_left=on_left)
        heights = [end_y]
        for (before, after), names in self.diagram.edges().items():
            if after != target or is_arrow_down(self.diagram, (before, after)):
                continue
            y = self.port(before, target, on_left=on_left)
            heights.append(y)
            self.line(f"M{edge_x} {y}H{lane_x}", arrow=False)
            for line_number, name in enumerate(names):
                below = 3 + 15 * line_number if line_number else -5
                self.text(edge_x + side * 8, y + below, name, "left" if on_left else "")
        farthest_y, other_y = sorted((min(heights), max(heights)), key=lambda y: -abs(y - end_y))
        self.line(f"M{lane_x} {farthest_y}V{end_y}H{edge_x}")
        if other_y != end_y:
            self.line(f"M{lane_x} {other_y}V{end_y}", arrow=False)

    def svg(self) -> str:
        """Return the whole picture, with the table in words for who cannot see it."""
        self.draw_nodes()
        self.draw_arrows_down()
        for target in self.left:
            self.draw_lane(target, on_left=True)
        for target in self.right:
            self.draw_lane(target, on_left=False)
        words = "; ".join(f"{before}, {name}: {after}" for before, name, after in self.diagram.steps)
        head = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img">',
            f"<title>{escape(self.diagram.title)}</title>",
            f"<desc>{escape(words)}</desc>",
            f"<style>{STYLE}</style><defs>{ARROW}</defs>",
            # A ground of its own: the page behind it may be dark.
            f'<rect width="{self.width}" height="{self.height}" rx="8" fill="#fff"/>',
        ]
        return "\n".join([*head, *self.parts, "</svg>", ""])


def connection() -> Diagram:
    """Return the life of a connection, with the deadline of each state."""
    notes = {
        state.value: f"{name}: {Deadlines().of(state):g} s"
        for state, name in DEADLINE_OF_STATE.items()
        if name
    }
    steps = [(before.value, taken.value, after.value) for (before, taken), after in TRANSITIONS.items()]
    return Diagram("A connection's states", [state.value for state in State], steps, notes)


def session() -> Diagram:
    """Return the closing handshake, as the session follows it."""
    steps = [
        (before.value, taken.value, after.value)
        for before, row in SESSION_TRANSITIONS.items()
        for taken, after in row.items()
    ]
    return Diagram("A session's states", [state.value for state in SessionState], steps)


def tls() -> Diagram:
    """Return a TLS stream's life."""
    steps = [
        (before.value, taken.value, after.value)
        for before, row in TLS_TRANSITIONS.items()
        for taken, after in row.items()
    ]
    return Diagram("A TLS stream's states", [state.value for state in TlsState], steps, node_width=380)


def client() -> Diagram:
    """Return the life of a messaging client."""
    steps = [
        (before.value, taken.value, after.value)
        for before, row in CLIENT_TRANSITIONS.items()
        for taken, after in row.items()
    ]
    return Diagram("A messaging client's states", [state.value for state in ClientState], steps)


def breaker() -> Diagram:
    """Return how a circuit breaker opens and closes."""
    steps = [
        (before.value, taken.value, after.value)
        for before, row in BREAKER_TRANSITIONS.items()
        for taken, after in row.items()
    ]
    return Diagram("A circuit breaker's states", [state.value for state in BreakerState], steps)


def uplink() -> Diagram:
    """Return how a worker's end of the link breaks and comes back."""
    steps = [
        (before.value, taken.value, after.value)
        for before, row in UPLINK_TRANSITIONS.items()
        for taken, after in row.items()
    ]
    return Diagram("A worker's end of the link", [state.value for state in UplinkState], steps)


DIAGRAMS = {
    "breaker-states.svg": breaker,
    "client-states.svg": client,
    "connection-states.svg": connection,
    "session-states.svg": session,
    "tls-states.svg": tls,
    "uplink-states.svg": uplink,
}


def main() -> int:
    """Draw, or check, every picture; return the exit code."""
    drawn = {IMAGES / name: Canvas(make()).svg() for name, make in DIAGRAMS.items()}
    if "--check" in sys.argv:
        return int(any(not path.exists() or path.read_text("utf-8") != svg for path, svg in drawn.items()))
    for path, svg in drawn.items():
        path.write_text(svg, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
