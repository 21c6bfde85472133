"""Every refusal of the service.

ServiceError
├── NotFound                404
├── StateConflict           409
│   ├── JobFinished
│   ├── DatasetInUse
│   ├── StepConflict
│   └── UploadIncomplete
├── Unauthenticated         401
├── Forbidden               403
├── BadRequest              400
│   ├── BadPage
│   └── BadUpload
├── UploadExpired           410
├── StepsGone               410
├── PayloadTooLarge         413
├── UnsupportedFormat       415
├── RangeRefused            416
├── Unprocessable           422
│   ├── BadDataset
│   ├── BadWeights
│   ├── WrongBytes
│   ├── KeyReused
│   └── RunRefused
├── KeyInFlight             409
├── TooManySteps            429
├── WaitedTooLong           503
├── Unavailable             503
└── LostLease               409   never reaches a client: the attempt that hears it stops
"""

from typing import ClassVar


class ServiceError(Exception):
    """A refusal with a stable name, a status and an explanation.

    Args:
        detail: What was asked, why it was refused, and what would work.
        **extra: Members to add to the problem, such as `job_id` or `errors`.
    """

    type: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong"
    status: ClassVar[int] = 500
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, detail: str, **extra: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra


class NotFound(ServiceError):
    """There is no such thing in the caller's project; whether it is in another one is not said."""

    type = "not-found"
    title = "There is no such thing"
    status = 404


class StateConflict(ServiceError):
    """The thing is in a state that does not allow what was asked."""

    type = "state-conflict"
    title = "Its state does not allow that"
    status = 409


class JobFinished(StateConflict):
    """A terminal state is final."""

    type = "job-finished"
    title = "The job has already ended"


class DatasetInUse(StateConflict):
    """A job that has not ended still needs the dataset."""

    type = "dataset-in-use"
    title = "A live job uses the dataset"


class StepConflict(StateConflict):
    """A step of that number is another one, or the steps before it are missing; `next` is the next number."""

    type = "step-conflict"
    title = "The step has another number"


class UploadIncomplete(StateConflict):
    """The storage does not have all of an announced upload yet."""

    type = "upload-incomplete"
    title = "The upload has not arrived"


class Unauthenticated(ServiceError):
    """No key was sent, or not one that is valid."""

    type = "unauthenticated"
    title = "An API key is needed"
    status = 401
    headers = {"WWW-Authenticate": "Bearer"}


class Forbidden(ServiceError):
    """The request comes from where no request may come from."""

    type = "forbidden"
    title = "That is not allowed"
    status = 403


class BadRequest(ServiceError):
    """The request could not be read at all."""

    type = "bad-request"
    title = "The request cannot be read"
    status = 400


class BadPage(BadRequest):
    """A page token or a filter that was not made by this service."""

    type = "bad-page"
    title = "There is no such page"


class BadUpload(BadRequest):
    """A multipart body that breaks off or is malformed."""

    type = "bad-upload"
    title = "The upload cannot be read"


class UploadExpired(ServiceError):
    """An announced upload took too long, or was refused for good."""

    type = "upload-expired"
    title = "The upload is over"
    status = 410


class StepsGone(ServiceError):
    """What came of old steps of a session is not kept; `oldest` is the first that is."""

    type = "steps-gone"
    title = "The steps are no longer kept"
    status = 410


class TooManySteps(ServiceError):
    """As much waits in a session as may."""

    type = "too-many-steps"
    title = "Too much waits in the session"
    status = 429
    headers = {"Retry-After": "1"}


class PayloadTooLarge(ServiceError):
    """More bytes than the gateway takes."""

    type = "payload-too-large"
    title = "The body is too large"
    status = 413


class UnsupportedFormat(ServiceError):
    """A kind of file or body that the service does not read."""

    type = "unsupported-format"
    title = "The format is not supported"
    status = 415


class RangeRefused(ServiceError):
    """A range of bytes that begins after the file's end."""

    type = "range-refused"
    title = "There are no such bytes"
    status = 416


class Unprocessable(ServiceError):
    """The request was read, and what it says is wrong."""

    type = "unprocessable"
    title = "The request is wrong"
    status = 422


class BadDataset(Unprocessable):
    """A data file that is damaged, dangerous or not made of numbers."""

    type = "bad-dataset"
    title = "The data file is refused"


class BadWeights(Unprocessable):
    """A weights file that is neither HDF5 nor safetensors."""

    type = "bad-weights"
    title = "The weights file is refused"


class WrongBytes(Unprocessable):
    """What was uploaded is not what was announced."""

    type = "wrong-bytes"
    title = "The bytes are not the announced ones"


class KeyReused(Unprocessable):
    """An Idempotency-Key came back with another body."""

    type = "idempotency-key-reused"
    title = "The Idempotency-Key belongs to another request"


class RunRefused(Unprocessable):
    """A short run on trained weights failed because of what the caller sent."""

    type = "run-refused"
    title = "The run failed on what was sent"


class KeyInFlight(ServiceError):
    """The first request with this Idempotency-Key has not been answered yet."""

    type = "idempotency-in-flight"
    title = "The first request with this key is still running"
    status = 409
    headers = {"Retry-After": "1"}


class WaitedTooLong(ServiceError):
    """No worker answered in the time a caller is kept waiting."""

    type = "waited-too-long"
    title = "No worker answered in time"
    status = 503
    headers = {"Retry-After": "5"}


class Unavailable(ServiceError):
    """Something the service itself needs does not work."""

    type = "unavailable"
    title = "The service cannot do that just now"
    status = 503
    headers = {"Retry-After": "5"}


class LostLease(ServiceError):
    """Another attempt, or a terminal state, has taken the job from this attempt."""

    type = "lost-lease"
    title = "The attempt no longer holds the job"
    status = 409
