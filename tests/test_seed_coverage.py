"""Every behaviour of the guide has a test, and the page that says which is up to date."""

import csv

from tools.seed_coverage import PAGE, ROWS, holders, page


def test_every_behaviour_of_the_guide_has_a_test_that_bears_its_number():
    with ROWS.open(newline="") as file:
        rows = [row["row"] for row in csv.DictReader(file)]

    assert rows == [f"S{number:02}" for number in range(1, 131)]
    assert sorted(set(rows) - set(holders())) == []


def test_the_page_says_what_the_tests_are_called():
    assert PAGE.read_text() == page(), "run python -m tools.seed_coverage"
