"""What `pip install trainyard` brings: the client, and nothing of the service."""

import os
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent.parent
SERVICE = ("torch", "fastapi", "celery", "sqlalchemy", "alembic", "h5py", "safetensors", "uvicorn", "obstore")

#: Builds a model, and tells all about it that can be told offline.
USE = """
import numpy, sys
import trainyard.cli
import trainyard.backend as K
from trainyard import AsyncClient, Client, callbacks, constraints, regularizers
from trainyard.errors import Missing
from trainyard.layers import Dense, Lambda, LSTM
from trainyard.models import Sequential, load_model, model_from_json
from trainyard.optimizers import SGD
from trainyard.preprocessing.image import ImageDataGenerator
from trainyard.preprocessing.sequence import pad_sequences
from trainyard.preprocessing.text import Tokenizer
from trainyard.utils import to_categorical

model = Sequential([LSTM(8, input_shape=(5, 3)), Dense(4, W_regularizer=regularizers.l2(0.1))])
model.compile(SGD(0.1), {"source": "lambda t, p: K.mean(K.square(t - p), axis=-1)"}, ["accuracy"])
model.summary()
assert model_from_json(model.to_json()).count_params() == model.count_params() == 420
assert len(model.get_weights()) == 14
assert pad_sequences([[1], [2, 3]]).tolist() == [[0, 1], [2, 3]]
generator = ImageDataGenerator(rotation_range=20, zca_whitening=True)
generator.fit(numpy.random.random((9, 4, 4, 3)))
assert next(generator.flow(numpy.ones((2, 4, 4, 3)))).shape == (2, 4, 4, 3)
try:
    model.to_torch()
except Missing as error:
    assert "needs torch" in str(error) and "pip install '.[torch]'" in str(error)
else:
    raise AssertionError("a module was made without torch")
assert not set(SERVICE) & {name.partition(".")[0] for name in sys.modules}, "something of the service came along"
"""

#: Makes every module fail to import that is neither Python's own nor of a package in ALLOWED.
GUARD = """
import sys
class Guard:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED and name.partition(".")[0] not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"{name} is not one of the client's packages", name=name)
sys.meta_path.insert(0, Guard())
"""


def test_the_client_works_with_its_own_dependencies_alone():
    distributions = closure("trainyard", set())
    allowed = {module for module, its in packages_distributions().items() if canonical(its) & distributions}
    allowed |= {"trainyard", "engine"}
    code = f"ALLOWED = {allowed!r}\nSERVICE = {SERVICE!r}\n{GUARD}\n{USE}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Total params: 420" in done.stdout
    assert not {canonical([each]).pop() for each in SERVICE} & distributions


def test_a_module_of_torch_needs_torch_alone_beside_the_client():
    service = tuple(each for each in SERVICE if each != "torch")
    code = (
        "import sys\nfrom trainyard.layers import Dense\nfrom trainyard.models import Sequential\n"
        "assert Sequential([Dense(2, input_dim=3)]).to_torch()\n"
        f"assert not set({service!r}) & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def closure(name, found):
    """Every distribution that installing one brings along."""
    for each in map(Requirement, requires(name) or ()):
        wanted = each.marker is None or each.marker.evaluate({"extra": ""})
        (normal,) = canonical([each.name])
        if wanted and normal not in found:
            found.add(normal)
            closure(each.name, found)
    return found


def canonical(names):
    return {name.lower().replace("_", "-") for name in names}


@pytest.mark.slow
def test_the_wheel_installs_into_an_empty_environment_without_the_service(tmp_path):
    wheels, venv = tmp_path / "wheels", tmp_path / "venv"
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "-w", str(wheels), str(source)], check=True)
    (wheel,) = wheels.glob("trainyard-*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    installed = subprocess.run(
        [venv / "bin/pip", "install", "-q", "--only-binary", ":all:", str(wheel)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "No matching distribution" in installed.stderr or "Connection" in installed.stderr:
        pytest.skip("no package index can be reached")
    assert installed.returncode == 0, installed.stderr

    listed = subprocess.run([venv / "bin/pip", "list", "--format=freeze"], capture_output=True, text=True, check=True)
    assert not {*SERVICE} & canonical(line.partition("==")[0] for line in listed.stdout.splitlines())
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    used = subprocess.run(
        [venv / "bin/python", "-c", f"SERVICE = {SERVICE!r}\n{USE}"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert used.returncode == 0, used.stderr
    command = subprocess.run([venv / "bin/trainyard", "--help"], capture_output=True, text=True, check=True)
    assert "submit" in command.stdout
