"""The how-tos, run as they stand: programs train, jobs are checked, commands and settings exist."""

import json
import re

import httpx
import numpy as np
import pytest
import yaml

from core.settings import Settings
from tests import walks
from tests.guides import ROOT, blocks_of, given

PAGES = tuple(f"docs/{page}.md" for page in ("several-inputs", "stateful", "sessions", "custom-metrics", "resume"))

pytestmark = pytest.mark.xdist_group("howtos")


@pytest.fixture
def folder(tmp_path):
    """Where the reader stands."""
    walks.equip(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def dataset(url, tmp_path_factory):
    """The arrays that the jobs of the pages name."""
    path = tmp_path_factory.mktemp("data") / "data.npz"
    flags = np.arange(96)[:, None] % 2
    np.savez(path, forms=np.ones((96, 16), "float32"), stories=np.ones((96, 5, 3), "float32"), flags=flags)
    with path.open("rb") as file:
        return httpx.post(f"{url}/v1/datasets", files={"file": file}).json()["id"]


def checked(url, job):
    answer = httpx.post(f"{url}/v1/validations", json=job)
    assert answer.status_code == 200, answer.text
    return answer.json()


@given(*PAGES, kind="python")
def test_the_program_of_a_page_runs(guide, url, folder):
    (folder / "program.py").write_text(guide.text)
    walks.paste("python program.py", folder, url)


@given(*PAGES, kind="json")
def test_the_job_of_a_page_is_one_that_the_service_takes(guide, url, dataset):
    (block,) = guide.blocks
    assert checked(url, json.loads(block.replace("ds_…", dataset)))["warnings"] == []


def test_inputs_have_the_names_that_the_page_gives_them(url, dataset):
    page = (ROOT / "docs/several-inputs.md").read_text()
    (block,) = [each.text for each in blocks_of("docs/several-inputs.md") if each.kind == "json"]
    job = json.loads(block.replace("ds_…", dataset))
    (by_name,) = re.findall(r'`"x": (\{"form.*?\})`', page)
    job["fit"]["x"] = json.loads(by_name.replace("ds_…", dataset))
    checked(url, job)


@given("docs/gpu-workers.md", kind="sh")
def test_compose_has_the_profile_and_the_services_that_pages_name(guide):
    command, by_hand = guide.blocks
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert re.search(r"--profile (\w+)", command)[1] in services["worker-gpu"]["profiles"]
    assert re.search(r"--scale (\w+)=", command)[1] in services
    assert "profiles" not in services["worker"]
    assert re.search(r"python -m ([\w.]+)$", by_hand.strip())[1] == "worker.main"


@pytest.mark.parametrize("page", ["gpu-workers", "own-s3"])
def test_settings_that_a_page_names_are_settings_there_are(page, monkeypatch, tmp_path):
    text = (ROOT / f"docs/{page}.md").read_text()
    named = set(re.findall(r"TRAINYARD_(\w+)(?==|`)", text))
    assert {name.lower() for name in named - {"URL"}} <= Settings.model_fields.keys()

    for name, value in re.findall(r"(TRAINYARD_\w+)=([^\s`]+)", text):
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None, data_dir=tmp_path)
    expected = {"gpu-workers": (2, "0,1", True), "own-s3": (1, "all", False)}[page]
    assert (settings.worker_slots, settings.gpus, settings.storage_presign) == expected


@given("docs/own-s3.md", kind="ini")
def test_a_store_of_ones_own_is_found_by_the_variables_of_its_page(guide, monkeypatch):
    from core.buckets import open_bucket

    values = dict(line.split("=", 1) for line in guide.text.splitlines() if line and not line.startswith("#"))
    for name, value in values.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value.replace("…", "secret"))

    bucket = open_bucket(values["TRAINYARD_STORAGE_URL"], values["TRAINYARD_STORAGE_PUBLIC_URL"])
    signed = bucket.get_url("projects/p/file", 60, "file", "application/octet-stream")

    assert signed.startswith("https://files.example.org/my-bucket/trainyard/projects/p/file?")


