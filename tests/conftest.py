"""Fixtures for all tests."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Machines that run tests also boot hosts at the same time: how long an example takes says nothing. The same
# examples each time: a change is judged by what it does, and not by what came up that day.
settings.register_profile("unitgen", deadline=None, derandomize=True)
settings.load_profile("unitgen")

GOLDEN = Path(__file__).parent / "golden"
GOLDEN_CASES = sorted(path.name for path in GOLDEN.iterdir() if (path / "root").is_dir())


def pytest_addoption(parser: pytest.Parser) -> None:
    """--update-golden writes what is emitted over what is expected, to be read in the diff."""
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden/*/expected")


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """Specs that others may write to are refused, and tests write specs."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def copy_root(case: str, place: Path) -> Path:
    """The root of a golden case, with the owner and the modes that specs have on a real host."""
    root = place / "root"
    shutil.copytree(GOLDEN / case / "root", root, symlinks=True)
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    return root


def read_tree(folder: Path) -> dict[str, str]:
    """Every file and link below a folder, as text to compare."""
    tree = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            tree[name] = f"-> {path.readlink()}"
        elif path.is_file():
            tree[name] = path.read_bytes().decode()
    return tree
