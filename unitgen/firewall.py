"""The iptables hooks of a container: what lets its traffic pass where FORWARD drops, as beside Docker."""

from typing import NamedTuple

from unitgen.interfaces import compute_tag, shorten_name
from unitgen.model import Spec
from unitgen.nspawn import has_veth

_LONGEST_CHAIN = 28  # iptables(8), XT_EXTENSION_MAXNAMELEN less one


class Hooks(NamedTuple):
    """What the rules are made of; templates/firewall-*.conf.j2 have the rules themselves."""

    interfaces: tuple[str, ...]
    forward: bool
    masquerade: bool


def plan_hooks(spec: Spec) -> Hooks | None:
    """The hooks of a container, or None if no link leads to it or the spec wants none."""
    interfaces = list_interfaces(spec)
    forward = spec.flag("Firewall", "Forward", True)
    masquerade = spec.flag("Firewall", "Masquerade", False)
    if not interfaces or not (forward or masquerade):
        return None
    return Hooks(interfaces, forward, masquerade)


def list_interfaces(spec: Spec) -> tuple[str, ...]:
    """The host's interfaces that the container's traffic is routed through."""
    bridge, zone = spec.text("Network", "Bridge"), spec.text("Network", "Zone")
    if bridge:
        main = [bridge]
    elif zone:
        main = [f"vz-{zone}"]
    else:
        main = [shorten_name(f"ve-{spec.name}")] if has_veth(spec) else []
    extra = [pair.partition(":")[0] for pair in spec.texts("Network", "VirtualEthernetExtra")]
    return (*main, *extra)


def name_chain(machine: str) -> str:
    """The name of the container's chains. A machine name has no underscore, so the two forms never meet."""
    chain = f"unitgen-{machine}"
    if len(chain) > _LONGEST_CHAIN:
        chain = f"{chain[: _LONGEST_CHAIN - 5]}_{compute_tag(machine)}"
    return chain
