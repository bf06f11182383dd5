"""How a container is joined to the network: by a namespace of unitgen's, or as systemd-nspawn does it."""

from typing import NamedTuple

from unitgen.interfaces import shorten_name
from unitgen.model import Spec

NATIVE_MODES = (
    "Private",
    "VirtualEthernet",
    "VirtualEthernetExtra",
    "Interface",
    "MACVLAN",
    "IPVLAN",
    "Bridge",
    "Zone",
    "NamespacePath",
)
"""Any of these replaces the default network as a whole, as merge_settings() of nspawn.c has it."""

NATIVE_PREFIXES = ("ve-", "vz-")
"""What systemd-nspawn calls the host's ends of its links, and bridges of its own."""
PREFIX = "ug-"


class Lease(NamedTuple):
    """An address of a container, the prefix length that it shows, and the host's end of its link."""

    address: str
    length: int
    gateway: str

    @property
    def version(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.address else 4


_OTHERS = frozenset(("Network", mode) for mode in (*NATIVE_MODES, "Share"))


def is_managed(spec: Spec) -> bool:
    """True if unitgen gives the container its network: with Address=, and if nothing is said at all."""
    return ("Network", "Address") in spec.settings or _OTHERS.isdisjoint(spec.settings)


def find_owner(spec: Spec) -> str:
    """The machine whose namespace, made by unitgen, the container runs in; empty if there is none."""
    return spec.name if is_managed(spec) else spec.text("Network", "Share")


def name_namespace(machine: str) -> str:
    """The name of a machine's namespace for ip-netns(8), which keeps it in /run/netns."""
    return f"unitgen-{machine}"


def name_interface(machine: str) -> str:
    """The host's end of the link. Neither ve-, which systemd-networkd configures, nor anybody else's."""
    return shorten_name(f"{PREFIX}{machine}")


def has_private_network(spec: Spec) -> bool:
    """True if the container does not share the host's network."""
    modes = [mode for mode in NATIVE_MODES if spec.find("Network", mode)]
    flags = ("Private", "VirtualEthernet")
    return bool(find_owner(spec)) or any(
        mode not in flags or spec.flag("Network", mode, False) for mode in modes
    )


def list_interfaces(spec: Spec) -> tuple[str, ...]:
    """The host's interfaces that the container's traffic is routed through."""
    if is_managed(spec):
        return (name_interface(spec.name),)
    bridge, zone = spec.text("Network", "Bridge"), spec.text("Network", "Zone")
    if bridge:
        main = [bridge]
    elif zone:
        main = [f"vz-{zone}"]
    else:
        main = [shorten_name(f"ve-{spec.name}")] if spec.flag("Network", "VirtualEthernet", False) else []
    extra = [pair.partition(":")[0] for pair in spec.texts("Network", "VirtualEthernetExtra")]
    return (*main, *extra)


def list_needed(spec: Spec) -> tuple[str, ...]:
    """The interfaces that have to be there before systemd-nspawn can start."""
    needed = [spec.text("Network", "Bridge")] if not spec.find("Network", "BridgeAddress") else []
    for key in ("Interface", "MACVLAN", "IPVLAN"):
        needed += [pair.partition(":")[0] for pair in spec.texts("Network", key)]
    return tuple(dict.fromkeys(filter(None, needed)))
