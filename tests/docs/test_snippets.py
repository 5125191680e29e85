"""What the documentation shows is run, and where it points exists."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest

from wsloop.daemon.cli import cli
from wsloop.daemon.config import load
from wsloop.daemon.units import parse

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(path for path in ROOT.glob("docs/**/*.md") if "_build" not in path.parts)]
)
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LANGUAGES = {
    "python": "run",
    "sh": "commands, options and make targets exist",
    "toml": "settings that the daemon takes",
    "js": "for a browser's console",
    "json": "an example of the protocol",
    "text": "a drawing, or what is printed",
}
"""What a block may be, and how it is checked here. A Python block that does not run has no place."""


def blocks(language: str) -> list[tuple[str, str]]:
    """Return (page and number, text) of every fenced block in a language."""
    found = []
    for page in PAGES:
        texts = [text for kind, text in FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]
        found += [(f"{page.relative_to(ROOT)}#{number}", text) for number, text in enumerate(texts, 1)]
    return found


PYTHON = blocks("python")
SHELL = blocks("sh")
TARGETS = sorted({name for _, text in SHELL for name in re.findall(r"^make (\w+)", text, re.MULTILINE)})


@pytest.mark.parametrize("text", [text for _, text in PYTHON], ids=[name for name, _ in PYTHON])
def test_a_python_block_runs_by_itself(text: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", text],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_block_is_of_a_kind_that_is_known_here(page: Path) -> None:
    opened = re.findall(r"^[ >]*(?:```+|~~~+)(.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    for number, info in enumerate(opened):
        if number % 2:
            assert info == "", f"a block ends with {info!r}"
        else:
            assert info in LANGUAGES or re.fullmatch(r"\{(toctree|eval-rst|literalinclude)\}.*", info), info


@pytest.mark.parametrize(
    "text", [text for _, text in blocks("toml")], ids=[name for name, _ in blocks("toml")]
)
def test_a_file_of_settings_is_one_that_the_daemon_takes(text: str, tmp_path: Path) -> None:
    path = tmp_path / "wsloop.toml"
    path.write_text(text, encoding="utf-8")
    settings = load(path, {})
    for section, values in tomllib.loads(text).items():
        if section == "namespaces":
            for name, options in values.items():
                assert_taken(options, settings.namespaces[name])
        else:
            assert_taken(values, getattr(settings, section))


def assert_taken(values: dict[str, object], section: object) -> None:
    for key, value in values.items():
        taken = getattr(section, key)
        if isinstance(value, str) and isinstance(taken, int | float):
            value = parse(value, "B" if isinstance(taken, int) else "s")
        assert taken == (tuple(value) if isinstance(value, list) else value)


TESTS = [(name, text) for name, text in PYTHON if re.search(r"^def test_\w+\((?!\))", text, re.MULTILINE)]


@pytest.mark.parametrize("text", [text for _, text in TESTS], ids=[name for name, _ in TESTS])
def test_a_block_of_tests_passes(text: str, tmp_path: Path) -> None:
    """Its fixtures are the plugin's, as on a reader's machine."""
    (tmp_path / "test_block.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    loaded = any(each.name == "wsloop" for each in entry_points(group="pytest11"))
    plugin = [] if loaded else ["-p", "wsloop.testing.pytest_plugin"]
    done = subprocess.run(
        [*command, *plugin, "test_block.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_blocks_of_tests_are_found() -> None:
    assert sum("test-your-app" in name for name, _ in TESTS) >= 2


def wsloop_commands() -> list[tuple[str, str]]:
    lines = ((name, line.partition("#")[0].split()) for name, text in SHELL for line in text.splitlines())
    return [(name, " ".join(words)) for name, words in lines if words[:1] == ["wsloop"]]


@pytest.mark.parametrize("command", sorted({command for _, command in wsloop_commands()}))
def test_a_wsloop_command_has_only_options_that_exist(command: str) -> None:
    words = command.split()[1:]
    with click.Context(cli) as context:
        name, found, rest = cli.resolve_command(context, words)
        assert found is not None
        found.make_context(name, rest, parent=context)


@pytest.mark.parametrize("target", TARGETS)
def test_a_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_a_link_inside_the_tree_leads_somewhere(page: Path) -> None:
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_a_link_to_a_heading_leads_to_one(page: Path) -> None:
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", prose):
        if "://" not in target:
            assert anchor in anchors(page.parent / target if target else page), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and myst make them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_make_test_arguments_in_the_readme_name_files_that_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"ARGS=(tests/\S+?)`", readme)
    assert len(named) >= 4
    for path in named:
        assert (ROOT / path).exists(), path


def test_architecture_is_two_pages_at_most() -> None:
    lines = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 100


def test_there_are_blocks_to_run() -> None:
    assert len(PYTHON) >= 8
    assert len(wsloop_commands()) >= 5
