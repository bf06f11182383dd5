"""The firewall of a container: what its rules mean. `iptables` and `nft` say it in their languages.

What is refused is dropped in a chain of its own, before the one in which others decide; what is let through
is accepted in the chain where Docker, ufw and administrators drop. So neither depends on the other's place.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from unitgen.interfaces import compute_tag
from unitgen.model import Spec
from unitgen.network import NATIVE_PREFIXES, PREFIX, Lease, is_managed, list_interfaces
from unitgen.ports import Port, Span, read_ports

LOOPBACK = {4: "127.0.0.0/8", 6: "::1"}
_LOCALHOST = {4: "127.0.0.1", 6: "::1"}
_LONGEST_CHAIN = 28  # iptables(8), XT_EXTENSION_MAXNAMELEN less one
_ANY_CONTAINER = tuple(f"{prefix}+" for prefix in (PREFIX, *NATIVE_PREFIXES))
# Who may reach the containers of other managers is for their rules to say.
_OF_OTHERS = ("docker+", "podman+", "cni+", "virbr+", "lxdbr+")

GUARD, REFUSE, PUBLISH, LEAVE, PASS = "guard", "refuse", "publish", "leave", "pass"
"""The chains: before anything, refusals, published ports, addresses of what leaves, and what may pass."""


class Rule(NamedTuple):
    """One rule. Empty fields match everything; `!` in front of a value means all but that.

    An interface that ends in + stands for all that begin so. `state` is of conntrack, `target` what kind of
    address the destination is for the host. `verdict` is accept, return, drop, masquerade, mark, or dnat to
    `to` and `span`.
    """

    chain: str
    verdict: str
    input: str = ""
    output: str = ""
    source: str = ""
    destination: str = ""
    protocol: str = ""
    ports: Port | None = None
    state: str = ""
    target: str = ""
    marked: bool = False
    to: str = ""


class Policy(NamedTuple):
    """What a spec with a network of unitgen's says of others, whoever the container is.

    `friends` has the interfaces of the containers in `allowed`, in the same order; none for a network.
    """

    forward: bool
    masquerade: bool
    isolate: bool
    allowed: tuple[str, ...]
    friends: tuple[tuple[str, ...], ...]


def read_policy(spec: Spec, friends: Mapping[str, tuple[str, ...]]) -> Policy:
    """The policy of a spec. `friends` has the interfaces of containers in AllowFrom=."""
    allowed = spec.texts("Firewall", "AllowFrom")
    return Policy(
        spec.flag("Firewall", "Forward", True),
        masquerades(spec),
        spec.flag("Firewall", "Isolate", False),
        allowed,
        tuple(friends.get(peer, ()) for peer in allowed),
    )


def name_chain(machine: str) -> str:
    """The name of the container's chains. A machine name has no underscore, so the two forms never meet."""
    chain = f"unitgen-{machine}"
    if len(chain) > _LONGEST_CHAIN:
        chain = f"{chain[: _LONGEST_CHAIN - 5]}_{compute_tag(machine)}"
    return chain


def list_ports(spec: Spec) -> tuple[Port, ...]:
    """All ports that a spec publishes."""
    return tuple(port for value in spec.texts("Network", "Port") for port in read_ports(value))


def list_peers(spec: Spec) -> Iterator[tuple[str, tuple[str, int]]]:
    """The containers in AllowFrom=, with the file and line that name them."""
    for value, place in spec.parts("Firewall", "AllowFrom"):
        for peer in value if isinstance(value, tuple) else ():
            if ":" not in peer and "/" not in peer:  # a network has its prefix length by now
                yield peer, place


def masquerades(spec: Spec) -> bool:
    """True if what leaves the host gets the host's address: the default where the address is of a pool."""
    return spec.flag("Firewall", "Masquerade", is_managed(spec))


def publishes_on_loopback(spec: Spec, version: int) -> bool:
    """True if a port is to be reached at 127.0.0.1 or ::1."""
    return any(port.address in ("", _LOCALHOST[version]) for port in list_ports(spec))


def plan_native(spec: Spec) -> Iterator[Rule]:
    """A link that systemd-nspawn makes: the addresses are not known here, so the rules name interfaces."""
    forward, masquerade = spec.flag("Firewall", "Forward", True), masquerades(spec)
    # Others may be plugged into a bridge that is not ours, and one container does not open the host for all.
    opens = spec.find("Firewall", "Forward") or spec.find("Network", "BridgeAddress")
    shared = spec.find("Network", "Bridge") and not opens
    for interface in list_interfaces(spec):
        if masquerade:
            yield Rule(REFUSE, "mark", input=interface, output=f"!{interface}")
        if forward and not (shared and interface == spec.text("Network", "Bridge")):
            yield Rule(PASS, "accept", output=interface, state="established")
            yield Rule(PASS, "accept", output=interface, state="dnat")
            yield Rule(PASS, "accept", input=interface, target="unicast")
        if forward:
            yield Rule(PASS, "accept", input=interface, output=interface)
    if masquerade and list_interfaces(spec):
        yield Rule(LEAVE, "masquerade", marked=True)


