"""The files of deploy/: what they set exists, what they name is there, and nothing runs as root."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from app.health import address_of
from core.dnastore.server_settings import load_server_settings, server_names
from core.settings import load_settings, names
from deploy.first_try import make

REPOSITORY: Final = Path(__file__).resolve().parents[3]
DEPLOY: Final = REPOSITORY / "deploy"
_COMPOSE: Final = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
_SERVICES: Final[Mapping[str, Any]] = _COMPOSE["services"]
_KUSTOMIZATION: Final = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())
#: What both programs take at most to stop: their default, and what a stop may take beyond.
_DRAIN_SECONDS: Final = 20 + 10
_OWN: Final = ("sigil", "dnastore")
_PINNED: Final = re.compile(r"[:]v?\d+\.\d+[\w.-]*$")
#: What the secrets of Kubernetes are called in the folder of a first try.
_FILES: Final = {
    "dnastore-client/tls.crt": "client.pem",
    "dnastore-client/tls.key": "client-key.pem",
    "dnastore-client/ca.crt": "authority.pem",
    "dnastore-server/tls.crt": "server.pem",
    "dnastore-server/tls.key": "server-key.pem",
    "dnastore-server/ca.crt": "authority.pem",
    "dnastore-server/allow.json": "allow.json",
    "dnastore-server/store_url": "store_url",
    "sigil/event_secret": "event_secret",
    "sigil/audit_secret": "audit_secret",
    "sigil/redis_url": "redis_url",
}


def _resources() -> Iterator[dict[str, Any]]:
    for name in _KUSTOMIZATION["resources"]:
        yield from yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text())


def _workloads() -> dict[str, dict[str, Any]]:
    kinds = ("Deployment", "StatefulSet")
    return {one["metadata"]["name"]: one["spec"] for one in _resources() if one["kind"] in kinds}


def compose_environment(service: str) -> dict[str, str]:
    """What compose.yaml sets, with the defaults of what the shell may set."""
    substituted = re.compile(r"\$\{\w+:?-([^}]*)\}")
    variables = _SERVICES[service]["environment"]
    return {name: substituted.sub(r"\1", str(value)) for name, value in variables.items()}


def _kubernetes_environment(service: str) -> dict[str, str]:
    (found,) = (one for one in _KUSTOMIZATION["configMapGenerator"] if one["name"] == f"{service}-settings")
    return dict(literal.split("=", 1) for literal in found["literals"])


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a first try."""
    folder = tmp_path_factory.mktemp("secrets")
    make(folder)
    return folder


def _in_place(value: str, secrets: Path) -> str:
    """A path in a container, as a path of the files here."""
    place = value.removeprefix("/run/secrets/")
    if place == value:
        return value
    if place in _FILES:
        return str(secrets / _FILES[place])
    return str(secrets / Path(_COMPOSE["secrets"][place]["file"]).name)


