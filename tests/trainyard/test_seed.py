"""The guide's snippets, run as they are, each beside the same job in JSON."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from trainyard import backend as K
from trainyard import session
from trainyard.http import Client

pytestmark = pytest.mark.xdist_group("seed")

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
NAMES = sorted(path.stem for path in (EXAMPLES / "sequential").glob("*.json"))
LONG = {"vgg", "image_captioning"}
TEXTS = {"first_steps", "one_input", "two_branches"}
DATA = ("x", "y", "validation_data")


@pytest.fixture
def client(yard, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAINYARD_URL", yard.url)
    before = K.image_dim_ordering()
    np.random.seed(7)
    with Client(yard.url) as client:
        monkeypatch.setitem(session._current, "client", client)
        yield client
    K.set_image_dim_ordering(before)


def snippet(name):
    return runpy.run_path(str(EXAMPLES / "seed" / f"{name}.py"))


def history_of(client, job):
    sent = client.jobs.create(job)
    *_, ended = client.watch(sent["id"])
    assert ended["state"] == "succeeded", ended["error"]
    return client.jobs.metrics(sent["id"])


def in_json(client, name, trained):
    """The example's job, on the arrays and with the seed that the snippet's job had."""
    job = json.loads((EXAMPLES / "sequential" / f"{name}.json").read_text())
    job["fit"] |= {key: trained["definition"]["fit"][key] for key in DATA if key in job["fit"]}
    job.pop("evaluate", None)
    if (weights := Path("weight_file.h5")).exists():
        job["weights"] = {"id": client.weights.create(weights)["id"], "into": "image_model"}
    return job | {"seed": trained["seed"]}


@pytest.mark.parametrize("name", [pytest.param(each, marks=[pytest.mark.slow] * (each in LONG)) for each in NAMES])
def test_a_snippet_trains_as_the_same_job_in_json_does(client, name):
    left = snippet(name)
    model = left.get("decoder") or left["model"]
    trained = client.jobs.get(model.history.job)

    metrics = history_of(client, in_json(client, name, trained))

    assert model.history.epoch == metrics["epoch"]
    assert model.history.history == metrics["series"]
    if "score" in left:
        assert len(left["score"]) == 2


def test_the_guide_s_text_runs_and_trains_as_jobs_in_json_do(client):
    first = snippet("first_steps")["model"]
    assert first.output_shape == (None, 32)
    assert first.count_params() == 12_416
    assert first.metrics_names == ["loss", "acc", "mean_pred", "false_neg", "false_pos"]
    for name, epochs in (("one_input", 10), ("two_branches", 10)):
        left = snippet(name)
        trained = client.jobs.get(left["model"].history.job)
        job = {key: trained["definition"][key] for key in ("model", "compile", "fit")} | {"seed": trained["seed"]}
        metrics = history_of(client, job)
        assert left["model"].history.history == metrics["series"]
        assert len(metrics["epoch"]) == epochs
    assert left["final_model"].history.history["loss"][0] > left["final_model"].history.history["loss"][-1]
    assert "acc" not in left["final_model"].history.history


def test_every_snippet_is_tried_and_told_of():
    scripts = {path.stem for path in (EXAMPLES / "seed").glob("*.py")}
    assert scripts == {*NAMES, *TEXTS}
    told = (EXAMPLES / "seed" / "README.md").read_text()
    assert all(f"`{name}.py`" in told for name in TEXTS)