def plan_policy(policy: Policy, version: int, lease: Lease, interface: str) -> Iterator[Rule]:
    """All but the published ports, for a container with an address and a link of unitgen's."""
    yield from _guard(version, lease, interface)
    yield from _limit(policy, version, lease, interface)
    # A connection of the container to its own published port, and of the host by its loopback addresses,
    # would come from an address to which the container could not answer.
    yield Rule(LEAVE, "masquerade", output=interface, source=lease.address)
    yield Rule(LEAVE, "masquerade", output=interface, source=LOOPBACK[version])
    if policy.masquerade:
        yield Rule(LEAVE, "masquerade", source=lease.address, output=f"!{PREFIX}+")
    if policy.forward:
        yield from _pass_managed(policy, version, lease, interface)


def _guard(version: int, lease: Lease, interface: str) -> Iterator[Rule]:
    """What no container sends: packets in another's name, and what nobody sends: packets to 127.0.0.1.

    The kernel drops the latter, but not before DNAT has given them another destination.
    """
    if version == 4:
        yield Rule(GUARD, "drop", input="!lo", destination=LOOPBACK[4])
    else:
        # IPV6_FREEBIND lets everybody choose a source, and IPv6 has no rp_filter.
        for own in ("fe80::/10", "::/128"):
            yield Rule(GUARD, "return", input=interface, source=own)
    yield Rule(GUARD, "drop", input=interface, source=f"!{lease.address}")


def plan_ports(spec: Spec, version: int, lease: Lease) -> Iterator[Rule]:
    """Where each port leads to. Names at the gateway, and resolvers at 127.0.0.53, stay what they are."""
    ports = [
        port for port in list_ports(spec) if not port.address or (":" in port.address) == (version == 6)
    ]
    everywhere = [port for port in ports if not port.address]
    for port in ports:
        yield _forward(port, lease, destination=port.address or _LOCALHOST[version])
    for server in map(_name_server, ("udp", "tcp")):
        if any(map(server.overlaps, everywhere)):
            yield Rule(PUBLISH, "return", destination=lease.gateway, protocol=server.protocol, ports=server)
    if everywhere:
        yield Rule(PUBLISH, "return", destination=LOOPBACK[version])
    for port in everywhere:
        yield _forward(port, lease, target="local")


def _forward(port: Port, lease: Lease, destination: str = "", target: str = "") -> Rule:
    return Rule(
        PUBLISH,
        "dnat",
        destination=destination,
        protocol=port.protocol,
        ports=port,
        target=target,
        to=lease.address,
    )


def _name_server(protocol: str) -> Port:
    return Port(protocol, "", Span(53, 53), Span(53, 53))


def _limit(policy: Policy, version: int, lease: Lease, interface: str) -> Iterator[Rule]:
    yield Rule(REFUSE, "return", state="established")
    yield Rule(REFUSE, "return", input=interface, output=interface)
    if policy.isolate:
        for others in (*_ANY_CONTAINER, *_OF_OTHERS):
            yield Rule(REFUSE, "drop", input=interface, output=others)
        yield from _reach_host(REFUSE, "return", version, lease, interface)
        yield Rule(REFUSE, "return", input=interface, target="unicast")
        yield Rule(REFUSE, "drop", input=interface)
    yield from _admit(policy, version, interface)
    if policy.masquerade or policy.isolate or policy.allowed:
        yield Rule(REFUSE, "drop", output=interface)


def _admit(policy: Policy, version: int, interface: str) -> Iterator[Rule]:
    """Who may begin a connection: those in AllowFrom=, else siblings, and everybody by published ports."""
    published = "dnat" if policy.masquerade else ""
    for peer, links in zip(policy.allowed, policy.friends, strict=True):
        for other in links:
            yield Rule(REFUSE, "return", input=other, output=interface)
        if not links and (":" in peer) == (version == 6):
            yield Rule(REFUSE, "return", output=interface, source=peer, state=published)
            # A sibling need not come by way of a port of the host.
            yield Rule(REFUSE, "return", input=f"{PREFIX}+", output=interface, source=peer)
    if policy.allowed:
        return
    for others in _ANY_CONTAINER:
        verdict = "drop" if policy.isolate else "return"
        yield Rule(REFUSE, verdict, input=others, output=interface)
    yield Rule(REFUSE, "return", output=interface, state=published)


def _reach_host(chain: str, verdict: str, version: int, lease: Lease, interface: str) -> Iterator[Rule]:
    """What a container always needs of the host: its names, and in IPv6 the host's hardware address."""
    for server in map(_name_server, ("udp", "tcp")):
        yield Rule(
            chain,
            verdict,
            input=interface,
            destination=lease.gateway,
            protocol=server.protocol,
            ports=server,
        )
    if version == 6:
        for kind in ("solicitation", "advertisement"):
            yield Rule(chain, verdict, input=interface, protocol=f"neighbour-{kind}")


def _pass_managed(policy: Policy, version: int, lease: Lease, interface: str) -> Iterator[Rule]:
    yield from _reach_host(PASS, "accept", version, lease, interface)
    for others in _OF_OTHERS:
        yield Rule(PASS, "return", input=interface, output=others)
    yield Rule(PASS, "accept", input=interface, target="unicast")
    yield Rule(PASS, "accept", output=interface, state="established")
    # What REFUSE lets in by other ways than a published port, nobody else shall drop.
    yield Rule(PASS, "accept", output=interface, state="dnat" if policy.masquerade else "")
