"""What browser tests and the screenshots stand on: a browser, a yard, jobs to look at."""

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import sync_playwright

from dashboard import DIST, HERE
from dashboard.__main__ import build

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
INSTALL = "apt-get update -q && apt-get install -q -y --no-install-recommends chromium"
SCREENSHOTS = Path(__file__).parent / "screenshots"
WIDE, NARROW = {"width": 1360, "height": 860}, {"width": 390, "height": 844}


def chromium():
    """Where a browser is; installed if this is root's Debian and there is none; None if there can be none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found or os.geteuid() != 0 or not shutil.which("apt-get"):
        return found
    subprocess.run(INSTALL, shell=True, check=False, capture_output=True)
    return shutil.which(NAMES[0])


@contextmanager
def browsing(path):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def build_if_stale():
    index = DIST / "index.html"
    sources = [*(HERE / "src").rglob("*"), HERE / "package-lock.json", HERE / "build.mjs"]
    if not index.exists() or index.stat().st_mtime < max(path.stat().st_mtime for path in sources):
        build()


def one_hot(samples, classes, seed):
    return {"to_categorical": {"random": [samples, 1], "seed": seed, "high": classes}, "nb_classes": classes}


def job(name, nb_epoch=3, lr=0.1, width=16, **more):
    """A perceptron on random data."""
    layers = [
        {"class_name": "Dense", "config": {"output_dim": width, "input_dim": 8, "activation": "tanh"}},
        {"class_name": "Dense", "config": {"output_dim": 3, "activation": "softmax"}},
    ]
    return {
        "name": name,
        "seed": 7,
        "model": {"class_name": "Sequential", "config": layers},
        "compile": {
            "loss": "categorical_crossentropy",
            "optimizer": {"class_name": "SGD", "config": {"lr": lr}},
            "metrics": ["accuracy"],
        },
        "fit": {
            "x": {"random": [200, 8], "seed": 1},
            "y": one_hot(200, 3, 2),
            "nb_epoch": nb_epoch,
            "batch_size": 32,
            "validation_split": 0.2,
        },
    } | more


def branched(name="two branches"):
    """A model of two branches, one of which holds a model of its own."""
    inner = {
        "class_name": "Sequential",
        "name": "inside",
        "config": [{"class_name": "Dense", "config": {"output_dim": 6}}],
    }
    dense = {"class_name": "Dense", "config": {"output_dim": 6, "input_dim": 8}}
    branches = [
        {"class_name": "Sequential", "name": "left", "config": [dense, inner]},
        {"class_name": "Sequential", "name": "right", "config": [dense]},
    ]
    merge = {"class_name": "Merge", "config": {"layers": branches, "mode": "concat"}}
    body = job(name)
    body["model"]["config"] = [merge, {"class_name": "Dense", "config": {"output_dim": 3, "activation": "softmax"}}]
    body["fit"]["x"] = [{"random": [200, 8], "seed": 1}, {"random": [200, 8], "seed": 4}]
    return body


def submit(url, body):
    answer = httpx.post(f"{url}/v1/jobs", json=body, timeout=30)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def state(url, job_id):
    return httpx.get(f"{url}/v1/jobs/{job_id}", timeout=30).json()["state"]
