"""The networks that the running host is in, by the kernel's own tables (proc(5), /proc/net)."""

from collections.abc import Iterator
from ipaddress import IPv4Address, ip_network
from typing import NamedTuple

from unitgen.addresses import Network
from unitgen.network import PREFIX


class Route(NamedTuple):
    """A network that hosts can be reached in without a gateway, and by which interface."""

    network: Network
    interface: str


def list_routes() -> tuple[Route, ...]:
    """Routes of both IP versions to networks; not the default routes, nor those to single hosts."""
    found = (*_read_ipv4(), *_read_ipv6())
    return tuple(route for route in found if 0 < route.network.prefixlen < route.network.max_prefixlen)


def _read_ipv4() -> Iterator[Route]:
    for fields in _read_table("/proc/net/route", 1):
        interface, target, gateway, mask = fields[0], fields[1], fields[2], fields[7]
        if int(gateway, 16) == 0 and not interface.startswith(PREFIX):
            # Addresses are numbers of the machine's own byte order, which is little-endian where it matters.
            address, bits = (IPv4Address(bytes.fromhex(text)[::-1]) for text in (target, mask))
            yield Route(ip_network(f"{address}/{bits}", strict=False), interface)


def _read_ipv6() -> Iterator[Route]:
    for fields in _read_table("/proc/net/ipv6_route", 0):
        target, length, gateway, interface = fields[0], fields[1], fields[4], fields[-1]
        if int(gateway, 16) == 0 and interface != "lo" and not interface.startswith(PREFIX):
            network = ip_network((bytes.fromhex(target), int(length, 16)), strict=False)
            if not network.is_link_local and not network.is_multicast:
                yield Route(network, interface)


def _read_table(path: str, heading: int) -> Iterator[list[str]]:
    try:
        with open(path, encoding="ascii") as file:
            yield from (line.split() for line in file.readlines()[heading:])
    except OSError:
        return  # no such IP version in this kernel
