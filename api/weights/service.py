"""What happens to weights files: they are told by their first bytes, and parsed only in a worker."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from api.arrivals.service import Arrivals
from api.idempotency import Answer
from api.uploads import Upload, wrong
from api.weights.schemas import MAX_NAME, WeightsIn, WeightsOut
from api.wiring import Wiring
from core.blobs import weights_key
from core.errors import BadWeights
from core.ids import new_id
from core.models import Weights
from core.settings import Settings
from core.tables import WeightsFile
from core.unit import Unit
from core.uploads import WEIGHTS
from engine.errors import BadFile
from engine.files import archive

HDF5 = b"\x89HDF\r\n\x1a\n"
MAX_HEADER_BYTES = 16 * 2**20
KERNELS = ("tensorflow", "theano")


def _inspected(weights: WeightsFile, path: Path, settings: Settings) -> Mapping[str, Any]:
    if (found := _format(path, weights.bytes)) != weights.format:
        fault = f"The file of {weights.id} is {found}; {weights.format} was announced."
        raise BadWeights(fault, errors=[{"pointer": "/format", "detail": fault}])
    return {}


ARRIVALS = Arrivals(WEIGHTS, weights_key, WeightsOut, _inspected)


def announce(unit: Unit, wiring: Wiring, project_id: str, body: WeightsIn, base_url: str) -> Answer:
    """Store weights whose file is to come, and say where it goes.

    Raises:
        PayloadTooLarge: It is to be larger than is taken.
        Unprocessable: The name is no name.
    """
    row = WeightsFile(id=new_id("wts"), project_id=project_id, name=body.name, kernels=body.kernels)
    row.format, row.bytes, row.sha256 = body.format, body.bytes, body.sha256 or ""
    return ARRIVALS.announce(unit, wiring, row, base_url)


def create(unit: Unit, wiring: Wiring, project_id: str, upload: Upload) -> Answer:
    """Store a weights file.

    Raises:
        BadWeights: It is neither HDF5, nor safetensors, nor a harmless `.keras`.
        Unprocessable: A field beside it is wrong.
    """
    kernels, name = upload.take("kernels", "name")
    kernels = kernels or KERNELS[0]
    if kernels not in KERNELS:
        raise wrong("kernels", f'`kernels` is {kernels[:40]!r}; it can be "tensorflow" or "theano".')
    if name is not None and not (0 < len(name) <= MAX_NAME and name.isprintable()):
        raise wrong("name", f"A name has 1 to {MAX_NAME} printable characters.")
    row = WeightsFile(id=new_id("wts"), project_id=project_id, name=name, kernels=kernels)
    row.format = _format(upload.path, upload.bytes)
    row.bytes, row.sha256, row.blob = upload.bytes, upload.sha256, weights_key(project_id, row.id)
    unit.on_rollback(partial(wiring.blobs.delete, row.blob))
    wiring.blobs.put_file(row.blob, upload.path)
    Weights(unit.session, project_id).add(row)
    body = WeightsOut.model_validate(row).model_dump(mode="json")
    return Answer(201, body, {"Location": f"/v1/weights/{row.id}"})


def _format(path: Path, size: int) -> str:
    with path.open("rb") as file:
        start = file.read(8)
        if start == HDF5:
            return "hdf5"
        if start.startswith(archive.MAGIC):
            return _checked(path)
        length = int.from_bytes(start, "little")
        is_plausible = len(start) == 8 and 2 <= length <= min(MAX_HEADER_BYTES, size - 8)
        if is_plausible and _is_header(file.read(length), size - 8 - length):
            return "safetensors"
    raise BadWeights(
        "The file is neither HDF5 (what save_weights and save write), nor safetensors, nor a .keras archive, or was "
        "cut short; pickles, .pt and .npz files are never read as weights.",
        errors=[{"pointer": "/file", "detail": "neither HDF5, nor safetensors, nor .keras"}],
    )


def _checked(path: Path) -> str:
    """Look at the list of an archive's members, and at none of them."""
    try:
        archive.check(path)
    except BadFile as error:
        raise BadWeights(
            f"{error.message} Pickles, .pt and .npz files are never read as weights.",
            errors=[{"pointer": "/file", "detail": error.message}],
        ) from error
    return "keras"


def _is_header(content: bytes, room: int) -> bool:
    try:
        header = json.loads(content)
    except (ValueError, RecursionError):
        return False
    if not isinstance(header, dict):
        return False
    return all(_is_entry(entry, room) for name, entry in header.items() if name != "__metadata__")


def _is_entry(entry: Any, room: int) -> bool:
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        return False
    match entry["data_offsets"]:
        case [int(start), int(end)]:
            return 0 <= start <= end <= room
    return False
