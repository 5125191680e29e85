"""The picture: a panel per cell, a bar per server, shorter is better. Needs matplotlib (extra `bench`)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from tools.bench.model import Cell
    from tools.bench.summary import Summary

OURS, THEIRS, BARE = "#c8502d", "#8aa0b4", "#d9dde1"
COLUMNS = 3
PANEL_INCHES = (4.4, 3.0)


def colour(peer: str) -> str:
    """Return a bar's colour: wsloop, a peer, or a bare loop that is no server."""
    if peer.startswith("wsloop"):
        return OURS
    return BARE if peer.startswith("bare-") else THEIRS


def heading(cell: Cell) -> str:
    """Return what a panel shows: the cell, and the figure that the bars are."""
    if cell.kind.cost == "p99_ms":
        return f"{cell.name}: polite peer's 99th percentile, ms"
    figure = "server CPU" if cell.kind.cost == "cpu" else "private memory"
    return f"{cell.name}: {figure}, {cell.kind.cost_unit} per {cell.kind.unit}"


def bars(summaries: Sequence[Summary]) -> list[tuple[str, float]]:
    """Return (server, cost), the cheapest first; what was not measured has no bar."""
    return sorted(
        ((one.peer, one.cost) for one in summaries if math.isfinite(one.cost)), key=lambda bar: bar[1]
    )


def draw_panel(axes: Axes, cell: Cell, summaries: Sequence[Summary]) -> None:
    """Draw one cell."""
    shown = bars(summaries)
    names, costs = [name for name, _ in shown], [cost for _, cost in shown]
    drawn = axes.barh(names, costs, color=[colour(name) for name in names])
    axes.bar_label(drawn, labels=[f"{cost:,.2f}" for cost in costs], padding=2, fontsize=6)
    axes.set_title(heading(cell), fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.16)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def write_plot(path: Path, cells: Sequence[Cell], summaries: Sequence[Summary]) -> None:
    """Write an SVG to `path`; the same figures give the same bytes."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update(
        {"svg.hashsalt": "wsloop", "svg.fonttype": "none"}
    )  # text stays text: a tenth the size
    from matplotlib import pyplot

    rows = math.ceil(len(cells) / COLUMNS)
    size = (PANEL_INCHES[0] * COLUMNS, PANEL_INCHES[1] * rows)
    figure, grid = pyplot.subplots(rows, COLUMNS, figsize=size, layout="constrained", squeeze=False)
    panels = list(grid.flat)
    for axes, cell in zip(panels, cells, strict=False):
        draw_panel(axes, cell, [one for one in summaries if one.cell == cell.name])
    for axes in panels[len(cells) :]:
        axes.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)
