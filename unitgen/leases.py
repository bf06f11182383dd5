"""Who gets which address: all containers together, one IP version at a time.

An automatic address depends on the machine name alone. Where two names meet, the first in name order keeps
the address and the other looks for a free one once everybody else has theirs: so one container more or less
moves nobody but the one it meets.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from ipaddress import ip_address, ip_interface, ip_network
from typing import NamedTuple

from unitgen.addresses import DEFAULT_POOL, VERSIONS, Address, Network, derive_prefix, list_candidates
from unitgen.errors import Problem
from unitgen.model import Setting, Spec
from unitgen.network import Lease


class Request(NamedTuple):
    """What a container asks for in one IP version: an address, or any of a network if it has none."""

    version: int
    network: Network
    gateway: Address
    address: Address | None
    length: int
    setting: Setting | None
    path: str


class Refusal(Exception):
    """A container whose addresses make no sense in themselves."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Award(NamedTuple):
    """What a container got, and what there is to say about it."""

    leases: tuple[Lease, ...] = ()
    problems: tuple[Problem, ...] = ()


def make_requests(spec: Spec, machine_id: str) -> tuple[Request, ...]:
    """What a spec with a network of unitgen's asks for. Raises Refusal."""
    words = spec.texts("Network", "Address") or ("auto",)
    explicit = {ip_interface(word).version: word for word in words if word != "auto"}
    networks = _read_pools(spec.texts("Network", "Pool") or (DEFAULT_POOL, derive_prefix(machine_id)))
    gateways = {address.version: address for address in map(ip_address, spec.texts("Network", "Gateway"))}
    requests = []
    for version in VERSIONS:
        pool, gateway = networks.get(version), gateways.get(version)
        if version in explicit:
            requests.append(_request_own(spec, explicit[version], pool, gateway))
        elif "auto" in words and pool:
            setting = spec.find("Network", "Address")
            requests.append(
                Request(version, pool, gateway or pool[1], None, pool.max_prefixlen, setting, spec.path)
            )
        elif gateway:
            raise Refusal(
                _problem(spec, "Gateway", f"{gateway} is for IPv{version}, in which there is no address")
            )
    if not requests:
        raise Refusal(_problem(spec, "Pool", "has no network that an address could be taken from"))
    return tuple(requests)


@cache
def _read_pools(words: tuple[str, ...]) -> Mapping[int, Network]:
    """Nearly all containers have the same."""
    return {network.version: network for network in map(ip_network, words)}


def _request_own(spec: Spec, word: str, pool: Network | None, gateway: Address | None) -> Request:
    interface = ip_interface(word)
    network = pool if pool and interface.ip in pool else interface.network
    if not gateway:
        if network.num_addresses < 4:
            where = f"outside the pool {pool}" if pool else f"of IPv{interface.version}, in which is no pool"
            hint = (
                f"write {word.partition('/')[0]}/{24 if interface.version == 4 else 64}, Gateway= or Pool="
            )
            raise Refusal(_problem(spec, "Address", f"{word} is {where}", hint))
        gateway = network[1]
    ends = {gateway: "its gateway's"}
    if network.num_addresses > 2:
        ends[network.network_address] = "that of the network itself"
    if network.num_addresses > 2 and network.version == 4:
        ends[network.broadcast_address] = "its broadcast address"
    if interface.ip in ends:
        raise Refusal(_problem(spec, "Address", f"{interface.ip} is {ends[interface.ip]}", "choose another"))
    length = interface.network.prefixlen if "/" in word else interface.max_prefixlen
    setting = spec.find("Network", "Address")
    return Request(interface.version, network, gateway, interface.ip, length, setting, spec.path)


class AddressBook:
    """Addresses that were asked for by number, and those of the host's ends of links."""

    def __init__(self) -> None:
        self._owners: dict[Address, str] = {}
        self._gateways: dict[Address, str] = {}

    def is_free(self, address: Address) -> bool:
        """True if nobody has the address."""
        return address not in self._owners and address not in self._gateways

    def find_holder(self, address: Address) -> str:
        """Who has an address that is not free."""
        return self._owners.get(address) or f"the gateway of {self._gateways[address]}"

    def check(self, request: Request) -> Problem | None:
        """What is against a request, if anything. Many containers may have the same gateway."""
        if request.address and not self.is_free(request.address):
            message = f"{request.address} belongs to {self.find_holder(request.address)}"
            return _complain(request, message, "choose another")
        if request.gateway in self._owners:
            message = f"its gateway {request.gateway} is the address of {self._owners[request.gateway]}"
            return _complain(request, message, "choose another Gateway=")
        return None

    def take(self, name: str, request: Request, address: Address | None) -> None:
        """Enter the gateway of a request, and the address if there is one yet."""
        self._gateways.setdefault(request.gateway, name)
        if address:
            self._owners[address] = name


def assign_addresses(requests: Mapping[str, tuple[Request, ...]]) -> dict[str, Award]:
    """An award for each machine: fewer leases than requests only where there are errors."""
    awards = {name: Award() for name in requests}
    for version in VERSIONS:
        wishes = {
            name: request
            for name in sorted(requests)
            for request in requests[name]
            if request.version == version
        }
        for name, address, problem in _assign(wishes):
            award = awards[name]
            if address:
                award = award._replace(leases=(*award.leases, _make_lease(wishes[name], address)))
            if problem:
                award = award._replace(problems=(*award.problems, problem))
            awards[name] = award
    return awards


def _assign(wishes: Mapping[str, Request]) -> Iterator[tuple[str, Address | None, Problem | None]]:
    book = AddressBook()
    waiting, late = [], []
    for name, request in wishes.items():
        problem = book.check(request)
        if problem:
            yield name, None, problem
            continue
        book.take(name, request, request.address)
        if request.address:
            yield name, request.address, None
        else:
            waiting.append(name)
    for name in waiting:
        address = next(list_candidates(name, wishes[name].network))
        if book.is_free(address):
            book.take(name, wishes[name], address)
            yield name, address, None
        else:
            late.append(name)
    for name in late:
        yield (name, *_find_other(name, wishes[name], book))


def _find_other(name: str, request: Request, book: AddressBook) -> tuple[Address | None, Problem]:
    """An address for a container whose own is somebody else's."""
    wanted = next(list_candidates(name, request.network))
    free = next(filter(book.is_free, list_candidates(name, request.network)), None)
    if not free:
        message = f"the pool {request.network} has no free address left"
        return None, _complain(request, message, "set a larger [Network] Pool= in unitgen.conf")
    message = f"{wanted} belongs to {book.find_holder(wanted)}, so {free} is taken instead"
    book.take(name, request, free)
    problem = _complain(request, message, f"write Address={free} to keep it")
    return free, problem._replace(severity="warning")


def _make_lease(request: Request, address: Address) -> Lease:
    return Lease(str(address), request.length, str(request.gateway))


def _complain(request: Request, message: str, hint: str) -> Problem:
    path, line = request.setting.place if request.setting else (request.path, 0)
    return Problem("taken", path, message, hint, line, "Network", "Address")


def _problem(spec: Spec, key: str, message: str, hint: str = "correct one of them") -> Problem:
    setting = spec.find("Network", key)
    path, line = setting.place if setting else (spec.path, 0)
    return Problem("bad-address", path, message, hint, line, "Network", key)
