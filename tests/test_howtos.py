"""The tutorial and the how-tos, run as they stand: programs train, jobs are checked, commands and settings exist."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml

from core.settings import Settings
from tests.trainyard.yards import UpCommand

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
#: What the blocks of each page are written in.
BLOCKS = {
    "tutorial": {"bash", "python"},
    "several-inputs": {"json", "python"},
    "stateful": {"json", "python"},
    "sessions": {"json", "python"},
    "custom-metrics": {"json", "python"},
    "resume": {"json", "python"},
    "gpu-workers": {"sh"},
    "own-s3": {"ini", "sh"},
}
PROGRAMS = [page for page, kinds in BLOCKS.items() if "python" in kinds]
JOBS = [page for page, kinds in BLOCKS.items() if "json" in kinds]

pytestmark = pytest.mark.xdist_group("howtos")


def blocks(page, kind):
    return re.findall(rf"```{kind}\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    up = UpCommand(tmp_path_factory.mktemp("howtos") / "yard")
    yield up.url
    up.end()


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    subprocess.run([sys.executable, ROOT / "examples/digits/data.py", path], check=True)
    return path


@pytest.fixture
def folder(tmp_path, digits):
    """Where the reader stands, with the data that `make run` has left."""
    (tmp_path / ".trainyard").mkdir()
    shutil.copy(digits, tmp_path / ".trainyard")
    return tmp_path


@pytest.fixture(scope="module")
def dataset(url, tmp_path_factory):
    """The arrays that the jobs of the pages name."""
    path = tmp_path_factory.mktemp("data") / "data.npz"
    flags = np.arange(96)[:, None] % 2
    np.savez(path, forms=np.ones((96, 16), "float32"), stories=np.ones((96, 5, 3), "float32"), flags=flags)
    with path.open("rb") as file:
        return httpx.post(f"{url}/v1/datasets", files={"file": file}).json()["id"]


def paste(command, folder, url, **more):
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"TRAINYARD_URL": url, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=240, check=False, **more,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("page", BLOCKS)
def test_every_block_of_a_page_is_of_a_kind_that_is_tried(page):
    kinds = re.findall(r"^```(\w*)$", (DOCS / f"{page}.md").read_text(), re.MULTILINE)
    assert set(kinds[::2]) == BLOCKS[page]
    assert set(kinds[1::2]) == {""}


@pytest.mark.parametrize("page", PROGRAMS)
def test_the_program_of_a_page_runs(page, url, folder):
    (folder / "program.py").write_text("\n".join(blocks(page, "python")))
    paste([sys.executable, "-W", "error", "program.py"], folder, url)


def test_the_tutorial_works_when_pasted(url, folder):
    printed = paste(["bash", "-euo", "pipefail"], folder, url, input="\n".join(blocks("tutorial", "bash")))

    answers, decoder = [], json.JSONDecoder()
    while printed := printed.lstrip():
        value, end = decoder.raw_decode(printed)
        answers.append(value)
        printed = printed[end:]
    arrays, checked, metrics, job, predicted = answers
    assert set(arrays["arrays"]) >= {"x_train", "y_train", "x_test", "y_test"}
    assert checked["warnings"] == []
    assert len(metrics["series"]["val_acc"]) == 15
    assert job["state"] == "succeeded"
    assert job["evaluation"]["acc"] > 0.9
    assert len(predicted["y"]) == 297
    assert (folder / "story.txt").read_text().rstrip().rpartition("event: ")[2].startswith("end")
    assert (folder / "weights.h5").read_bytes()[:4] == b"\x89HDF"


@pytest.mark.parametrize("page", JOBS)
def test_the_job_of_a_page_is_one_that_the_service_takes(page, url, dataset):
    (block,) = blocks(page, "json")
    answer = httpx.post(f"{url}/v1/validations", json=json.loads(block.replace("ds_…", dataset)))
    assert answer.status_code == 200, answer.text
    assert answer.json()["warnings"] == []


def test_inputs_have_the_names_that_the_page_gives_them(url, dataset):
    (block,) = blocks("several-inputs", "json")
    job = json.loads(block.replace("ds_…", dataset))
    (by_name,) = re.findall(r'`"x": (\{"form.*?\})`', (DOCS / "several-inputs.md").read_text())
    job["fit"]["x"] = json.loads(by_name.replace("ds_…", dataset))
    answer = httpx.post(f"{url}/v1/validations", json=job)
    assert answer.status_code == 200, answer.text


def test_compose_has_the_profile_and_the_services_that_pages_name():
    command, by_hand = blocks("gpu-workers", "sh")
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert re.search(r"--profile (\w+)", command)[1] in services["worker-gpu"]["profiles"]
    assert re.search(r"--scale (\w+)=", command)[1] in services
    assert "profiles" not in services["worker"]
    assert re.search(r"python -m ([\w.]+)$", by_hand.strip())[1] == "worker.main"


@pytest.mark.parametrize("page", ["gpu-workers", "own-s3"])
def test_settings_that_a_page_names_are_settings_there_are(page, monkeypatch, tmp_path):
    text = (DOCS / f"{page}.md").read_text()
    named = set(re.findall(r"TRAINYARD_(\w+)(?==|`)", text))
    assert {name.lower() for name in named - {"URL"}} <= Settings.model_fields.keys()

    for name, value in re.findall(r"(TRAINYARD_\w+)=([^\s`]+)", text):
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None, data_dir=tmp_path)
    expected = {"gpu-workers": (2, "0,1", True), "own-s3": (1, "all", False)}[page]
    assert (settings.worker_slots, settings.gpus, settings.storage_presign) == expected


def test_a_store_of_ones_own_is_found_by_the_variables_of_its_page(monkeypatch):
    from core.buckets import open_bucket

    (block,) = blocks("own-s3", "ini")
    values = dict(line.split("=", 1) for line in block.splitlines() if line and not line.startswith("#"))
    for name, value in values.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value.replace("…", "secret"))

    bucket = open_bucket(values["TRAINYARD_STORAGE_URL"], values["TRAINYARD_STORAGE_PUBLIC_URL"])
    signed = bucket.get_url("projects/p/file", 60, "file", "application/octet-stream")

    assert signed.startswith("https://files.example.org/my-bucket/trainyard/projects/p/file?")


def test_the_gateway_says_whether_it_reaches_its_store(url, folder):
    (block,) = blocks("own-s3", "sh")
    assert json.loads(paste(["bash", "-euo", "pipefail", "-c", block], folder, url))["storage"] == "ok"