@pytest.mark.parametrize("environment", [compose_environment, _kubernetes_environment])
@pytest.mark.parametrize("service", _OWN)
def test_settings_are_accepted(
    environment: Any, service: str, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each variable is a setting, and together they are what the programs start with."""
    given = {name: _in_place(value, secrets) for name, value in environment(service).items()}
    known = names() if service == "sigil" else server_names()
    assert set(given) <= set(known)
    for name in {*names(), *server_names()}:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    if service == "sigil":
        settings = load_settings()
        assert settings.workers == 2
        assert settings.spool == "on"
        assert settings.redis_url is not None
    else:
        assert load_server_settings().store_url.startswith("postgresql://")


@pytest.mark.parametrize("service", _OWN)
def test_ports_are_the_same_everywhere(service: str) -> None:
    """Settings, probes, services, targets of Prometheus and the image agree on the ports."""
    metrics = {"sigil": "SIGIL_METRICS_PORT", "dnastore": "DNASTORE_SERVER_METRICS_PORT"}[service]
    exposed = re.findall(r"\d+", re.findall(r"^EXPOSE (.*)", (DEPLOY / "Containerfile").read_text(), re.M)[0])
    pod = _workloads()[service]["template"]
    ports = {port["name"]: port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
    command = "serve" if service == "sigil" else "dnastore"
    for given in (compose_environment(service), _kubernetes_environment(service)):
        port = address_of(command, given).port
        assert {str(port), given[metrics]} <= set(exposed)
        assert ports == {"http" if service == "sigil" else "https": port, "metrics": int(given[metrics])}
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(ports["metrics"])
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    (targets,) = (job["static_configs"][0]["targets"] for job in scraped if job["job_name"] == service)
    assert targets == [f"{service}:{ports['metrics']}"]


def test_probes_ask_for_what_there_is() -> None:
    """Paths of probes are answered, and commands of health checks are the image's own."""
    for name, workload in _workloads().items():
        (container,) = workload["template"]["spec"]["containers"]
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container[kind]
            if name == "sigil":
                expected = "/readyz" if kind == "readinessProbe" else "/healthz"
                assert probe["httpGet"] == {"path": expected, "port": "http"}
            else:
                assert probe["exec"]["command"] == _SERVICES[name]["healthcheck"]["test"][1:]
        drain = int(container["lifecycle"]["preStop"]["exec"]["command"][1]) + _DRAIN_SECONDS
        assert workload["template"]["spec"]["terminationGracePeriodSeconds"] > drain


def test_secrets_that_are_referred_to_exist(secrets: Path) -> None:
    """Every secret of compose.yaml is made for a first try, every one of Kubernetes is in the document."""
    for name, secret in _COMPOSE["secrets"].items():
        assert (secrets / Path(secret["file"]).name).is_file(), name
    for config in _COMPOSE["configs"].values():
        assert (DEPLOY / config["file"]).is_file(), config
    for service in _SERVICES.values():
        for one in service.get("secrets", ()):
            assert (one if isinstance(one, str) else one["source"]) in _COMPOSE["secrets"]
    document = (REPOSITORY / "docs" / "deploy.md").read_text()
    for workload in _workloads().values():
        for volume in workload["template"]["spec"]["volumes"]:
            if "secret" in volume:
                assert f"create secret generic {volume['secret']['secretName']} " in document
                assert volume["secret"]["defaultMode"] == 0o440
    assert not list((DEPLOY / "kubernetes").glob("**/*secret*")), "secrets are not committed"


def test_images_are_pinned() -> None:
    """Every image has a version, and ours has one version everywhere."""
    images = {service["image"] for service in _SERVICES.values()}
    base = re.findall(r"^ARG BASE=(.*)", (DEPLOY / "Containerfile").read_text(), re.M)
    for image in [*images, *base]:
        assert _PINNED.search(image), image
    (own,) = _KUSTOMIZATION["images"]
    assert f"sigil:{own['newTag']}" in images


@pytest.mark.parametrize("service", _SERVICES)
def test_compose_gives_nothing_away(service: str) -> None:
    """Nothing is root, can gain rights, change its programs, or is reached from other hosts."""
    given = _SERVICES[service]
    assert int(given["user"].partition(":")[0]) > 0
    assert given["read_only"]
    assert given["cap_drop"] == ["ALL"]
    assert given["security_opt"] == ["no-new-privileges:true"]
    assert given["mem_limit"]
    assert given["cpus"]
    assert all(port.startswith("127.0.0.1:") for port in given.get("ports", ()))
    assert not any("PASSWORD" in name and not name.endswith("FILE") for name in given.get("environment", ()))


@pytest.mark.parametrize("workload", _OWN)
def test_kubernetes_gives_nothing_away(workload: str) -> None:
    """Pods are as restricted as the standard of that name asks, and keep acknowledged writes on a volume."""
    pod = _workloads()[workload]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["enableServiceLinks"]
    assert not pod["automountServiceAccountToken"]
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    if _kubernetes_environment(workload).get("DNASTORE_SPOOL") == "on":
        claims = _workloads()[workload]["volumeClaimTemplates"]
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts[claims[0]["metadata"]["name"]] == _kubernetes_environment(workload)["SIGIL_DATA_DIR"]
