"""What a running host needs on this machine, and what must not outlive the process that made it for long."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from tests.testbed.trees import cache_folder, locked, remove_tree

_SYSTEMD_RUNS_HERE = Path("/run/systemd/system")


def has_systemd() -> bool:
    """Whether PID 1 of this machine is systemd, which then allocates cgroups to whoever asks."""
    return _SYSTEMD_RUNS_HERE.is_dir()


@contextlib.contextmanager
def session_folder(name: str) -> Iterator[Path]:
    """A new folder beside the cached trees; removed at the end, or by a later session if it never comes."""
    base = cache_folder() / "sessions"
    base.mkdir(parents=True, exist_ok=True)
    folder = base / name
    with locked(base / ".lock"):
        _reap(base)
        folder.mkdir()
        lock = os.open(folder / "lock", os.O_CREAT | os.O_WRONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        remove_tree(folder)
        os.close(lock)


def _reap(base: Path) -> None:
    """Remove what belongs to folders whose lock nobody holds: makers and hosts are dead."""
    for file in base.glob("*/lock"):
        try:
            lock = os.open(file, os.O_WRONLY)
        except FileNotFoundError:
            continue  # Its maker has just removed it.
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            for group in _cgroups(file.parent.name):
                _remove_cgroup(group)
            remove_tree(file.parent)
        finally:
            os.close(lock)


@contextlib.contextmanager
def session_cgroups(name: str) -> Iterator[list[Path]]:
    """A cgroup in each hierarchy that nspawn uses, where no systemd hands them out.

    Two hosts in one cgroup would take each other's services for their own, and kill them.
    """
    groups = [] if has_systemd() else _cgroups(name)
    try:
        for group in groups:
            group.mkdir()
        yield groups
    finally:
        for group in groups:
            _remove_cgroup(group)


def _cgroups(name: str) -> list[Path]:
    groups = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = (part.split() for part in line.split(" - "))
        if right[0] == "cgroup2" or "name=systemd" in right[2].split(","):
            groups.append(Path(left[4]) / name)
    return groups


def _remove_cgroup(group: Path) -> None:
    """Remove a cgroup and those below it; dead processes may take a moment to leave."""
    for _ in range(50):
        with contextlib.suppress(OSError):
            for folder, _names, _files in os.walk(group, topdown=False):
                os.rmdir(folder)
        if not group.exists():
            return
        time.sleep(0.1)
