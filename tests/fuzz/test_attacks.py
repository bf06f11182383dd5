"""Nothing that lies in the folders of specs holds a boot up: CPU time of whole runs."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest
from _pytest.mark import ParameterSet

from tests.fuzz.attacks import SPECS, TREES, Files
from tests.fuzz.targets import LONGEST, is_too_long
from tests.property.roots import locate, make_root
from unitgen.model import Host
from unitgen.pipeline import run_pipeline, write_result

_PATIENCE = 10  # seconds, after which nobody wants to know how long it would have taken


class Endless(BaseException):
    """No Exception: those are taken for faults of unitgen's and reported."""


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Fail if what is done takes more CPU time, and end it if it takes far more."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Endless

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds + _PATIENCE)
    start = time.process_time()
    try:
        yield
        taken = time.process_time() - start
    except Endless:
        pytest.fail(f"more than {seconds + _PATIENCE} s")
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    assert not is_too_long(taken, seconds), f"{taken:.1f} s"


def run(files: Files, backend: str, seconds: float) -> None:
    """A whole run, with its output and its report."""
    with make_root(files) as root, limit(seconds):
        result = run_pipeline(str(root), Host(262, "", backend))
        problems = (*result.problems, *write_result(result, str(root / "out")))
        lines = [problem.format() for problem in problems]
    assert not any("[internal]" in line for line in lines), lines[:3]


def _list_attacks() -> Iterator[ParameterSet]:
    for name in SPECS:
        for backend in ("iptables", "nft") if name.startswith(("ports", "allow")) else ("iptables",):
            yield pytest.param(name, backend, id=f"{name}-{backend}")


@pytest.mark.parametrize(("name", "backend"), list(_list_attacks()))
def test_one_file(name: str, backend: str) -> None:
    data = SPECS[name]().encode()
    assert len(data) < 1 << 20
    run({locate("web"): data}, backend, LONGEST)


@pytest.mark.parametrize("name", TREES)
def test_many_files(name: str) -> None:
    make, seconds = TREES[name]
    run(make(), "iptables", seconds)
