"""Published ports: the value of Port=, in the syntax of systemd.nspawn(5) and what it lacks."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
from typing import Generic, NamedTuple, TypeVar

from unitgen.addresses import parse_host_address
from unitgen.errors import BadValue
from unitgen.values import Type

_PORT = re.compile(
    r"(?:(?P<protocol>tcp|udp|tcp\+udp):)?"
    r"(?:(?P<address>\[[^]]*\]|[0-9]+\.[0-9.]+):)?"
    r"(?P<host>[0-9]+(?:-[0-9]+)?)(?::(?P<guest>[0-9]+(?:-[0-9]+)?))?"
)
_PAGE = 64  # ports
Owner = TypeVar("Owner")
_Side = tuple[str, str | None]  # protocol, and an address of the host, or None for whatever it is
_HINT = (
    "write [tcp:|udp:|tcp+udp:][ADDRESS:]HOST[:CONTAINER], ports from 1 to 65535 or ranges like 8000-8010"
)


class Span(NamedTuple):
    """Ports from `first` to `last`, both included."""

    first: int
    last: int

    def format(self, dash: str = "-") -> str:
        """The form in which rules have it."""
        return str(self.first) if self.first == self.last else f"{self.first}{dash}{self.last}"


class Port(NamedTuple):
    """A port of the host, or a span of them, of one address or of all, and where it leads."""

    protocol: str
    address: str
    host: Span
    guest: Span

    def overlaps(self, other: "Port") -> bool:
        """True if a packet could be meant for both."""
        return (
            self.protocol == other.protocol
            and (not self.address or not other.address or self.address == other.address)
            and self.host.first <= other.host.last
            and other.host.first <= self.host.last
        )

    def format(self) -> str:
        """As it is written in a spec, without what is the same in the container."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        words = [self.protocol, *([address] if address else []), self.host.format()]
        return ":".join(words)


def parse_port(text: str) -> str:
    """Check a value; what it means is for read_ports() to say."""
    read_ports(text)
    return text


@cache
def read_ports(text: str) -> tuple[Port, ...]:
    """The ports that a value names, one for each protocol. Raises BadValue."""
    match = _PORT.fullmatch(text)
    if not match:
        raise BadValue(f"{text!r} is not a port", _HINT)
    address = match["address"] or ""
    if address:
        address = _read_host_address(address)
    host = _read_span(match["host"])
    guest = _read_span(match["guest"]) if match["guest"] else host
    if host.last - host.first != guest.last - guest.first:
        raise BadValue(f"{text!r} names ranges of unequal length", "write as many ports on both sides")
    protocols = (match["protocol"] or "tcp").split("+")
    return tuple(Port(protocol, address, host, guest) for protocol in protocols)


class PortBook(Generic[Owner]):
    """Ports and who has them, found without a look at all of them."""

    def __init__(self) -> None:
        self._all: dict[_Side, list[tuple[Port, Owner]]] = {}
        self._wide: dict[_Side, list[tuple[Port, Owner]]] = {}
        self._pages: dict[tuple[_Side, int], list[tuple[Port, Owner]]] = {}

    def add(self, port: Port, owner: Owner) -> None:
        """Enter a port."""
        entry = (port, owner)
        for side in ((port.protocol, port.address), (port.protocol, None)):
            self._all.setdefault(side, []).append(entry)
            if _is_wide(port):
                self._wide.setdefault(side, []).append(entry)
            else:
                for page in _list_pages(port):
                    self._pages.setdefault((side, page), []).append(entry)

    def find(self, port: Port) -> Iterator[tuple[Port, Owner]]:
        """The entries that a packet to the port could be meant for as well; some of them twice."""
        for address in (port.address, "") if port.address else (None,):
            side = (port.protocol, address)
            if _is_wide(port):
                candidates = self._all.get(side, [])
            else:
                pages = [self._pages.get((side, page), []) for page in _list_pages(port)]
                candidates = [*self._wide.get(side, []), *chain.from_iterable(pages)]
            yield from (entry for entry in candidates if port.overlaps(entry[0]))


def _is_wide(port: Port) -> bool:
    return port.host.last - port.host.first >= _PAGE


def _list_pages(port: Port) -> range:
    return range(port.host.first // _PAGE, port.host.last // _PAGE + 1)


def list_pairs(port: Port) -> Iterator[tuple[int, int]]:
    """Each port of the host with that of the container which it leads to."""
    for step in range(port.host.last - port.host.first + 1):
        yield port.host.first + step, port.guest.first + step


def _read_host_address(text: str) -> str:
    inner = text.strip("[]")
    if text.startswith("[") != (":" in inner):
        raise BadValue(f"{text!r} is not an IP address", "write IPv6 in brackets, and IPv4 without")
    return parse_host_address(inner)


def _read_span(text: str) -> Span:
    first, dash, last = text.partition("-")
    numbers = [first, last] if dash else [first]
    if any(number.startswith("0") or len(number) > 5 or int(number) > 65535 for number in numbers):
        raise BadValue(f"{text!r} is not a port", _HINT)
    span = Span(int(first), int(last or first))
    if span.first > span.last:
        raise BadValue(f"{text!r} is a range that runs backwards", f"write {last}-{first}")
    return span


PORT = Type("[PROTOCOL:][ADDRESS:]HOST[:CONTAINER]", parse_port)
