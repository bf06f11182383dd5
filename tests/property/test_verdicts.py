"""What unitgen lets through of directives that limit, order or place, systemd does not ignore.

This machine's is asked here, tests/boot/test_hostile.py asks the other versions.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.property.verdicts import Line, group, list_lines, read_verdicts, write_unit
from unitgen.systemd import ask_version

pytestmark = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed"
)
_AT_ONCE = 4000
_UNIT = "verdicts.service"

LINES = list_lines(ask_version() if shutil.which("systemd-analyze") else 0)
DIRECTIVES = sorted({line.name for line in LINES})


@pytest.fixture(name="verdicts", scope="module")
def fixture_verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, str]]]:
    """What systemd says against them, by directive."""
    path = tmp_path_factory.mktemp("verdicts") / _UNIT
    found: dict[Line, str] = {}
    rest = LINES
    while rest:
        report = _verify(path, rest[:_AT_ONCE])
        more, count = read_verdicts(rest[:_AT_ONCE], report, _UNIT)
        assert count, report
        found |= more
        rest = rest[count:]
    return group(found)


def _verify(path: Path, lines: tuple[Line, ...]) -> str:
    path.write_text(write_unit(lines))
    command = ["systemd-analyze", "verify", "--man=no", str(path)]
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    result = subprocess.run(command, env=environment, capture_output=True, timeout=120)
    return result.stderr.decode(errors="replace")


@pytest.mark.parametrize("directive", DIRECTIVES)
def test_nothing_that_is_let_through_is_ignored(
    directive: str, verdicts: dict[str, list[tuple[str, str]]]
) -> None:
    assert verdicts.get(directive, [])[:9] == []


def test_wrong_values_are_noticed(tmp_path: Path) -> None:
    """The counter-check: systemd does speak up, and its line is found."""
    lines = (
        Line("Service", "MemoryMax", "1G"),
        Line("Service", "MemoryMax", "x"),
        Line("Unit", "After", "x"),
    )
    found, count = read_verdicts(lines, _verify(tmp_path / _UNIT, lines), _UNIT)
    assert ([*found], count) == ([*lines[1:]], 3)
