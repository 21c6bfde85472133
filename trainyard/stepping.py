"""An open session: a job that does steps in the order in which they are sent, each with exactly one effect.

Steps are numbered from 1, so one that is sent again because an answer was lost is not done again. Whoever holds a
session is its only caller: it is not made for several threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from trainyard import arrays, tensors
from trainyard.arrays import Array
from trainyard.asking import TERMINAL
from trainyard.calls import Json
from trainyard.errors import Refused, StepFailed
from trainyard.following import Following
from trainyard.http import Client

#: How long the service may hold an answer back; less than what silent connections are cut off after.
WAIT_SECONDS = 25
#: How many steps are asked for at a time.
_PAGE = 64
_CONFLICT = 409
#: The states of a session that does nothing more.
_OVER = TERMINAL | {"cancelling"}


class Stepping:
    """One session, from its first step to its end.

    Args:
        client: The service that has it.
        job_id: The session's job.
        next: The number of its next step; asked for when absent.
    """

    def __init__(self, client: Client, job_id: str, next: int | None = 1) -> None:
        self.client, self.job_id = client, job_id
        self.ended = False
        #: Told when its work is lost, since it neither was closed nor goes on.
        self.lost: Callable[[], None] = lambda: None
        self._next = next or 1
        self._is_sure = next is not None
        self._done: dict[int, Json] = {}
        self._weights: Mapping[str, Array] | None = None

    def do(self, step: Json) -> Json:
        """Do a step now, and return its result.

        Raises:
            StepFailed: It did not succeed.
            JobFailed: The session has failed, or was cancelled.
        """
        (number,) = self.send([step], WAIT_SECONDS)
        return self.result(number)

    def send(self, steps: Sequence[Json], wait_seconds: int = 0) -> range:
        """Send steps, and return their numbers; their results are asked for later.

        Raises:
            JobFailed: The session has failed, or was cancelled.
        """
        self._make_sure()
        first, self._is_sure = self._next, False
        try:
            answer = self.client.jobs.send_steps(self.job_id, first, steps, wait_seconds)
        except Refused as refusal:
            self._is_sure = 400 <= refusal.status < 500 and refusal.status != _CONFLICT
            if refusal.status == _CONFLICT:
                self._check_alive()
            raise
        self._next, self._is_sure = first + len(steps), True
        if any("train" in each for each in steps):
            self._weights = None
        self._hear(answer)
        return range(first, self._next)

    def result(self, number: int) -> Json:
        """Wait until a step is done; return its result, which is handed out once.

        Raises:
            StepFailed: It did not succeed.
            JobFailed: The session has failed, or was cancelled.
        """
        while number not in self._done:
            self._hear(self.client.jobs.steps(self.job_id, number - 1, _PAGE, WAIT_SECONDS))
        step = self._done.pop(number)
        if step["state"] == "failed":
            raise StepFailed(self.job_id, step)
        result: Json = step["result"]
        return result

    def weights(self) -> Mapping[str, Array]:
        """Return the weights as they now are, by their keys `layer/weight`."""
        if self.ended:
            return arrays.weights_of(self.client, self.job_id)
        if self._weights is None:
            with arrays.folder() as place:
                self._weights = tensors.read(self.saved(".safetensors", place))
        return self._weights

    def saved(self, suffix: str, place: Path) -> Path:
        """Fetch the weights as they now are, as `.h5` or `.safetensors`, into a folder."""
        name = f"weights{suffix}"
        try:
            if not self.ended:
                name = self.do({"save": {"name": f"now{suffix}"}})["artifact"]
        except Refused:
            if not self.ended:  # but for one that somebody else has closed
                raise
        return arrays.fetched(self.client, self.job_id, name, place)

    def close(self) -> None:
        """End it, and wait until its job has left what a training leaves; once it has ended, do nothing.

        Raises:
            JobFailed: It has failed, or was cancelled.
        """
        if self.ended:
            return
        try:
            self.send([{"close": {}}])
        except Refused as refusal:
            # Asked twice, because the first time was broken off, it is closing already.
            if refusal.status != _CONFLICT or self._state() in ("paused", "pausing"):
                raise
        self._end()

    def _make_sure(self) -> None:
        """Learn the next number where the last request was broken off: it may have arrived, or not."""
        if self._is_sure:
            return
        try:
            answer = self.client.jobs.steps(self.job_id, self._next - 1, 1)
        except Refused as refusal:
            if "oldest" not in refusal.problem:
                raise
            answer = self.client.jobs.steps(self.job_id, refusal.problem["oldest"] - 1, 1)
        self._next, self._is_sure = answer["next"], True
        self._weights = None
        self._done.clear()

    def _hear(self, answer: Json) -> None:
        self._done |= {each["number"]: each for each in answer["steps"] if each["state"] in ("done", "failed")}
        if answer["state"] in ("failed", "cancelled"):
            self._check_alive()

    def _check_alive(self) -> None:
        if self._state() in _OVER:
            self._end()

    def _end(self) -> None:
        try:
            Following(self.client, self.job_id).to_the_end()
        except Exception:
            with suppress(Refused):
                self.ended = self._state() in TERMINAL
            if self.ended:
                self.lost()
            raise
        self.ended = True

    def _state(self) -> str:
        return str(self.client.jobs.get(self.job_id)["state"])
