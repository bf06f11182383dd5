"""The same input gives the same bytes: hash seeds, locales, the order of folders, runs side by side."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import GOLDEN, GOLDEN_CASES, copy_root, read_tree
from tests.property.fleets import list_files
from tests.property.roots import FOLDER, make_root

CHECKOUT = Path(__file__).parents[2]

# Generates from each root into the directory after it. Folders are listed in an order of the seed's choice.
SCRIPT = """
import os, random, sys
sys.path.insert(0, {checkout!r})
seed, *places = sys.argv[1:]
shuffle, listdir, scandir = random.Random(seed).shuffle, os.listdir, os.scandir
class Entries:
    def __init__(self, entries):
        self.entries = entries
    __iter__ = __enter__ = lambda self: self
    __exit__ = lambda *arguments: None
    close = lambda self: None
    def __next__(self):
        if not self.entries:
            raise StopIteration
        return self.entries.pop()
def list_shuffled(*arguments):
    names = listdir(*arguments)
    shuffle(names)
    return names
def scan_shuffled(*arguments):
    with scandir(*arguments) as entries:
        found = list(entries)
    shuffle(found)
    return Entries(found)
if seed:
    os.listdir, os.scandir = list_shuffled, scan_shuffled
from unitgen.generator import main
for root, out in zip(places[::2], places[1::2]):
    main(["unitgen-generator", out], root)
"""
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/", "PYTHONDONTWRITEBYTECODE": "1"}
# What differs in the environment, and the seed of the order.
SETTINGS: Mapping[str, tuple[dict[str, str], str]] = {
    "hash-0": ({"PYTHONHASHSEED": "0"}, ""),
    "hash-1": ({"PYTHONHASHSEED": "1"}, ""),
    "hash-any": ({"PYTHONHASHSEED": "4294967295"}, ""),
    "order-1": ({}, "1"),
    "order-2": ({"PYTHONHASHSEED": "2"}, "2"),
    "order-3": ({"PYTHONHASHSEED": "3"}, "3"),
    "locale-c": ({"LC_ALL": "C"}, ""),
    "locale-posix": ({"LC_ALL": "POSIX", "LANG": "C.UTF-8"}, ""),
    "locale-utf-8": ({"LC_ALL": "C.UTF-8"}, "4"),
    "locale-none": ({"LANG": "xx_XX.none"}, ""),
    "no-coercion": ({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}, ""),
    "optimized": ({"PYTHONOPTIMIZE": "2"}, ""),
    "time-zone": ({"TZ": "Asia/Kathmandu", "SOURCE_DATE_EPOCH": "0"}, ""),
}


def start(seed: str, places: list[Path], more: Mapping[str, str]) -> subprocess.Popen[str]:
    """The generator as a process of its own."""
    script = SCRIPT.format(checkout=str(CHECKOUT))
    command = [sys.executable, "-c", script, seed, *map(str, places)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env={**ENVIRONMENT, **more}, stdout=pipe, stderr=pipe, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    """What it reported."""
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0 and output == "" and "Traceback" not in errors, errors
    return errors


@pytest.fixture(name="fleet", scope="module")
def fixture_fleet() -> Iterator[Path]:
    """The root of the fleet."""
    with make_root(list_files()) as root:
        yield root


@pytest.fixture(name="places", scope="module")
def fixture_places(fleet: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Roots by name: those of all golden cases, and that of the fleet."""
    base = tmp_path_factory.mktemp("roots")
    return {"fleet": fleet} | {case: copy_root(case, base / case) for case in GOLDEN_CASES}


@pytest.fixture(name="expected", scope="module")
def fixture_expected(
    places: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, str]]:
    """What each root gives in the usual environment, known of golden cases, and the report of all."""
    out = tmp_path_factory.mktemp("expected")
    report = finish(start("", interleave(places, out), {"LC_ALL": "C.UTF-8"}))
    golden = {case: read_tree(GOLDEN / case / "expected") for case in GOLDEN_CASES}
    return {"fleet": read_tree(out / "fleet"), "report": {"": report}} | golden


def interleave(places: Mapping[str, Path], out: Path) -> list[Path]:
    """Each root with its output directory after it."""
    return [path for name, root in places.items() for path in (root, out / name)]


@pytest.mark.parametrize("case", SETTINGS)
def test_same_bytes(
    case: str, places: dict[str, Path], expected: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    environment, seed = SETTINGS[case]
    report = finish(start(seed, interleave(places, tmp_path), {"LC_ALL": "C.UTF-8", **environment}))
    found = {name: read_tree(tmp_path / name) for name in places}
    assert {**found, "report": {"": report}} == expected


def test_order_of_files_on_disk_does_not_count(expected: dict[str, dict[str, str]], tmp_path: Path) -> None:
    """Written in another order, and listed as the file system has them."""
    with make_root(dict(reversed(list_files().items()))) as root:
        finish(start("", [root, tmp_path], {"LC_ALL": "C.UTF-8"}))
    assert read_tree(tmp_path) == expected["fleet"]


def test_runs_side_by_side(
    fleet: Path, places: dict[str, Path], expected: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    """Of one root into several directories, and of several roots: nothing is mixed or left over."""
    runs = [("fleet", tmp_path / f"same-{number}") for number in range(4)]
    runs += [(case, tmp_path / case) for case in GOLDEN_CASES[:4]]
    processes = [start("", [places[name], out], {"LC_ALL": "C.UTF-8"}) for name, out in runs]
    for process in processes:
        finish(process)
    for name, out in runs:
        assert read_tree(out) == expected[name]
    assert sorted(tmp_path.iterdir()) == sorted(out for _, out in runs)


def test_runs_side_by_side_leave_only_what_is_kept(fleet: Path, tmp_path: Path) -> None:
    """All of them keep what they have written in the same place."""
    for _ in range(3):
        for process in [start("", [fleet, tmp_path / str(number)] * 2, {}) for number in range(4)]:
            finish(process)
    assert {path.name for path in (fleet / "run/unitgen").iterdir()} == {"kept", "lock"}


def test_runs_into_one_directory(fleet: Path, expected: dict[str, dict[str, str]], tmp_path: Path) -> None:
    """systemd never does that, but a person may run it by hand while systemd does."""
    for process in [start("", [fleet, tmp_path / "out"] * 3, {"LC_ALL": "C.UTF-8"}) for _ in range(4)]:
        finish(process)
    assert read_tree(tmp_path / "out") == expected["fleet"]
    assert [path for path in tmp_path.rglob("*.tmp")] == []


def test_other_root_does_not_shine_through(tmp_path: Path, expected: dict[str, dict[str, str]]) -> None:
    """Two roots in one process: nothing that was read for the first is used for the second."""
    files = list_files()
    with make_root(files) as one, make_root({f"{FOLDER}/web.ini": b"[Network]\nPort=81\n"}) as other:
        outs = [tmp_path / "1", tmp_path / "2", tmp_path / "3"]
        finish(start("", [one, outs[0], other, outs[1], one, outs[2]], {"LC_ALL": "C.UTF-8"}))
        alone = tmp_path / "alone"
        finish(start("", [other, alone], {"LC_ALL": "C.UTF-8"}))
    assert read_tree(outs[0]) == read_tree(outs[2]) == expected["fleet"]
    assert read_tree(outs[1]) == read_tree(alone)
    assert os.path.isdir(outs[1])
