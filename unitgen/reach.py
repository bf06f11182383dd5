"""Whether a container's network will work on this host. Only `check` looks: at boot, before the network is
up, the host has no addresses, and what is missing is said by the unit that needs it.
"""

from collections.abc import Iterator
from ipaddress import ip_address

from unitgen.errors import Problem
from unitgen.model import Host, Spec
from unitgen.network import Lease, find_owner, is_managed
from unitgen.network_unit import choose_backend, needs_network_unit
from unitgen.nspawn import writes_resolver
from unitgen.places import PROGRAMS
from unitgen.routes import list_routes
from unitgen.tree import Tree

_PACKAGES = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "iptables-restore": "iptables, or nftables and set [Firewall] Backend=nft",
    "nft": "nftables, or iptables and set [Firewall] Backend=iptables",
}


def check_reach(spec: Spec, tree: Tree, host: Host, leases: tuple[Lease, ...]) -> tuple[Problem, ...]:
    """Ports that not everybody reaches, programs that are missing, and addresses of the host's networks."""
    return (
        *_check_ports(spec),
        *_check_programs(spec, tree, host),
        *_check_resolver(spec, tree),
        *(_check_routes(spec, leases) if tree.root == "" else ()),
    )


def _check_ports(spec: Spec) -> Iterator[Problem]:
    port = spec.find("Network", "Port")
    if port and not find_owner(spec):
        path, line = port.place
        message = "a port of systemd-nspawn's cannot be reached at 127.0.0.1 and ::1 of the host"
        hint = "use [Network] Address= for that"
        where = (line, "Network", "Port")
        yield Problem("out-of-reach", path, message, hint, *where, severity="warning")


def _check_programs(spec: Spec, tree: Tree, host: Host) -> Iterator[Problem]:
    if not any(map(tree.exists, PROGRAMS)):
        return  # a tree of specs alone
    needed = ["ip", "nsenter"] if find_owner(spec) else []
    if needs_network_unit(spec):
        needed.append("nft" if choose_backend(spec, host) == "nft" else "iptables-restore")
    for program in needed:
        if not _has_program(tree, program):
            message = f"the network needs {program}, which is not installed"
            yield Problem("missing-program", spec.path, message, f"install {_PACKAGES[program]}")
    if is_managed(spec) and not spec.find("Network", "DNS") and not _has_program(tree, "dnsmasq"):
        message = "without dnsmasq containers do not find each other by name"
        hint = "install dnsmasq-base (Debian) or dnsmasq"
        yield Problem("missing-program", spec.path, message, hint, severity="warning")


def _has_program(tree: Tree, program: str) -> bool:
    return any(tree.exists(f"{folder}/{program}") for folder in PROGRAMS)


def _check_resolver(spec: Spec, tree: Tree) -> Iterator[Problem]:
    """A file can only be mounted over one that is there, if none can be made."""
    place = spec.text("Container", "Directory", f"/var/lib/machines/{spec.name}")
    fixed = spec.find("Files", "ReadOnly")
    if not (fixed and fixed.values[-1] and writes_resolver(spec) and tree.exists(f"{place}/etc")):
        return
    if not tree.has_name(f"{place}/etc/resolv.conf"):
        path, line = fixed.place
        message = f"{place}/etc/resolv.conf is missing, and cannot be made in a read-only tree"
        hint = "make an empty one, or set [Exec] ResolvConf=off"
        yield Problem("missing-source", path, message, hint, line, "Files", "ReadOnly")


def _check_routes(spec: Spec, leases: tuple[Lease, ...]) -> Iterator[Problem]:
    if not leases:
        return
    setting = spec.find("Network", "Address") or spec.find("Network", "Pool")
    path, line = setting.place if setting else (spec.path, 0)
    routes = list_routes()
    for address in map(ip_address, [end for lease in leases for end in (lease.address, lease.gateway)]):
        for network, interface in routes:
            if address in network:
                message = f"{address} is inside {network}, a network of this host ({interface})"
                hint = "choose another Address=, or another Pool= in unitgen.conf"
                yield Problem("bad-address", path, message, hint, line, "Network", "Address")
