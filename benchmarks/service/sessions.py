"""How soon an embedded yard answers a step of a session, and how many it does when many come at once."""

import time
from statistics import median, quantiles
from typing import Any

import httpx
import numpy as np

from benchmarks.models import MLP
from benchmarks.service.first_step import yard
from engine.sources import Packed

ALONE, TOGETHER, REQUESTS = 300, 64, 20
#: What is over before a session is warm: its worker, and the pages of the database.
WARM = 50
HEAD = "| a step of the small MLP, 16 rows as bytes | |\n"
RULE = "|---|---|"


class Session:
    """One session of the MLP.

    Args:
        client: The way to the yard.
    """

    def __init__(self, client: httpx.Client) -> None:
        job = {key: value for key, value in MLP.job("ds_none", 1).items() if key in ("model", "compile")}
        answer = client.post("/v1/jobs", json=job | {"session": {}}).raise_for_status().json()
        self.client, self.path, self.next = client, answer["links"]["steps"], 1

    def send(self, *steps: dict[str, Any]) -> float:
        """Have steps done, and tell the seconds it took."""
        began = time.perf_counter()
        answer = self.client.post(self.path, json={"first": self.next, "steps": steps})
        took = time.perf_counter() - began
        if answer.status_code != 200 or {each["state"] for each in answer.json()["steps"]} != {"done"}:
            raise RuntimeError(answer.text)
        self.next += len(steps)
        return took


def table() -> list[str]:
    """Start a yard and measure in it."""
    data = MLP.data()
    train = {"train": {name: Packed.of(data[name][: MLP.batch].astype(np.float32)).to_json() for name in ("x", "y")}}
    predict = {"predict": {"x": train["train"]["x"], "encoding": "base64"}}
    with yard() as url, httpx.Client(base_url=url, timeout=60) as client:
        session = Session(client)
        for _ in range(WARM):
            session.send(train)
        alone = [session.send(train) for _ in range(ALONE)]
        asked = [session.send(predict) for _ in range(ALONE)]
        together = sum(session.send(*[train] * TOGETHER) for _ in range(REQUESTS))
        piped = pipelined(session, train)
        session.send({"close": {}})
    return [
        HEAD + RULE,
        f"| POST of one `train`, warm, median of {ALONE} | {median(alone) * 1000:.1f} ms |",
        f"| the same, p95 | {quantiles(alone, n=20)[-1] * 1000:.1f} ms |",
        f"| POST of one `predict`, median of {ALONE} | {median(asked) * 1000:.1f} ms |",
        f"| `train` steps a second, {TOGETHER} to a request | {REQUESTS * TOGETHER / together:,.0f} |",
        f"| the same, sent ahead and not waited for one by one | {piped:,.0f} |",
    ]


def pipelined(session: Session, step: dict[str, Any]) -> float:
    """Send requests ahead, three of them at a time in flight, and tell the steps a second."""
    began, first = time.perf_counter(), session.next
    for _ in range(REQUESTS):
        content = {"first": session.next, "steps": [step] * TOGETHER}
        session.client.post(session.path, json=content, headers={"Prefer": "wait=0"}).raise_for_status()
        session.next += TOGETHER
        behind = session.next - 1 - 2 * TOGETHER
        if behind > first:
            wait_for(session, behind)
    wait_for(session, session.next - 1)
    return REQUESTS * TOGETHER / (time.perf_counter() - began)


def wait_for(session: Session, number: int) -> None:
    """Wait until a step is done."""
    path = f"{session.path}?after={number - 1}&limit=1"
    while session.client.get(path, headers={"Prefer": "wait=30"}).json()["steps"][0]["state"] != "done":
        pass
