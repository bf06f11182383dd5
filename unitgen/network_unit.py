"""What the network unit of a container sets up: the words that packaging/network reads, and the rules."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

from unitgen import escape, iptables, nft
from unitgen.addresses import VERSIONS
from unitgen.escape import Text
from unitgen.firewall import (
    PASS,
    Policy,
    Rule,
    masquerades,
    name_chain,
    plan_native,
    plan_policy,
    plan_ports,
    publishes_on_loopback,
    read_policy,
)
from unitgen.fleet import Place
from unitgen.model import Host, Spec
from unitgen.network import (
    Lease,
    is_managed,
    list_interfaces,
    list_needed,
    name_interface,
    name_namespace,
)


class Setup(NamedTuple):
    """The environment and the standard input of the program."""

    environment: tuple[Text, ...]
    rules: tuple[Text, ...]


def name_network_unit(machine: str) -> str:
    """An instance of the template that packages install; its life is that of the container's service."""
    return f"unitgen-network@{machine}.service"


def name_bridge_unit(spec: Spec) -> str:
    """The unit of the bridge of Bridge=; several containers may have it in common."""
    return f"unitgen-bridge@{spec.text('Network', 'Bridge')}.service"


def needs_network_unit(spec: Spec) -> bool:
    """True if anything has to be there, or to be done, before the container starts."""
    opens = spec.flag("Firewall", "Forward", True) or masquerades(spec)
    return is_managed(spec) or bool(list_needed(spec)) or bool(opens and list_interfaces(spec))


def plan_network(spec: Spec, host: Host, place: Place) -> Setup:
    """The container's own."""
    words = {"SPEC": _locate(spec), "CHAIN": name_chain(spec.name), "BACKEND": choose_backend(spec, host)}
    if is_managed(spec):
        words |= {"INTERFACE": name_interface(spec.name), "NAMESPACE": name_namespace(spec.name)}
        words |= {"NAMES": " ".join(place.names), "DNS": " ".join(spec.texts("Network", "DNS"))}
        for lease in place.leases:
            words[f"ADDRESS{lease.version}"] = f"{lease.address}/{lease.length}"
            words[f"GATEWAY{lease.version}"] = lease.gateway
            if publishes_on_loopback(spec, lease.version):
                words[f"LOOPBACK{lease.version}"] = "yes"
    needed = " ".join(list_needed(spec))
    if needed:
        words["NEEDED"] = needed
    rules = tuple(_plan_rules(spec, choose_backend(spec, host), place))
    return Setup(tuple(escape.assignment(*word) for word in words.items()), rules)


def plan_bridge(spec: Spec) -> Setup:
    """That of a bridge which is made on request."""
    words = {"SPEC": _locate(spec), "ADDRESSES": " ".join(spec.texts("Network", "BridgeAddress"))}
    return Setup(tuple(escape.assignment(*word) for word in words.items()), ())


def _locate(spec: Spec) -> str:
    """What messages of the program begin with: the line that chooses the network."""
    keys = ("Address", "Bridge", "Interface", "MACVLAN", "IPVLAN")
    path, line = next((found.place for key in keys if (found := spec.find("Network", key))), (spec.path, 0))
    return f"{path}:{line}" if line else path


def choose_backend(spec: Spec, host: Host) -> str:
    """What loads the rules."""
    return spec.text("Firewall", "Backend", host.backend)


def _plan_rules(spec: Spec, backend: str, place: Place) -> Iterator[Text]:
    """The lines of standard input; whole chains in each part."""
    name, links = name_chain(spec.name), list_interfaces(spec)
    if not is_managed(spec):
        rules = tuple(plan_native(spec))
        if rules:
            yield from _format_rules(dict.fromkeys(VERSIONS, rules), backend, name, links, begin=True)
        return
    policy = read_policy(spec, place.friends)
    versions = tuple(lease.version for lease in place.leases)
    marks = {_NAME: name.removeprefix(name_chain("")), _LINK: links[0]}
    for lease in place.leases:
        marks |= {_ADDRESS[lease.version]: lease.address, _GATEWAY[lease.version]: lease.gateway}
    yield from escape.fill_marks(_format_policy(policy, versions, backend), marks)
    ports = {lease.version: tuple(plan_ports(spec, lease.version, lease)) for lease in place.leases}
    yield from _format_rules(ports, backend, name, links)


# No name of a chain or link has a slash, and no network has a letter after it.
_NAME, _LINK = "/name/", "/link/"
_ADDRESS: dict[int, str] = {version: f"/address{version}/" for version in VERSIONS}
_GATEWAY: dict[int, str] = {version: f"/gateway{version}/" for version in VERSIONS}


@cache
def _format_policy(policy: Policy, versions: tuple[int, ...], backend: str) -> tuple[Text, ...]:
    """Most rules are those of all containers with the same policy, but for what the marks stand for."""
    rules = {
        version: tuple(plan_policy(policy, version, Lease(_ADDRESS[version], 0, _GATEWAY[version]), _LINK))
        for version in versions
    }
    return _format_rules(rules, backend, name_chain("") + _NAME, (_LINK,), begin=True)


def _format_rules(
    rules: Mapping[int, tuple[Rule, ...]],
    backend: str,
    name: str,
    links: tuple[str, ...],
    *,
    begin: bool = False,
) -> tuple[Text, ...]:
    """Lines that begin with who is to read them: `nft`, or `ip TABLE`, which is for both IP versions, `ipv4
    TABLE` or `ipv6 TABLE`.
    """
    lines: list[str] = []
    if backend == "nft":
        for version in rules:
            start = nft.format_start(version, name) if begin else ()
            lines += [
                f"nft {line}" for line in (*start, *nft.format_rules(version, rules[version], name, links))
            ]
        # Where something forwards nothing, as Docker and ufw leave it, it is iptables' chain that drops.
        rules = {version: tuple(rule for rule in rules[version] if rule.chain == PASS) for version in rules}
    by_version = {
        version: [" ".join(line) for line in iptables.format_rules(version, rules[version], name, links)]
        for version in rules
    }
    lines += _merge_lines(by_version.get(4, []), by_version.get(6, []))
    return tuple(map(escape.input_line, lines))


def _merge_lines(four: list[str], six: list[str]) -> Iterator[str]:
    """Say once what is the same, and keep the order of both: these lines are most of what boot reads."""
    places: dict[str, list[int]] = {}
    for place in reversed(range(len(six))):
        places.setdefault(six[place], []).append(place)
    said = 0
    for line in four:
        left = places.get(line, [])
        while left and left[-1] < said:
            left.pop()
        if not left:
            yield f"ipv4 {line}"
            continue
        place = left.pop()
        yield from (f"ipv6 {other}" for other in six[said:place])
        yield f"ip {line}"
        said = place + 1
    yield from (f"ipv6 {other}" for other in six[said:])
