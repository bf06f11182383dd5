"""Containers that tests declare, and how they get onto a host."""

import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from tests.testbed.host import Host
from tests.testbed.trees import Kind


class Container(NamedTuple):
    """A container: its spec, the tree it runs, and files of its own in there (by their path in the tree)."""

    spec: str | None
    tree: Kind | None = "tiny"
    files: Mapping[str, str] = MappingProxyType({})
    # Where the tree goes; /var/lib/machines/NAME if empty.
    place: str = ""


def spec_path(name: str) -> str:
    """Where a container's spec belongs."""
    return f"/etc/unitgen/containers/{name}.ini"


def unit(name: str) -> str:
    """The service that runs a container."""
    return f"systemd-nspawn@{name}.service"


def place_container(host: Host, name: str, container: Container) -> str:
    """Put tree, files and spec of a container on the host, booted or not; returns the place of the tree."""
    place = container.place or f"/var/lib/machines/{name}"
    if container.tree is not None:
        host.add_guest(container.tree, place)
    for path, text in container.files.items():
        host.write(f"{place}/{path.lstrip('/')}", text, 0o755 if text.startswith("#!") else 0o644)
    if container.spec is not None:
        host.write(spec_path(name), container.spec)
    return place


class Containers:
    """Containers that one test adds to a running host, and that go with it."""

    _numbers = itertools.count()

    def __init__(self, host: Host) -> None:
        self.host = host
        self._places: dict[str, str] = {}

    def add(self, container: Container, name: str = "") -> str:
        """Place a container, reload the manager, and return the container's name. It is not started."""
        name = name or f"t{next(self._numbers)}"
        # Noted first: what fails halfway is cleared away as well.
        self._places[name] = container.place or f"/var/lib/machines/{name}"
        place_container(self.host, name, container)
        self.host.run("systemctl daemon-reload")
        return name

    def close(self) -> None:
        """Stop them all and remove what was placed."""
        if not self._places or not self.host.running:
            return
        units = [unit(name) for name in self._places]
        # A guest that is only coming up may miss the signal that should end it: nobody waits 90 s for that.
        if self.host.run(["timeout", "10", "systemctl", "stop", *units], check=False).returncode:
            self.host.run(["systemctl", "kill", "--signal=KILL", *units], check=False)
            self.host.run(["systemctl", "stop", *units], check=False)
        self.host.run(["systemctl", "reset-failed", *units], check=False)
        specs = [spec_path(name) for name in self._places]
        self.host.run(["rm", "-rf", "--one-file-system", "--", *specs, *self._places.values()])
        self.host.run("systemctl daemon-reload")
