"""Boots with many containers: specs of unitgen against units that were written by hand."""

import statistics
from typing import NamedTuple

from tests.bench import fleet
from tests.bench.fleet import Network
from tests.bench.table import ratio
from tests.testbed.host import NspawnHost

BY_HAND = "by hand"
NETWORKS: tuple[Network, ...] = ("host", "own")


class Boot(NamedTuple):
    """Of one boot in seconds: until the last container ran, of this the generators, and CPU time of all."""

    running: float
    generators: float
    cpu: float


class Boots:
    """Boots of one host, one after the other."""

    def __init__(self, host: NspawnHost) -> None:
        self.host = host
        # The host's cgroup outlives a power cut: this is what it had used until then.
        self._used = 0.0

    def in_turn(self, network: Network, count: int) -> list[tuple[str, Boot]]:
        """One boot of each kind: by hand, of new specs, and of specs that the boot before has left."""
        units = fleet.populate(self.host.tree, "by hand", network, count)
        by_hand = self.once(units)
        units = fleet.populate(self.host.tree, "unitgen", network, count)
        # Saved with the lowest priority: a power cut before that would make the next boot a first one.
        saved = "test -e /var/cache/unitgen/kept/seal"
        return [
            (BY_HAND, by_hand),
            ("unitgen, first boot", self.once(units, until=saved)),
            ("unitgen, next boot", self.once(units)),
        ]

    def once(self, units: list[str], until: str = "true") -> Boot:
        """Boot until all of its jobs are done, wait for a command to succeed, and cut the power."""
        self.host.boot()
        boot = Boot(fleet.running(self.host, units), generators(self.host), self._cpu_time() - self._used)
        self.host.wait_until(until)
        self._used = self._cpu_time()
        self.host.power_cut()
        return boot

    def _cpu_time(self) -> float:
        lines = self.host.read("/sys/fs/cgroup/cpu.stat").splitlines()
        return int(dict(line.split() for line in lines)["usage_usec"]) / 1e6


def measure(rounds: int, count: int) -> dict[tuple[Network, str], list[Boot]]:
    """Boot a host again and again, with each kind of containers in turn; the first round does not count."""
    found: dict[tuple[Network, str], list[Boot]] = {}
    with NspawnHost("trixie", kind="podman") as host:
        fleet.furnish(host)
        boots = Boots(host)
        for number in range(rounds + 1):
            for network in NETWORKS:
                for name, boot in boots.in_turn(network, count):
                    print(f"{network}, {name}: {boot}", flush=True)
                    if number:
                        found.setdefault((network, name), []).append(boot)
    return found


def generators(host: NspawnHost) -> float:
    """Seconds that PID 1 waited for its generators."""
    edges = (fleet.manager(host, f"Generators{edge}TimestampMonotonic") for edge in ("Start", "Finish"))
    start, end = map(int, edges)
    return (end - start) / 1e6


def rows(found: dict[tuple[Network, str], list[Boot]]) -> list[list[str]]:
    """A row for each kind of boot, the headings first."""
    table = [["network", "units", "seconds", "times by hand", "CPU s", "times by hand", "generators ms"]]
    for (network, name), boots in found.items():
        cells = [network, name]
        for key in ("running", "cpu"):
            values = [getattr(boot, key) for boot in boots]
            base = [getattr(boot, key) for boot in found[network, BY_HAND]]
            times = statistics.median(one / other for one, other in zip(values, base, strict=True))
            cells += [f"{statistics.median(values):.2f}", ratio(times)]
        waited = statistics.median(boot.generators for boot in boots)
        table.append([*cells, f"{waited * 1e3:.0f}"])
    return table
