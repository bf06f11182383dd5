"""What the network unit of a container sets up: the words that packaging/network reads, and the rules."""

from collections.abc import Iterator
from typing import NamedTuple

from unitgen import escape, iptables, nft
from unitgen.escape import Text
from unitgen.firewall import PASS, masquerades, name_chain, plan_rules, publishes_on_loopback
from unitgen.fleet import Place
from unitgen.model import Host, Spec
from unitgen.network import is_managed, list_interfaces, list_needed, name_interface, name_namespace


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
    rules = tuple(map(escape.input_line, _format_rules(spec, host, place)))
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


def _format_rules(spec: Spec, host: Host, place: Place) -> Iterator[str]:
    """Lines that begin with who is to read them: `ipv4 TABLE`, `ipv6 TABLE` or `nft`."""
    backend = choose_backend(spec, host)
    name, links = name_chain(spec.name), list_interfaces(spec)
    for version, rules in plan_rules(spec, place.leases, place.friends).items():
        if backend == "nft":
            yield from (f"nft {line}" for line in nft.format_rules(version, rules, name, links))
            # Where something forwards nothing, as Docker and ufw leave it, it is iptables' chain that drops.
            rules = tuple(rule for rule in rules if rule.chain == PASS)
        for table, line in iptables.format_rules(version, rules, name, links):
            yield f"ipv{version} {table} {line}"
