"""The expressions of docs/deploy: those of the dashboard's panels, and those of the alert rules."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy"
ALERTS = DEPLOY / "alerts.yml"
DASHBOARD = DEPLOY / "grafana.json"

BY_GRAFANA = {"$__rate_interval": "5m", "$instance": ".*"}
"""What Grafana puts in their place."""


def alerts() -> list[dict[str, Any]]:
    """Return the alert rules."""
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def panels() -> list[dict[str, Any]]:
    """Return the dashboard's panels."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def expressions() -> dict[str, str]:
    """Return all expressions as Prometheus gets them, by a name for each."""
    found = {rule["alert"]: rule["expr"] for rule in alerts()}
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"]
            for variable, value in BY_GRAFANA.items():
                expression = expression.replace(variable, value)
            found[f"{panel['title']} {target['refId']}"] = expression
    return found


def metric_names(expression: str) -> set[str]:
    """Return the names of metrics in an expression, as they are in the table."""
    found = set(re.findall(r"\bwsloop_[a-z_]+", expression))
    return {re.sub(r"_seconds_(bucket|sum|count)$", "_seconds", name) for name in found}


def tool(name: str) -> str:
    """Return the path of one of Prometheus' programs; without it, skip with the command, or fail in CI."""
    path = shutil.which(name)
    if path is None:
        reason = f"{name} is not installed: sudo apt-get install --no-install-recommends prometheus"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path
