"""IP addresses of [Network] and [Firewall]: values, pools, and the address that a machine name gives."""

from collections.abc import Callable, Iterator
from functools import cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Literal, TypeVar

from unitgen.errors import BadValue
from unitgen.interfaces import compute_siphash24
from unitgen.values import Type, parse_machine, split_blanks

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Parsed = TypeVar("Parsed")

VERSIONS: tuple[Literal[4, 6], ...] = (4, 6)
DEFAULT_POOL = "10.77.0.0/16"
"""Private (RFC 1918), and not where Docker, podman, libvirt, LXD or Kubernetes begin."""

_ADDRESS_KEY = b"unitgen address\0"
_PREFIX_KEY = b"unitgen network\0"
_HASHED_TRIES = 8
# The most that a pool may leave out: a container, its gateway, the network's own two addresses.
_LONGEST_POOL = {4: 29, 6: 125}
_SHORTEST_POOL = {4: 8, 6: 16}


def parse_address(text: str) -> str:
    """An address that a container or an end of its link may have, without prefix length."""
    return str(
        _check_kind(_read(ip_address, text, "an IP address", "write like 10.77.3.4 or fd00::4"), text)
    )


def parse_interface_address(text: str) -> str:
    """ADDRESS[/PREFIX]; the prefix length stays away where none was written."""
    interface: IPv4Interface | IPv6Interface
    interface = _read(ip_interface, text, "an IP address", "write like 10.77.3.4 or 192.168.1.100/24")
    _check_kind(interface.ip, text)
    if "/" not in text:
        return str(interface.ip)
    if interface.network.prefixlen < _SHORTEST_POOL[interface.version]:
        raise BadValue(f"{text!r} names too large a network", "write a longer prefix, like /24 or /64")
    return interface.with_prefixlen


def parse_link_address(text: str) -> str:
    """ADDRESS/PREFIX, both of them."""
    if "/" not in text:
        raise BadValue(f"{text!r} has no prefix length", "write like 10.80.0.1/24")
    return parse_interface_address(text)


def parse_host_address(text: str) -> str:
    """An address of the host that a port may be bound to; loopback addresses are among them."""
    address = _read(ip_address, text, "an IP address", "write like 192.0.2.1 or [2001:db8::1]")
    if address.is_unspecified:
        raise BadValue(f"{text!r} is no single address", "leave it out, all addresses are meant then")
    if address.is_loopback and str(address) not in ("127.0.0.1", "::1"):
        raise BadValue(f"{text!r} is not served", "write 127.0.0.1 or [::1]")
    if not address.is_loopback and _is_special(address):
        raise BadValue(
            f"{text!r} is no address that a port could be bound to", "write one of the host's own"
        )
    return str(address)


def parse_server(text: str) -> str:
    """A DNS server, which has to be reachable from a network namespace of the container's own."""
    address = _read(ip_address, text, "an IP address", "write like 192.0.2.53")
    if address.is_loopback:
        raise BadValue(f"{text!r} is the container itself", "leave DNS= out to use the host's resolver")
    return str(_check_kind(address, text))


def parse_pool(text: str) -> str:
    """A network that automatic addresses are taken from."""
    network: Network = _read(ip_network, text, "a network", "write like 10.77.0.0/16 or fd12:3456:789a::/64")
    _check_kind(network.network_address, text)
    shortest, longest = _SHORTEST_POOL[network.version], _LONGEST_POOL[network.version]
    if not shortest <= network.prefixlen <= longest:
        raise BadValue(f"{text!r} is no size for a pool", f"write a prefix of /{shortest} to /{longest}")
    return str(network)


def parse_peer(text: str) -> str:
    """Who may connect: a network, an address, or the name of a container."""
    if ":" not in text and not text.replace(".", "").replace("/", "").isdigit():
        return parse_machine(text)
    return str(
        _read(ip_network, text, "a network", "write like 192.0.2.0/24, 2001:db8::/32, or a container")
    )


def each_version(parse: Callable[[str], str], *words: str) -> Callable[[str], tuple[str, ...]]:
    """A parser for one value of each IP version at most, separated by blanks, and the given `words`."""

    def parse_all(text: str) -> tuple[str, ...]:
        parsed = tuple(word if word in words else parse(word) for word in split_blanks(text))
        kinds = [word if word in words else 6 if ":" in word else 4 for word in parsed]
        for kind in kinds:
            if kinds.count(kind) > 1:
                what = f"IPv{kind}" if kind in VERSIONS else str(kind)
                raise BadValue(f"{text!r} has more than one {what}", "write one for each IP version")
        return parsed

    return parse_all


@cache
def derive_prefix(machine_id: str) -> str:
    """The host's own unique-local network: RFC 4193 wants 40 bits by chance, these are of the machine id."""
    bits = compute_siphash24(machine_id.encode(), _PREFIX_KEY) >> 24
    return str(IPv6Network(((0xFD << 40 | bits) << 80, 64)))


def list_candidates(name: str, pool: Network) -> Iterator[Address]:
    """Addresses for a machine in the order in which it wants them, from its name alone; in the end all.

    Neither the pool's first address, which is its gateway, nor those that name the network itself.
    """
    spared = 3 if pool.version == 4 else 2
    room = pool.num_addresses - spared
    offset = 0
    for attempt in range(_HASHED_TRIES):
        seed = name if not attempt else f"{name}_{attempt}"  # no machine name has an underscore
        offset = _hash_name(seed) % room
        yield pool[2 + offset]
    for step in range(1, room + 1):
        yield pool[2 + (offset + step) % room]


@cache
def _hash_name(seed: str) -> int:
    """The same for both IP versions."""
    return compute_siphash24(seed.encode(), _ADDRESS_KEY)


def _read(read: Callable[[str], Parsed], text: str, what: str, hint: str) -> Parsed:
    if "%" in text:
        raise BadValue(f"{text!r} has a zone", hint)
    try:
        return read(text)
    except ValueError as error:
        if "host bits" in str(error):
            hint = f"write {ip_network(text, strict=False)}"
        raise BadValue(f"{text!r} is not {what}", hint) from None


def _check_kind(address: Address, text: str) -> Address:
    if _is_special(address):
        raise BadValue(f"{text!r} is no address for a container's network", "choose a private one")
    return address


def _is_special(address: Address) -> bool:
    return bool(
        address.is_multicast
        or address.is_loopback
        or address.is_unspecified
        or address.is_link_local
        or (address.version == 6 and address.ipv4_mapped)
        or str(address) == "255.255.255.255"
    )


ADDRESSES = Type("auto or ADDRESS[/PREFIX] ...", each_version(parse_interface_address, "auto"))
GATEWAYS = Type("ADDRESS ...", each_version(parse_address))
POOLS = Type("NETWORK/PREFIX ...", each_version(parse_pool))
LINK_ADDRESSES = Type("ADDRESS/PREFIX ...", each_version(parse_link_address))
SERVERS = Type("ADDRESS ...", lambda text: tuple(map(parse_server, split_blanks(text))))
PEERS = Type("networks and machine names", lambda text: tuple(map(parse_peer, split_blanks(text))))