@given("docs/own-s3.md", kind="sh")
def test_the_gateway_says_whether_it_reaches_its_store(guide, url, folder):
    assert json.loads(walks.paste(guide.text, folder, url))["storage"] == "ok"


@given("docs/preprocessing.md", kind="python")
def test_sequences_are_written_as_the_page_writes_them(guide, folder, url):
    (folder / "program.py").write_text(guide.text)
    walks.paste("python program.py", folder, url)
    with np.load(folder / "data.npz") as made:
        assert made["words"].tolist() == [3, 1, 4, 1, 5, 9, 2, 6, 5]
        assert made["offsets"].tolist() == [0, 3, 5, 9]


@pytest.fixture(scope="module")
def arrays(url, tmp_path_factory):
    """The arrays that the forms of the page on preprocessing name."""
    path = tmp_path_factory.mktemp("forms") / "data.npz"
    images = np.ones((3, 8, 8, 1), "uint8")
    np.savez(path, words=np.arange(1, 10), offsets=[0, 3, 5, 9], x=images, y=np.ones((3, 2)), labels=[0, 9, 5])
    with path.open("rb") as file:
        return httpx.post(f"{url}/v1/datasets", files={"file": file}).json()["id"]


def model_for(*shape):
    """A model that takes samples of a shape and gives two numbers."""
    layers = [("Flatten", {"input_shape": shape})] if len(shape) > 1 else []
    layers += [("Dense", {"output_dim": 2} | ({} if layers else {"input_shape": shape}))]
    return {"class_name": "Sequential", "config": [{"class_name": name, "config": its} for name, its in layers]}


@given("docs/preprocessing.md", kind="json")
def test_the_blocks_on_preprocessing_are_what_the_service_takes(guide, url, arrays):
    sequences, augmented = (json.loads(block.replace("ds_…", arrays)) for block in guide.blocks)
    assert checked(url, {"model": model_for(80), "predict": {"x": sequences}})["warnings"] == []
    compiled = {"optimizer": "sgd", "loss": "mse"}
    told = checked(url, {"model": model_for(8, 8, 1), "compile": compiled} | augmented)
    assert told["definition"]["fit"]["augmentation"]["width_shift_range"] == 0.1


def test_every_form_in_the_table_on_preprocessing_gives_the_shape_that_it_says(url, arrays):
    page = (ROOT / "docs/preprocessing.md").read_text()
    table = re.findall(r"^\| `(\{.*?\})` \| (.*?) \|", page, re.MULTILINE)
    assert len(table) == 4
    sequences = f'{{"sequences": "{arrays}/words", "offsets": "{arrays}/offsets"}}'
    for form, gives in table:
        array = "labels" if "to_categorical" in form else "x"
        reference = json.loads(form.replace(": ref", f': "{arrays}/{array}"').replace(": sequences", f": {sequences}"))
        shape = [max(map(int, widths))] if (widths := re.findall(r"`\(n, (\d+)\)`", gives)) else [8, 8, 1]
        checked(url, {"model": model_for(*shape), "predict": {"x": reference}})


def test_sequences_may_stand_in_a_job_and_in_a_json_file_as_the_page_says(url):
    page = (ROOT / "docs/preprocessing.md").read_text()
    (written,) = re.findall(r'`(\{"words": .*?\})`', page)
    told = httpx.post(f"{url}/v1/datasets", files={"file": ("data.json", written)}).json()
    assert set(told["arrays"]) == {"words", "words.offsets"}
    assert "`words.offsets`" in page.replace("\n", " ")
    (inline,) = re.findall(r'`(\{"pad_sequences": \[.*?\})`', page)
    checked(url, {"model": model_for(80), "predict": {"x": json.loads(inline)}})
