"""Models of real Keras 2 and 3 with something wrong in them: read, or refused, and never anything else."""

import copy
import random

import pytest

from engine.compiled import Compile
from engine.definition import read_model
from engine.dialects import translate_compile
from engine.errors import DefinitionError
from tests.interop.cases import FOLDERS, Recorded, named

ODD = [None, True, 0, -1, 2.5, "", "same", [], {}, [1], [[1]], [None], ["a"], 10**12, {"a": 1}]
ODD += [{"class_name": "Dense"}, {"class_name": 7}, {"class_name": "Zeros", "config": []}, {"name": "x"}]
KEYS = ["surprise", "module", "registered_name", "inbound_nodes", "layers", "dtype", "padding", "config", "class_name"]


def places(value, path=()):
    yield path
    each = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in each:
        yield from places(inner, (*path, key))


def spoil(value, rng):
    """Replace, remove or add something somewhere."""
    *path, last = rng.choice([path for path in places(value) if path])
    here = value
    for key in path:
        here = here[key]
    kind = rng.choice(["replace", "replace", "replace", "remove", "add"])
    if kind == "remove":
        del here[last]
    elif kind == "add" and isinstance(here, dict):
        here[rng.choice(KEYS)] = copy.deepcopy(rng.choice(ODD))
    else:
        here[last] = copy.deepcopy(rng.choice(ODD))


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_a_spoilt_model_is_read_or_refused(folder):
    rng = random.Random(named(folder))
    whole = Recorded(folder).model
    refused = 0
    for _ in range(40):
        model = copy.deepcopy(whole)
        spoil(model, rng)
        try:
            read_model(model)
        except DefinitionError:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize("folder", [each for each in FOLDERS if "keras3-trained" in named(each)], ids=named)
def test_a_spoilt_compilation_is_read_or_refused(folder):
    rng = random.Random(named(folder))
    whole = Recorded(folder).model["compile_config"]
    refused = 0
    for _ in range(100):
        given = copy.deepcopy(whole)
        spoil(given, rng)
        try:
            said = translate_compile(given)
            with said.pointing():
                Compile.from_config(said.value)
        except DefinitionError:
            refused += 1
    assert refused > 0
