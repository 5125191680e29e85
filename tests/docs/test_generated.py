"""Generated parts of the documentation are up to date, and would be seen not to be."""

from __future__ import annotations

import dataclasses
import runpy
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
DIAGRAMS = runpy.run_path(str(ROOT / "docs" / "make_diagrams.py"))
PICTURES = sorted(DIAGRAMS["DIAGRAMS"])


SCRIPTS = (
    "alerts_table.py", "api_table.py", "configuration_table.py", "cve_table.py", "dashboard.py",
    "faults_table.py", "make_diagrams.py", "metrics_table.py", "protocol_tables.py",
)  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_is_made_from_the_code_is_as_the_code_says(script: str) -> None:
    command = [sys.executable, f"docs/{script}", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run: python docs/{script}\n{done.stderr}"


def test_every_setting_with_a_flag_is_on_the_page_with_it() -> None:
    page = (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8")
    for flag in ("--host", "--port", "--bind", "--ws-max-size", "--log-level", "--timeout-graceful-shutdown"):
        assert f"`{flag}`" in page


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_without_one_of_the_steps_is_another_picture(name: str) -> None:
    diagram = DIAGRAMS["DIAGRAMS"][name]()
    drawn = {strokes(diagram)}
    for number in range(len(diagram.steps)):
        steps = diagram.steps[:number] + diagram.steps[number + 1 :]
        drawn.add(strokes(dataclasses.replace(diagram, steps=steps)))
    assert len(drawn) == 1 + len(diagram.steps)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_has_each_state_once_and_lies_inside_its_frame(name: str) -> None:
    picture = ElementTree.fromstring((ROOT / "docs" / "images" / name).read_text(encoding="utf-8"))
    texts = [part for part in picture.iter() if part.tag.endswith("}text")]
    names = [part.text for part in texts if part.get("class") == "name"]
    assert names == DIAGRAMS["DIAGRAMS"][name]().states
    for part in texts:
        assert 0 < int(part.get("x", 0)) < int(picture.get("width", 0))
        assert 0 < int(part.get("y", 0)) < int(picture.get("height", 0))


def strokes(diagram: object) -> str:
    """Return a picture without its description in words, which lists the steps too."""
    canvas = DIAGRAMS["Canvas"](diagram)
    canvas.svg()
    return "\n".join(canvas.parts)
