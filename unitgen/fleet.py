"""What only all containers together decide: addresses, and who was first where two want the same.

Containers are taken in name order. One that finds a port, an address or an interface taken is refused, and
takes nothing itself; so the others are the same as if it were not there.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from unitgen.addresses import VERSIONS, Network
from unitgen.circles import find_circles
from unitgen.errors import Problem, cap_problems, has_errors
from unitgen.firewall import list_peers, list_ports, name_chain
from unitgen.leases import AddressBook, Award, Refusal, Request, assign_addresses, make_requests
from unitgen.model import Spec
from unitgen.network import Lease, find_owner, is_managed, list_interfaces
from unitgen.ports import PortBook, read_ports


class Member(NamedTuple):
    """A container to be placed; one that is not sound keeps its automatic addresses and nothing else."""

    spec: Spec
    sound: bool


class Place(NamedTuple):
    """What a container gets from the others' being there: addresses, names that lead to them, and the
    interfaces of the containers that its firewall names. It may have it if `problems` has no error.
    """

    leases: tuple[Lease, ...] = ()
    names: tuple[str, ...] = ()
    friends: Mapping[str, tuple[str, ...]] = {}
    problems: tuple[Problem, ...] = ()


def place_members(members: Iterable[Member], machine_id: str) -> dict[str, Place]:
    """A place for each container, by name; those at fault in themselves get one that is of no use."""
    ordered = sorted(members, key=lambda member: member.spec.name)
    fleet = _Fleet(ordered, machine_id)
    return {member.spec.name: fleet.place(member) for member in ordered}


class _Fleet:
    """All containers, and what those placed so far have taken."""

    def __init__(self, members: list[Member], machine_id: str) -> None:
        self._specs = {member.spec.name: member.spec for member in members}
        self._broken = {member.spec.name for member in members if not member.sound}
        self._requests: dict[str, tuple[Request, ...]] = {}
        self._problems: dict[str, list[Problem]] = {}
        self._claims = _Claims()
        circles = find_circles(member.spec for member in members if member.sound)
        for spec, sound in members:
            self._request(spec, machine_id)
            if sound:
                self._admit(spec, circles.get(spec.name))
        admitted = {name for name, problems in self._problems.items() if not has_errors(problems)}
        # What a broken spec asks for by number, another may have; what its name gives waits for it.
        self._awards = assign_addresses(
            {
                name: tuple(request for request in requests if name in admitted or not request.address)
                for name, requests in self._requests.items()
            }
        )
        self._guests: dict[str, list[str]] = {}
        # A broken one may still run as it was, and then its name leads to where it is.
        for name in sorted(admitted | self._broken):
            self._guests.setdefault(self._specs[name].text("Network", "Share"), []).append(name)

    def _request(self, spec: Spec, machine_id: str) -> None:
        if is_managed(spec):
            try:
                self._requests[spec.name] = make_requests(spec, machine_id)
            except Refusal as refusal:
                self._problems[spec.name] = [refusal.problem]

    def _admit(self, spec: Spec, circle: Problem | None) -> None:
        """Let a container take what it wants if nobody else has any of it."""
        requests = self._requests.get(spec.name, ())
        problems = [
            *self._problems.get(spec.name, ()),
            *([circle] if circle else []),
            *self._check_host(spec),
            *self._check_friends(spec),
            *cap_problems(self._claims.check(spec, requests), spec.path),
        ]
        self._problems[spec.name] = problems
        if not has_errors(problems):
            self._claims.take(spec, requests)

    def place(self, member: Member) -> Place:
        """The place of one of them."""
        spec = member.spec
        if not member.sound:
            return Place()
        award = self._awards.get(spec.name, Award())
        problems = (*self._problems[spec.name], *award.problems)
        names = (spec.name, *self._guests.get(spec.name, ()))
        return Place(award.leases, names, self._find_friends(spec), tuple(dict.fromkeys(problems)))

    def _find_friends(self, spec: Spec) -> dict[str, tuple[str, ...]]:
        known = [self._specs[peer] for peer, _ in list_peers(spec) if peer in self._specs]
        owners = {other.name: self._specs.get(find_owner(other), other) for other in known}
        return {name: list_interfaces(owner) for name, owner in owners.items()}

    def _check_host(self, spec: Spec) -> Iterator[Problem]:
        """Share= has to name a container that has something to share."""
        setting = spec.find("Network", "Share")
        if not setting:
            return
        host = self._specs.get(spec.text("Network", "Share"))
        if not host:
            message, hint = f"there is no spec of a container {setting.values[-1]}", "correct the name"
            yield _complain(spec, "Share", message, hint, "unknown-container")
        elif not is_managed(host) and host.name not in self._broken:
            message = f"{host.name} has no network of unitgen's that could be shared"
            yield _complain(spec, "Share", message, "name a container that has Address=", "conflict")

    def _check_friends(self, spec: Spec) -> Iterator[Problem]:
        friends = self._find_friends(spec)
        for peer, (path, line) in list_peers(spec):
            if peer not in friends:
                message, hint = f"there is no spec of a container {peer}", "correct the name"
                yield Problem("unknown-container", path, message, hint, line, "Firewall", "AllowFrom")
            elif not friends[peer] and peer not in self._broken:
                message = f"{peer} has no link of its own to be known by"
                hint = "write a network in its place"
                yield Problem("conflict", path, message, hint, line, "Firewall", "AllowFrom")


class _Claims:
    """What can be had only once, each with the spec that has it."""

    def __init__(self) -> None:
        self._addresses = AddressBook()
        self._ports: PortBook[Spec] = PortBook()
        self._names: dict[str, Spec] = {}
        self._networks: dict[int, _Networks] = {version: _Networks() for version in VERSIONS}
        self._bridges: dict[str, Spec] = {}

    def take(self, spec: Spec, requests: tuple[Request, ...]) -> None:
        """Give a container what check() had nothing against."""
        for port in list_ports(spec):
            self._ports.add(port, spec)
        for name in _list_own_names(spec):
            self._names[name] = spec
        for request in requests:
            self._addresses.take(spec.name, request, request.address)
            self._networks[request.version].add(request.network, spec)
        if spec.find("Network", "BridgeAddress"):
            self._bridges.setdefault(spec.text("Network", "Bridge"), spec)

    def check(self, spec: Spec, requests: tuple[Request, ...]) -> Iterator[Problem]:
        """What of it somebody else has."""
        yield from filter(None, map(self._addresses.check, requests))
        yield from self._check_ports(spec)
        yield from self._check_names(spec)
        yield from self._check_networks(spec, requests)
        yield from self._check_bridge(spec)

    def _check_ports(self, spec: Spec) -> Iterator[Problem]:
        for value, (path, line) in spec.parts("Network", "Port"):
            for port in read_ports(str(value)):
                found = (entry for entry in self._ports.find(port) if not _excludes(spec, entry[1]))
                other, owner = next(found, (port, None))
                if owner:
                    message = f"{port.format()} is taken by {owner.name}, which has {other.format()}"
                    yield Problem("taken", path, message, "choose another port", line, "Network", "Port")

    def _check_names(self, spec: Spec) -> Iterator[Problem]:
        """Names that are cut and hashed, to the kernel's 15 characters or iptables' 28, can meet."""
        for name in _list_own_names(spec):
            if name in self._names:
                message = (
                    f"{name}, the name of a link or chain, would be that of {self._names[name].name} too"
                )
                yield Problem("taken", spec.path, message, "rename one of the containers")

    def _check_networks(self, spec: Spec, requests: tuple[Request, ...]) -> Iterator[Problem]:
        for request in requests:
            found = self._networks[request.version].find(request.network)
            if found:
                network, owner = found
                message = f"{request.network} overlaps {network} of {owner.name}"
                key = "Pool" if spec.find("Network", "Pool") and not request.address else "Address"
                yield _complain(spec, key, message, "choose a network apart", "taken")

    def _check_bridge(self, spec: Spec) -> Iterator[Problem]:
        wanted = spec.texts("Network", "BridgeAddress")
        owner = self._bridges.get(spec.text("Network", "Bridge"))
        if wanted and owner and {*wanted} != {*owner.texts("Network", "BridgeAddress")}:
            given = " ".join(owner.texts("Network", "BridgeAddress"))
            message = f"{owner.name} gives the bridge {given}"
            yield _complain(spec, "BridgeAddress", message, "write the same in both", "taken")


class _Networks:
    """Networks of one IP version, none of which overlaps another, in order."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._entries: list[tuple[Network, Spec]] = []

    def add(self, network: Network, spec: Spec) -> None:
        """Enter a network, if it is one of more than a single address."""
        place = bisect_left(self._starts, int(network.network_address))
        known = self._starts[place : place + 1] == [int(network.network_address)]
        if network.num_addresses > 1 and not known:
            self._starts.insert(place, int(network.network_address))
            self._entries.insert(place, (network, spec))

    def find(self, network: Network) -> tuple[Network, Spec] | None:
        """Another network that has addresses of this one. Only its neighbours in order can be that."""
        place = bisect_left(self._starts, int(network.network_address))
        for other, spec in self._entries[max(place - 1, 0) : place + 1]:
            if network.num_addresses > 1 and other != network and _overlap(other, network):
                return other, spec
        return None


def _overlap(one: Network, other: Network) -> bool:
    return int(one.network_address) <= int(other.broadcast_address) and int(other.network_address) <= int(
        one.broadcast_address
    )


def _list_own_names(spec: Spec) -> tuple[str, ...]:
    """Names in the kernel that no two containers may have in common, as those of bridges may be."""
    shared = spec.find("Network", "Bridge") or spec.find("Network", "Zone")
    return (name_chain(spec.name), *(list_interfaces(spec)[1 if shared else 0 :]))


def _excludes(spec: Spec, other: Spec) -> bool:
    """True if the two never run at the same time, so that both may have the same port."""
    pairs = ((spec, other), (other, spec))
    return any(second.name in first.texts("Container", "Conflicts") for first, second in pairs)


def _complain(spec: Spec, key: str, message: str, hint: str, code: str) -> Problem:
    setting = spec.find("Network", key)
    path, line = setting.place if setting else (spec.path, 0)
    return Problem(code, path, message, hint, line, "Network", key)
