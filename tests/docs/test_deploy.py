"""Files of docs/deploy that nothing here can run: what they say of wsloop is true, and they fit together."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml

from wsloop.daemon.cli import cli
from wsloop.daemon.config import load
from wsloop.daemon.table import all_keys

if TYPE_CHECKING:
    from wsloop.daemon.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs" / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
MANIFESTS: list[dict[str, Any]] = list(
    yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8"))
)
FILES = (".log", ".conf", ".toml", ".sock")
"""How what is a file's name ends, and no setting's."""

SLACK_S = 5
"""What comes after a drain: the last answers, and the end of the process."""


def manifest(kind: str) -> dict[str, Any]:
    (found,) = [each for each in MANIFESTS if each["kind"] == kind]
    return found


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = manifest("Deployment")["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    (only,) = pod()["containers"]
    assert isinstance(only, dict)
    return only


def kubernetes_settings(folder: Path) -> Settings:
    path = folder / "wsloop.toml"
    path.write_text(manifest("ConfigMap")["data"]["wsloop.toml"], encoding="utf-8")
    return load(path, {})


def instructions(name: str) -> list[str]:
    """Return the arguments of all instructions of that name, the last stage's last."""
    return re.findall(rf"^{name} (.+)$", DOCKERFILE, re.MULTILINE)


def assert_is_a_command(words: list[str]) -> None:
    """Raise if a command line is none of wsloop's."""
    with click.Context(cli) as context:
        name, found, rest = cli.resolve_command(context, words)
        assert found is not None
        found.make_context(name, rest, parent=context)


# -- Kubernetes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document", MANIFESTS, ids=[f"{each['kind']}-{each['metadata']['name']}" for each in MANIFESTS]
)
def test_a_manifest_is_valid_by_kubernetes_own_schemas(document: dict[str, Any]) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    validator.validate(document, validator.latest_version(), strict=True)


def test_the_pods_settings_are_ones_that_wsloop_takes(tmp_path: Path) -> None:
    settings = kubernetes_settings(tmp_path)
    ports = {each["name"]: each["containerPort"] for each in container()["ports"]}
    assert ports == {"clients": settings.server.port, "admin": 8766}
    assert settings.server.forwarded_allow_ips


def test_the_grace_period_covers_the_drain(tmp_path: Path) -> None:
    window_s = kubernetes_settings(tmp_path).server.timeout_graceful_shutdown
    _, wait_s = container()["lifecycle"]["preStop"]["exec"]["command"]
    assert pod()["terminationGracePeriodSeconds"] >= int(wait_s) + window_s + SLACK_S


def test_probes_ask_for_what_they_should() -> None:
    probed = {name: container()[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert probed == {
        "startup": {"path": "/livez", "port": "admin"},
        "liveness": {"path": "/livez", "port": "admin"},
        "readiness": {"path": "/readyz", "port": "admin"},
    }


def test_whoever_selects_pods_selects_these() -> None:
    labels = manifest("Deployment")["spec"]["template"]["metadata"]["labels"]
    services = [each["spec"]["selector"] for each in MANIFESTS if each["kind"] == "Service"]
    selectors = [
        manifest(kind)["spec"]["selector"]["matchLabels"] for kind in ("Deployment", "PodDisruptionBudget")
    ]
    assert [*services, *selectors] == [labels] * 4


def test_secrets_are_variables_that_wsloop_reads_and_hold_none() -> None:
    variables = {f"WSLOOP_{key.section}__{key.name}".upper() for key in all_keys() if key.is_secret}
    named = manifest("Secret")["stringData"]
    assert set(named) <= variables
    assert set(named.values()) == {""}


# -- Docker ----------------------------------------------------------------------------------


def test_the_image_is_built_from_files_that_are_there_and_sent_to_the_engine() -> None:
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {line[1:] for line in ignore if line.startswith("!")}
    copied = {
        word.rstrip("/") for line in instructions("COPY") for word in line.split()[:-1] if word[0] not in "-/"
    }
    assert copied == sent
    assert "*" in ignore
    for name in sent:
        assert (ROOT / name).exists(), name


def test_what_is_installed_is_an_extra() -> None:
    setup = ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    found = re.search(r"pip install --no-cache-dir '\.\[([\w,]+)\]'", DOCKERFILE)
    assert found
    assert set(found[1].split(",")) <= set(setup["options.extras_require"])


def test_it_runs_as_the_user_that_the_pod_names() -> None:
    context = pod()["securityContext"]
    assert instructions("USER") == [f"{context['runAsUser']}:{context['runAsGroup']}"]
    assert context["runAsNonRoot"] is True


def test_its_commands_are_wsloops() -> None:
    (entry,), (arguments,) = instructions("ENTRYPOINT"), instructions("CMD")
    assert yaml.safe_load(entry) == ["wsloop"]
    assert_is_a_command(yaml.safe_load(arguments))
    probe = re.search(r"^HEALTHCHECK .*\\\n +CMD (.+)$", DOCKERFILE, re.MULTILINE)
    assert probe
    name, *words = yaml.safe_load(probe[1])
    assert name == "wsloop"
    assert_is_a_command(words)


# -- all of them -----------------------------------------------------------------------------


def test_a_comment_about_wsloops_settings_names_some_that_exist() -> None:
    paths = {key.path for key in all_keys()}
    sections = "|".join({key.section for key in all_keys()})
    for file in DEPLOY.iterdir():
        named = re.findall(rf"\b((?:{sections})\.[a-z]\w+)\b(?!\.)", file.read_text(encoding="utf-8"))
        for path in named:
            assert path in paths or path.endswith(FILES), f"{file.name}: {path}"


def test_each_file_is_told_of_on_a_page() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("**/*.md"))
    for file in DEPLOY.iterdir():
        assert file.suffix == ".md" or file.name in pages, file.name
