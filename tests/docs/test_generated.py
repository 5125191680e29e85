"""Generated parts of the documentation are up to date."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_configuration_page_is_what_the_settings_say() -> None:
    command = [sys.executable, "docs/configuration_table.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run: python docs/configuration_table.py\n{done.stderr}"


def test_every_setting_with_a_flag_is_on_the_page_with_it() -> None:
    page = (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8")
    for flag in ("--host", "--port", "--bind", "--ws-max-size", "--log-level", "--timeout-graceful-shutdown"):
        assert f"`{flag}`" in page
