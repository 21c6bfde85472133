"""The curves of a fit, drawn in text."""

import io

from rich.console import Console

from trainyard.curves import WIDTH, curves, line


def test_a_line_goes_from_the_lowest_to_the_highest_value():
    assert line([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert line([1.0, 0.5, 0.0]) == "█▅▁"
    assert line([2, 2, 2]) == "▁▁▁"
    assert line([]) == ""


def test_what_is_no_number_leaves_a_gap():
    assert line([1, "NaN", 2]) == "▁·█"
    assert line(["NaN", "Infinity"]) == "··"


def test_many_epochs_share_the_columns_and_the_ends_stay():
    drawn = line(range(1000))

    assert len(drawn) == WIDTH
    assert (drawn[0], drawn[-1]) == ("▁", "█")


def test_each_series_is_told_with_its_first_and_its_last_value():
    console = Console(file=io.StringIO(), width=100)

    curves(console, {"loss": [2.5, 1.25], "val_acc": [0.1, 0.9], "nothing": []})

    text = console.file.getvalue()
    assert "2.5000 → 1.2500" in text
    assert "0.1000 → 0.9000" in text
    assert "nothing" not in text
