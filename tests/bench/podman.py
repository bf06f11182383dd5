"""Boots of a virtual machine with the same containers by unitgen and by podman with Quadlet."""

import statistics

from tests.bench import fleet
from tests.bench.fleet import Network
from tests.bench.table import ratio
from tests.testbed.vm import VmHost

NETWORKS: tuple[Network, ...] = ("host", "own")
UNITGEN, PODMAN = "unitgen", "podman with Quadlet"
_STORE = "/root/specs"
_QUADLET = """\
[Container]
Rootfs={guest}
ReadOnly=yes
Exec={command}
{network}
[Service]
TimeoutStartSec=15min

[Install]
WantedBy=multi-user.target
"""
# Have the containers of one kind only, and nothing that an earlier boot has left of the other.
_SWITCH = """
rm -f /etc/unitgen/containers/*.ini /etc/containers/systemd/*.container
cp {store}/{kind}/* {place}
rm -rf /var/cache/unitgen
sync
"""


class PodmanVm(VmHost):
    """A virtual machine of Debian 13 with podman."""

    kind = "vm-podman"
    # On a busy machine podman takes minutes to start 20 containers at once under emulation.
    boot_timeout = 1200


def measure(rounds: int, count: int) -> dict[tuple[Network, str], list[float]]:
    """Boot again and again, with each kind of containers in turn."""
    found: dict[tuple[Network, str], list[float]] = {}
    with PodmanVm("trixie") as host:
        furnish(host, count)
        host.boot()
        for _ in range(rounds):
            for network in NETWORKS:
                for name in (PODMAN, UNITGEN):
                    seconds = boot_with(host, network, name, count)
                    print(f"{network}, {name}: {seconds:.1f} s", flush=True)
                    found.setdefault((network, name), []).append(seconds)
    return found


def furnish(host: VmHost, count: int) -> None:
    """Install what is measured, and put the specs of all kinds at hand."""
    fleet.furnish(host)
    for network in NETWORKS:
        for number in range(count):
            host.write(f"{_STORE}/{UNITGEN}-{network}/c{number}.ini", fleet.spec(network))
            host.write(
                f"{_STORE}/{PODMAN}-{network}/c{number}.container".replace(" ", "-"), quadlet(network)
            )


def quadlet(network: Network) -> str:
    """The same container for Quadlet, from the same tree and read-only as well."""
    words = " ".join(fleet.COMMAND)
    line = "Network=host\n" if network == "host" else ""
    return _QUADLET.format(guest=fleet.GUEST, command=words, network=line)


def boot_with(host: VmHost, network: Network, name: str, count: int) -> float:
    """Reboot with the containers of one kind; seconds from the start of PID 1 until the last one ran.

    CPU time would say nothing: an emulated CPU counts what the machine gives to others, too. And /var is a
    disk of its own here, so unitgen's generator always does its work anew.
    """
    place = "/etc/unitgen/containers" if name == UNITGEN else "/etc/containers/systemd"
    kind = f"{name}-{network}".replace(" ", "-")
    host.run(["/bin/sh", "-e", "-c", _SWITCH.format(store=_STORE, kind=kind, place=place)])
    host.reboot()
    prefix = "systemd-nspawn@c" if name == UNITGEN else "c"
    units = [f"{prefix}{number}.service" for number in range(count)]
    return fleet.running(host, units)


def rows(found: dict[tuple[Network, str], list[float]]) -> list[list[str]]:
    """A row for each kind of boot, the headings first."""
    table = [["network", "containers", "seconds", "times podman"]]
    for (network, name), seconds in found.items():
        pairs = zip(seconds, found[network, PODMAN], strict=True)
        times = statistics.median(one / other for one, other in pairs)
        table.append([network, name, f"{statistics.median(seconds):.1f}", ratio(times)])
    return table
