"""Everything that fuzzing begins with, and everything that it has found, once more."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.targets import LONGEST, TARGETS, limit, list_seeds, remove_root

HERE = Path(__file__).parent
FOUND = sorted(path for path in (HERE / "found").glob("*/*") if path.is_file())


@pytest.fixture(autouse=True, scope="module")
def clean() -> Iterator[None]:
    """The root of the whole runs goes with the tests."""
    yield
    remove_root()


@pytest.mark.parametrize("target", TARGETS)
def test_seeds(target: str) -> None:
    """What is known to be handled; it also shows that the targets themselves are right."""
    for kind, name, data in list_seeds(HERE.parents[1]):
        if kind == target:
            try:
                limit(TARGETS[target], LONGEST)(data)
            except Exception as error:
                raise AssertionError(name) from error


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_found(path: Path) -> None:
    limit(TARGETS[path.parent.name], LONGEST)(path.read_bytes())
