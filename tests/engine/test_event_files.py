"""TensorBoard's event files, to the byte."""

import math

import pytest

from engine.files.events import crc32c, written
from tests.engine.event_files import events_in


@pytest.mark.parametrize(
    ("content", "checksum"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_checksums_are_those_that_the_standard_lists(content, checksum):
    assert crc32c(content) == checksum


def test_a_file_begins_as_tensorflow_s_do():
    head = bytes.fromhex("1800000000000000 a37f4b22 09000000000000f03f 1a0d") + b"brain.Event:2"
    content = written(1.0, [])
    assert content[:-4] == head
    assert len(events_in(content)) == 1


def test_steps_of_any_size_and_names_of_any_letters_are_kept():
    epochs = [(float(step), step, {"Verlust größer": 0.5}) for step in (0, 1, 127, 128, 99_999, 2**40)]
    _, *read = events_in(written(0.0, epochs))
    assert [(each.time, each.step, each.scalars) for each in read] == epochs


def test_values_that_are_no_numbers_or_too_large_are_kept_as_such():
    values = {"nan": math.nan, "inf": math.inf, "large": -1e300, "small": 1e-300}
    _, read = events_in(written(0.0, [(1.0, 0, values)]))
    assert math.isnan(read.scalars.pop("nan"))
    assert read.scalars == {"inf": math.inf, "large": -math.inf, "small": 0.0}
