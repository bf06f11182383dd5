"""What the network of a container costs when it starts, beside the container's own start."""

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

from tests.bench import fleet
from tests.bench.runs import count_processes
from tests.bench.table import ratio
from tests.testbed.host import Host, NspawnHost

Backend = Literal["iptables", "nft"]
BACKENDS: tuple[Backend, ...] = ("iptables", "nft")
NAME = "c0"
_NETWORK, _CONTAINER = f"unitgen-network@{NAME}.service", f"systemd-nspawn@{NAME}.service"
# Both have to be gone, and what counts starts must not find too many.
_STOP = f"systemctl stop {_CONTAINER} && systemctl stop {_NETWORK} && systemctl reset-failed {_CONTAINER}"
_START = f"systemctl start {_CONTAINER}"
_DROPIN = "/run/systemd/system/unitgen-network@.service.d/90-trace.conf"
_TRACED = """[Service]
ExecStart=
ExecStart=strace -f -e trace=execve,clone,clone3,fork,vfork -o /run/trace /usr/lib/unitgen/network start %i
"""
_FIREWALL = ("iptables-save", "iptables-restore", "ip6tables-save", "ip6tables-restore", "nft", "iptables")


class Start(NamedTuple):
    """Of one start: CPU time and seconds of the network unit, and of the container's own unit."""

    network_cpu: float
    network_wall: float
    own_cpu: float
    own_wall: float


class Figures(NamedTuple):
    """Beside some other containers: rules of one container, what its network unit runs, and its starts."""

    others: int
    rules: int
    processes: int
    programs: Counter[str]
    starts: Sequence[Start]


def measure(rounds: int, counts: Sequence[int]) -> dict[Backend, list[Figures]]:
    """Start a container again and again, with each firewall and beside so many others."""
    return {backend: measure_backend(backend, rounds, counts) for backend in BACKENDS}


def measure_backend(backend: Backend, rounds: int, counts: Sequence[int]) -> list[Figures]:
    """Do so with one firewall."""
    with NspawnHost("trixie", kind="podman") as host:
        fleet.furnish(host)
        units = fleet.populate(host.tree, "unitgen", "own", 1 + max(counts))
        host.write("/etc/unitgen/unitgen.conf", f"[Firewall]\nBackend={backend}\n")
        host.boot()
        fleet.running(host, units)
        others = units[1:]
        found = []
        # The most first: so many fewer then have to be stopped only.
        for count in sorted(counts, reverse=True):
            if others[count:]:
                host.run(["systemctl", "stop", *others[count:]], timeout=120)
            found.append(measure_beside(host, count, rounds))
        return found[::-1]


def measure_beside(host: Host, others: int, rounds: int) -> Figures:
    """Do so beside those that run just now."""
    starts = [start(host) for _ in range(rounds)]
    host.run(_STOP)
    before = count_rules(host)
    host.write(_DROPIN, _TRACED)
    host.run(f"systemctl daemon-reload && {_START}")
    lines = host.read("/run/trace").splitlines()
    processes, _ = count_processes(lines)
    host.run(f"rm {_DROPIN} && systemctl daemon-reload")
    return Figures(others, count_rules(host) - before, processes, programs(lines), starts)


def start(host: Host) -> Start:
    """Stop it, start it, and ask systemd what that took."""
    host.run(f"{_STOP}; {_START}")
    network, own = (
        dict(
            line.split("=", 1)
            for line in host.run(["systemctl", "show", unit]).stdout.splitlines()
            if "=" in line
        )
        for unit in (_NETWORK, _CONTAINER)
    )
    ends = ("ExecMainExitTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    walls = [
        (int(unit[end]) - int(unit["ExecMainStartTimestampMonotonic"])) / 1e6
        for unit, end in zip((network, own), ends, strict=True)
    ]
    cpus = [int(unit["CPUUsageNSec"]) / 1e9 for unit in (network, own)]
    return Start(cpus[0], walls[0], cpus[1], walls[1])


def count_rules(host: Host) -> int:
    """The rules of all tables; those of iptables are there as well."""
    listing = host.run("nft --handle list ruleset").stdout.splitlines()
    return sum("# handle" in line and "{ # handle" not in line for line in listing)


def programs(lines: Sequence[str]) -> Counter[str]:
    """The programs in a trace, without the folders that they are in."""
    calls = [line.split('execve("', 1)[1] for line in lines if 'execve("' in line and " = -1 " not in line]
    return Counter(call.split('"', 1)[0].rsplit("/", 1)[-1] for call in calls)


def rows(found: dict[Backend, list[Figures]]) -> list[list[str]]:
    """A row for each firewall and number of others, the headings first."""
    head = ["firewall", "others", "rules", "processes", "programs", "of the firewall", "CPU ms"]
    table = [[*head, "times systemd-nspawn", "wall ms", "times systemd-nspawn"]]
    for backend, all_figures in found.items():
        for one in all_figures:
            calls = sum(one.programs[name] for name in _FIREWALL)
            cells = [backend, str(one.others), str(one.rules), str(one.processes), str(one.programs.total())]
            cells.append(str(calls))
            for key in ("cpu", "wall"):
                values = [getattr(each, f"network_{key}") for each in one.starts]
                own = [getattr(each, f"own_{key}") for each in one.starts]
                times = statistics.median(a / b for a, b in zip(values, own, strict=True))
                cells += [f"{statistics.median(values) * 1e3:.0f}", ratio(times)]
            table.append(cells)
    return table


def list_programs(found: dict[Backend, list[Figures]]) -> str:
    """Which programs a start runs, with each firewall."""
    lines = []
    for backend, (first, *_) in found.items():
        names = ", ".join(f"{name} {count}" for name, count in sorted(first.programs.items()))
        lines.append(f"Programs with {backend}: {names}.\n")
    return "\n".join(lines)
