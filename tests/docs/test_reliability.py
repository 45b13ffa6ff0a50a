# SPDX-License-Identifier: MIT
"""docs/reliability.md against the tests: each row has tests that exist, each system test has a row or a stated reason to
have none, and each scenario is in the table or said to come later."""

import re

import pytest

import markdown

PAGE = markdown.ROOT / "docs" / "reliability.md"
TESTS = markdown.ROOT / "tests"

SCENARIOS = """A1 A2 A3 A6 B1 B2 B3 B4 B5 B6 B7 B8 B9 B10 B11 B12 B13 B15 B16 B18 B20
    C1 C2 C3 C4 C5 C6 C7 C8 C9 C10 C11 C12 D1 D2 D3 D4 D5 D6 D7 D8 D9 D12 D13 D14
    E1 E3 E4 E8 G1 G2 G3 G4 G6 G8 G9 G11 G15""".split()


def rows(section):
    """[(ids, cells)] of the section's table."""
    lines = [line for line in markdown.sections(PAGE, 2)[section].splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [(row[0].split(), row[1:]) for row in cells if row[0]]


def named_tests(text):
    """[(file, test)] of what a text names in backquotes; (file, None) of a file with no test behind it."""
    found, file, is_alone = [], None, False
    for name in re.findall(r"`([\w/]+(?:\.c|\.py)?)`", text):
        if name.endswith((".c", ".py")):
            found += [(file, None)] if is_alone else []
            file, is_alone = name, True
        elif file and name.count("_") > 2:
            found.append((file, name))
            is_alone = False
    return found + ([(file, None)] if is_alone else [])


ROWS = rows("Faults and tests")
WITHOUT = named_tests(markdown.sections(PAGE, 2)["Tests without a row"])
NAMED = sorted(set(named_tests(PAGE.read_text().split("## Faults and tests")[1])), key=str)


def find(file):
    [path] = TESTS.rglob(file)
    return path


@pytest.mark.parametrize("ids, cells", ROWS, ids=lambda value: " ".join(value) if len(value) < 9 else "")
def test_every_row_has_a_test(ids, cells):
    assert len(cells) == 3
    assert [test for _, test in named_tests(cells[2]) if test], ids


@pytest.mark.parametrize("file, test", NAMED)
def test_every_test_that_is_named_exists(file, test):
    text = find(file).read_text()

    assert test is None or re.search(r"(START_TEST\(|^def )%s\b" % test, text, re.MULTILINE)


def test_every_system_test_has_a_row_or_is_said_to_need_none():
    named = {(file, test) for _, cells in ROWS for file, test in named_tests(cells[2])}
    named |= set(WITHOUT)
    every = {(path.name, test) for path in TESTS.glob("system/test_*.py")
             for test in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)}

    assert len(every) > 150
    assert sorted(test for test in every if test not in named and (test[0], None) not in named) == []


def test_every_scenario_is_in_the_table_or_comes_later():
    done = [id_ for ids, _ in ROWS for id_ in ids]
    later = [id_ for ids, _ in rows("Later") for id_ in ids]

    assert [id_ for id_ in done + later if (done + later).count(id_) > 1] == []
    assert sorted(set(SCENARIOS) - set(done) - set(later)) == []
    assert all(all(cells) and len(cells) == 2 for _, cells in rows("Later"))


def test_every_long_test_has_a_row():
    """tracez_add_long_test(C4 …), or add_test(NAME long.C7.…): its id, where it has one, is in the table."""
    lists = "".join(path.read_text() for path in TESTS.rglob("CMakeLists.txt"))
    named = re.findall(r"^ *(?:tracez_add_long_test\(|add_test\(NAME long\.)([\w-]+)", lists, re.MULTILINE)
    ids = set(named) - {"-"}

    assert "C7" in ids
    assert ids <= {id_ for done, _ in ROWS for id_ in done}
