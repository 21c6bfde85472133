"""Steps of a session that are sent ahead of their results, so that the service need not wait for what is made here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from trainyard import steps
from trainyard.arrays import arrays_in
from trainyard.calls import Json
from trainyard.stepping import WAIT_SECONDS, Stepping

if TYPE_CHECKING:
    from trainyard.built import Built

#: A request is sent before it holds more.
_REQUEST_BYTES, _REQUEST_STEPS = 2 * 2**20, 32
#: So much of what the service lets wait in a session is made use of.
_MOST_BYTES, _MOST_STEPS = 24 * 2**20, 128

#: Told the result of a step.
Told = Callable[[Json], None]


class _Unsent(NamedTuple):
    kind: str
    part: Json
    bytes: int
    told: Told


class _Sent(NamedTuple):
    stepping: Stepping
    number: int
    bytes: int
    told: Told


class Ahead:
    """Steps that are sent ahead of their results; the results are told in order.

    Args:
        model: Whose steps they are.
        most: How many may be on their way.
    """

    def __init__(self, model: Built, most: int) -> None:
        self._model, self._most = model, min(max(most, 1), _MOST_STEPS)
        self._unsent: list[_Unsent] = []
        self._sent: deque[_Sent] = deque()

    def add(self, kind: str, part: Json, told: Told) -> None:
        """Send a step, now or with those that come next, and wait where too many are on their way.

        Raises:
            EngineError: It does not fit the model.
        """
        steps.check(self._model, kind, part)
        self._unsent.append(_Unsent(kind, part, sum(each.array.nbytes for each in arrays_in(part)), told))
        together = min(max(self._most // 2, 1), _REQUEST_STEPS)
        if len(self._unsent) >= together or _bytes(self._unsent) > _REQUEST_BYTES:
            self._send()
        while len(self._sent) + len(self._unsent) >= self._most or _bytes(self._sent) > _MOST_BYTES:
            self._hear()

    def drain(self) -> None:
        """Wait until all are done."""
        self._send()
        while self._sent:
            self._hear()

    def _send(self) -> None:
        if not self._unsent:
            return
        unsent, self._unsent = self._unsent, []
        session, written = steps.opened(self._model), []
        for each in unsent:
            *before, step = session.written(each.kind, each.part)
            written += [(one, 0, _passed_over) for one in before] + [(step, each.bytes, each.told)]
        numbers = session.send([step for step, _, _ in written], WAIT_SECONDS if self._most == 1 else 0)
        for number, (_, size, told) in zip(numbers, written, strict=True):
            self._sent.append(_Sent(session.stepping, number, size, told))

    def _hear(self) -> None:
        if not self._sent:
            self._send()
        first = self._sent.popleft()
        first.told(first.stepping.result(first.number))


def _bytes(those: Iterable[_Unsent | _Sent]) -> int:
    return sum(each.bytes for each in those)


def _passed_over(result: Json) -> None:
    """Hear of a step that only brings the session to where the model is."""
