"""The reference says what the classes say of themselves."""

from engine.layer import LAYERS
from engine.optimizers import OPTIMIZERS
from tools.reference import PAGE, page


def test_the_page_says_what_the_classes_say():
    assert PAGE.read_text() == page(), "run python -m tools.reference"


def test_every_layer_and_optimizer_has_its_place_on_the_page():
    titles = set(page().splitlines())
    assert {f"### {name}" for name in (*LAYERS, *OPTIMIZERS)} <= titles
