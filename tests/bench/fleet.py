"""Hosts with many small containers, by unitgen or by hand, for the parts that boot."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tests.bench.report import CHECKOUT
from tests.testbed.command import capture, checked
from tests.testbed.host import Host
from tests.testbed.trees import remove_tree

# Who makes the units, and which network they have.
Maker = Literal["unitgen", "by hand"]
Network = Literal["host", "own"]

GUEST = "/var/lib/machines/tiny"
COMMAND = ["/usr/bin/sleep", "infinity"]
_SPECS = "etc/unitgen/containers"
_UNITS = "etc/systemd/system"
# As if unitgen were not installed: what is masked is not even looked at.
_MASKS = (
    "etc/systemd/system-generators/unitgen-generator",
    f"{_UNITS}/systemd-nspawn@.service.d/00-unitgen.conf",
)


def furnish(host: Host) -> None:
    """Install the checkout and the guest, which all containers share as they cannot write to it."""
    checked(capture([str(CHECKOUT / "packaging/install"), str(host.tree)], b"", 60), check=True)
    host.add_guest("tiny", GUEST)


def spec(network: Network) -> str:
    """A spec of a container; the name is the only thing that differs from one to the next."""
    private = "\n[Network]\nPrivate=no\n" if network == "host" else ""
    words = shlex.join(COMMAND)
    command = f"[Exec]\nProcessTwo=yes\nParameters={words}\n"
    return f"[Container]\nDirectory={GUEST}\n\n{command}\n[Files]\nReadOnly=yes\n{private}"


def override(name: str, network: Network) -> str:
    """What somebody would write by hand: unitgen's options of systemd-nspawn, but with a link of its own."""
    options = [
        *("--quiet", "--keep-unit", "--settings=no", f"--machine={name}", "--as-pid2"),
        *("--kill-signal=SIGRTMIN+3", "-U", f"--directory={GUEST}", "--read-only"),
        *(["--network-veth"] if network == "own" else []),
    ]
    return f"[Service]\nExecStart=\nExecStart=systemd-nspawn {shlex.join([*options, '--', *COMMAND])}\n"


def populate(root: Path, maker: Maker, network: Network, count: int) -> list[str]:
    """Have that many containers on a host that is not running, and nothing that is kept of others.

    Returns their units.
    """
    clear(root)
    names = [f"c{number}" for number in range(count)]
    units = [f"systemd-nspawn@{name}.service" for name in names]
    if maker == "unitgen":
        for name in names:
            write(root / _SPECS / f"{name}.ini", spec(network))
        return units
    for mask in _MASKS:
        link(root / mask, "/dev/null")
    link(
        root / _UNITS / "multi-user.target.wants/machines.target", "/usr/lib/systemd/system/machines.target"
    )
    for name in names:
        write(root / _UNITS / f"systemd-nspawn@{name}.service.d/override.conf", override(name, network))
        wanted = root / _UNITS / f"machines.target.wants/systemd-nspawn@{name}.service"
        link(wanted, "/usr/lib/systemd/system/systemd-nspawn@.service")
    return units


def clear(root: Path) -> None:
    """Take away what populate() has made, and what unitgen has saved."""
    gone = [*(root / mask for mask in _MASKS), *(root / _SPECS).glob("*.ini"), root / "var/cache/unitgen"]
    gone += [*(root / _UNITS).glob("systemd-nspawn@*.service.d"), root / _UNITS / "machines.target.wants"]
    for path in gone:
        remove_tree(path)


def write(path: Path, text: str) -> None:
    """Write a file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def link(path: Path, target: str) -> None:
    """Make a link, with its folders, if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_symlink():
        path.symlink_to(target)


def running(host: Host, units: Sequence[str]) -> float:
    """Seconds from the start of the host's PID 1 until the last container ran."""
    shown = host.run(
        ["systemctl", "show", "--property=ActiveState,ActiveEnterTimestampMonotonic", *units]
    ).stdout
    entries = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.split("\n\n")]
    if any(entry["ActiveState"] != "active" for entry in entries):
        raise FleetError(host.run("systemctl --failed; journalctl --boot --priority=err --lines=20").stdout)
    last = max(int(entry["ActiveEnterTimestampMonotonic"]) for entry in entries)
    return (last - int(manager(host, "UserspaceTimestampMonotonic"))) / 1e6


def show(host: Host, unit: str) -> dict[str, str]:
    """The properties of a unit."""
    lines = host.run(["systemctl", "show", unit]).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def manager(host: Host, name: str) -> str:
    """A property of the host's PID 1."""
    return host.run(["systemctl", "show", f"--property={name}", "--value"]).stdout.strip()


class FleetError(Exception):
    """Not all containers run."""
