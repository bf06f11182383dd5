"""What is known of the host without asking anybody: its systemd, its id, its firewall."""

import os
import re

from unitgen.model import Host
from unitgen.places import LIBRARIES, PROGRAMS
from unitgen.schema import OLDEST_SYSTEMD

_LIBRARY = re.compile(r"libsystemd-shared-(\d+)[.~-].*")


def detect_host(root: str = "/") -> Host:
    """The host below `root`, by the name of systemd's private library.

    Only where that name tells nothing, and only for the running host, `systemd-nspawn --version` is asked;
    else the oldest supported version is assumed, whose options all later ones have.
    """
    found = _find_version(root.rstrip("/"))
    if not found and root.rstrip("/") == "":
        # The one place where the generator may start a process, so subprocess is imported only here.
        from unitgen.systemd import ask_version  # noqa: PLC0415

        found = ask_version()
    return Host(found or OLDEST_SYSTEMD, _read_machine_id(root.rstrip("/")), _find_backend(root.rstrip("/")))


def _read_machine_id(root: str) -> str:
    """The id that an address is derived from; empty in a tree that has not been booted yet."""
    try:
        with open(f"{root}/etc/machine-id", encoding="ascii", errors="replace") as file:
            machine_id = file.read(33).strip()
    except OSError:
        return ""
    return machine_id if re.fullmatch("[0-9a-f]{32}", machine_id) else ""


def _find_backend(root: str) -> str:
    """nft only where it alone is installed. Where neither is, the network unit says what is missing."""
    found = [
        tool
        for tool in ("iptables", "nft")
        for folder in PROGRAMS
        if os.path.exists(f"{root}{folder}/{tool}")
    ]
    return found[0] if found else "iptables"


def _find_version(root: str) -> int:
    versions = [0]
    for folder in _list_library_folders(root):
        for name in _list_names(folder):
            match = _LIBRARY.fullmatch(name)
            if match:
                versions.append(int(match[1]))
    return max(versions)


def _list_library_folders(root: str) -> list[str]:
    multiarch = [name for name in _list_names(f"{root}/usr/lib") if "-linux-" in name]
    return [
        f"{root}/{folder.replace('*-linux-*', name)}"
        for folder in LIBRARIES
        for name in (multiarch if "*" in folder else [""])
    ]


def _list_names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
