"""A tree of Debian 13 with podman, Quadlet and unitgen, not booted: what generators are measured in."""

import contextlib
import json
import os
import stat
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.testbed.command import ENVIRONMENT
from tests.testbed.session import session_folder
from tests.testbed.trees import copy_tree, tree

CHECKOUT = Path(__file__).parent.parent.parent

# What is mounted goes with the processes. /run is a tmpfs, as on a host: output and what is kept are there.
_ENTER = """
tree=$1; shift
mount -t proc proc "$tree/proc"
mount -t tmpfs -o mode=0755 tmpfs "$tree/run"
mount --rbind -o ro /sys "$tree/sys"
exec chroot "$tree" "$@"
"""


@contextlib.contextmanager
def room() -> Iterator[Path]:
    """A copy of the tree with the checkout installed; it is removed at the end."""
    with session_folder(f"bench-{os.getpid()}") as session:
        yield furnish(session / "tree")


def furnish(place: Path) -> Path:
    """Have the tree at this place, with the checkout as it is now."""
    if not place.exists():
        copy_tree(tree("podman", "trixie"), place)
        # Generators write there what is wrong; it must not end up in this machine's log.
        os.mknod(place / "dev/kmsg", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    subprocess.run([CHECKOUT / "packaging/install", place], check=True)
    return place


def enter(place: Path, command: Sequence[str], stdin: str = "") -> str:
    """Run a command in the tree; what it writes to stdout."""
    namespaces = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child"]
    result = subprocess.run(
        [*namespaces, "sh", "-e", "-c", _ENTER, "enter", os.fspath(place), *command],
        env=ENVIRONMENT,
        input=stdin,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return result.stdout


def run_inside(place: Path, program: Path, request: object) -> str:
    """Have the tree's Python run a program of this folder, with a request in JSON."""
    command = ["/usr/bin/python3", "-I", "-S", "-c", program.read_text()]
    return enter(place, command, json.dumps(request))
