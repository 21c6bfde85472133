"""Steps of a session that are sent ahead of their results, so that the service need not wait for what is made here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from trainyard import steps
from trainyard.arrays import arrays_in
from trainyard.calls import Json
from trainyard.stepping import WAIT_SECONDS, Stepping

if TYPE_CHECKING:
    from trainyard.built import Built

#: A request is sent before it holds more.
_REQUEST_BYTES = 4 * 2**20
_REQUEST_STEPS = 32

#: Told the result of a step.
Told = Callable[[Json], None]


class Ahead:
    """Steps that are sent ahead of their results; the results are told in order.

    Args:
        model: Whose steps they are.
        most: How many may be on their way.
    """

    def __init__(self, model: Built, most: int) -> None:
        self._model, self._most = model, max(most, 1)
        self._unsent: list[tuple[str, Json, Told]] = []
        self._sent: deque[tuple[Stepping, int, Told]] = deque()

    def add(self, kind: str, part: Json, heard: Told) -> None:
        """Send a step, now or with those that come next, and wait where too many are on their way.

        Raises:
            EngineError: It does not fit the model.
        """
        steps.check(self._model, kind, part)
        self._unsent.append((kind, part, heard))
        waits = sum(each.array.nbytes for _, part, _ in self._unsent for each in arrays_in(part))
        if len(self._unsent) >= min(max(self._most // 2, 1), _REQUEST_STEPS) or waits * 2 > _REQUEST_BYTES:
            self._send()
        while len(self._sent) + len(self._unsent) >= self._most:
            self._hear()

    def drain(self) -> None:
        """Wait until all are done."""
        self._send()
        while self._sent:
            self._hear()

    def _send(self) -> None:
        if not self._unsent:
            return
        waiting, self._unsent = self._unsent, []
        session = steps.opened(self._model)
        written, last = [], []
        for kind, part, _ in waiting:
            written += session.written(kind, part)
            last.append(len(written) - 1)
        numbers = session.send(written, WAIT_SECONDS if self._most == 1 else 0)
        told = [heard for _, _, heard in waiting]
        for place, number in enumerate(numbers):
            heard = told[last.index(place)] if place in last else _passed_over
            self._sent.append((session.stepping, number, heard))

    def _hear(self) -> None:
        if not self._sent:
            self._send()
        stepping, number, heard = self._sent.popleft()
        heard(stepping.result(number))


def _passed_over(result: Json) -> None:
    """Hear of a step that only brings the session to where the model is."""
