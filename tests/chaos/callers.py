"""Callers who do not give up, and a ledger of what they were promised."""

import json
import random
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from core.tables import TERMINAL
from tests.chaos.jobs import JOBS, SESSION, SHARES, steps

#: After so long without a proper answer a caller gives up, and the run has failed.
PATIENCE_SECONDS = 120.0
JSON = {"Content-Type": "application/json"}
#: So many send a session its steps, all of them the same; in the middle they let it rest.
ATTENDANTS = 2
REST_SECONDS = 1.5


@dataclass
class Ledger:
    """What the service has said yes to."""

    #: Each request's own key, and the job it was told.
    jobs: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    #: Requests that were answered with different jobs.
    doubled: list[str] = field(default_factory=list)
    #: What each step of each session was answered with, and what should not have been answered.
    results: dict[tuple[str, int], Any] = field(default_factory=dict)
    unsteady: list[str] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def promise(self, key: str, kind: str, job_id: str) -> None:
        """Write down an answer."""
        with self.lock:
            if self.jobs.setdefault(key, job_id) != job_id:
                self.doubled.append(f"{key} is {self.jobs[key]} and {job_id}")
            self.kinds[job_id] = kind

    def answered(self, job_id: str, step: dict[str, Any]) -> None:
        """Write down what came of a step: it may never be told otherwise again."""
        with self.lock:
            known = self.results.setdefault((job_id, step["number"]), step)
            if known != step or step["state"] != "done":
                self.unsteady.append(f"step {step['number']} of {job_id} is {step}, and was {known}")


class Callers:
    """Anybody who asks: of any gateway, again and again, until it answers.

    Args:
        urls: The gateways.
        api_key: The way in.
        ledger: Where promises are written down.
    """

    def __init__(self, urls: Sequence[str], api_key: str, ledger: Ledger) -> None:
        self.urls, self.ledger, self.dataset = urls, ledger, ""
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._attended: Counter[str] = Counter()
        self._attendants = ThreadPoolExecutor(16)
        self._http = httpx.Client(headers=self._headers, timeout=15.0, limits=httpx.Limits(max_connections=100))

    def close(self) -> None:
        """Let go of the connections."""
        self._attendants.shutdown()
        self._http.close()

    def ask(self, method: str, path: str, first: int = 0, **request: Any) -> httpx.Response:
        """Ask until there is a proper answer, each time another gateway.

        Raises:
            TimeoutError: There was none for a long time.
        """
        deadline, count, last = time.monotonic() + PATIENCE_SECONDS, first, "nothing"
        while time.monotonic() < deadline:
            try:
                answer = self._http.request(method, self.urls[count % len(self.urls)] + path, **request)
            except httpx.TransportError as error:
                last = repr(error)
            else:
                self.ledger.answers[answer.status_code] += 1
                if answer.status_code < 500 and not _in_flight(answer):
                    return answer
                last = answer.text
            count += 1
            time.sleep(0.2)
        raise TimeoutError(f"{method} {path} had no answer for {PATIENCE_SECONDS:g} s; the last was {last}")

    def upload(self, content: bytes) -> None:
        """Store the data that all jobs train on."""
        answer = self.ask("POST", "/v1/datasets", files={"file": ("digits.npz", content)})
        self.dataset = answer.raise_for_status().json()["id"]

    def submit(self, kind: str, key: str | None = None, first: int = 0) -> str:
        """Queue a job of a kind, whatever it takes."""
        key = key or str(uuid.uuid4())
        headers = {"Idempotency-Key": key, **JSON}
        answer = self.ask("POST", "/v1/jobs", first, content=self.body(kind, key), headers=headers)
        job_id: str = answer.raise_for_status().json()["id"]
        self.ledger.promise(key, kind, job_id)
        if kind == SESSION:
            self._attend(job_id)
        return job_id

    def _attend(self, job_id: str) -> None:
        with self.ledger.lock:
            number = self._attended[job_id]
            self._attended[job_id] += 1
        for each in range(number, ATTENDANTS if number == 0 else 0):
            self._attendants.submit(self._guarded, job_id, each)

    def _guarded(self, job_id: str, number: int) -> None:
        try:
            self.attend(job_id, number)
        except Exception as error:
            self.ledger.unsteady.append(f"whoever attended {job_id} gave up: {error!r}")

    def attend(self, job_id: str, number: int) -> None:
        """Send a session its steps, each request until it is done; `number` says which gateway is asked first."""
        requests, first = steps(), 1
        for index, request in enumerate(requests):
            if index == len(requests) // 2:
                time.sleep(REST_SECONDS)
            if not self._do(job_id, {"first": first, "steps": request}, number + index):
                return
            first += len(request)

    def _do(self, job_id: str, body: dict[str, Any], first: int) -> bool:
        """Have steps done; False if the session was ended by somebody before."""
        while True:
            answer = self.ask("POST", f"/v1/jobs/{job_id}/steps", first, json=body, headers={"Prefer": "wait=5"})
            told, first = answer.json(), first + 1
            if answer.status_code == 200:
                for step in told["steps"]:
                    self.ledger.answered(job_id, step)
                return True
            if told.get("state") in TERMINAL:
                return False
            if answer.status_code not in (202, 409, 429):
                raise RuntimeError(answer.text)
            if answer.status_code != 202:  # it is paused
                time.sleep(0.2)

    def body(self, kind: str, key: str) -> bytes:
        """Write a job of a kind; its label is the request's key."""
        job = JOBS[kind] | {"labels": {"key": key}}
        return json.dumps(job).replace("$data", self.dataset).encode()

    def wish(self, job_id: str, verb: str) -> bool:
        """Ask for cancel, pause or resume; say whether it was not too late."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        answer = self.ask("POST", f"/v1/jobs/{job_id}/{verb}", headers=headers)
        assert answer.status_code in (202, 409), answer.text
        return answer.status_code == 202

    def rest(self, job_id: str, seconds: float) -> None:
        """Pause a job, and resume it after a while."""
        self.wish(job_id, "pause")
        time.sleep(seconds)
        self.wish(job_id, "resume")

    def cancel(self, job_id: str, seconds: float) -> None:
        """Cancel a job after a while."""
        time.sleep(seconds)
        if self.wish(job_id, "cancel"):
            self.ledger.cancelled.add(job_id)

    def submit_at_once(self, kind: str, count: int) -> None:
        """Send the same request many times at the same moment."""
        key = str(uuid.uuid4())
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(lambda number: self.submit(kind, key, number), range(count)))

    def hang_up(self, kind: str, share: float) -> None:
        """Send part of a request and go; then ask again, with the same key, for what may have been done."""
        key, where = str(uuid.uuid4()), urlsplit(self.urls[0])
        body = self.body(kind, key)
        lines = {**self._headers, "Host": where.netloc, "Content-Length": len(body), "Idempotency-Key": key, **JSON}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        with socket.socket() as line:
            line.settimeout(5.0)
            if line.connect_ex((where.hostname, where.port)) == 0:
                line.sendall(f"POST /v1/jobs HTTP/1.1\r\n{head}\r\n".encode() + body[: round(share * len(body))])
        self.submit(kind, key)


def draw_kind(draw: random.Random) -> str:
    """Choose a kind of job."""
    return draw.choices(list(SHARES), list(SHARES.values()))[0]


def _in_flight(answer: httpx.Response) -> bool:
    return answer.status_code == 409 and answer.json()["type"].endswith("in-flight")
