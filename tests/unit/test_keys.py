"""The table of keys: every row is well-formed, and no setting of systemd.nspawn(5) is missing."""

import re

import pytest

from unitgen import keys
from unitgen.errors import BadValue
from unitgen.keys import KEYS, SECTIONS
from unitgen.schema import NEWEST_SYSTEMD, OLDEST_SYSTEMD, Key
from unitgen.values import BOOLEAN

ROWS = list(KEYS.values())
EVERY = pytest.mark.parametrize("row", ROWS, ids=[f"{row.section}-{row.name}" for row in ROWS])
OLDEST_NAMED = 248  # since= and newer= may also say what every supported systemd has

NSPAWN_SETTINGS = {
    "Exec": """Boot Ephemeral ProcessTwo Environment User WorkingDirectory PivotRoot Capability
    DropCapability AmbientCapability NoNewPrivileges KillSignal Personality MachineID PrivateUsers
    PrivateUsersDelegate
    NotifyReady SystemCallFilter RestrictAddressFamilies LimitCPU LimitFSIZE LimitDATA LimitSTACK LimitCORE
    LimitRSS LimitNOFILE LimitAS LimitNPROC LimitMEMLOCK LimitLOCKS LimitSIGPENDING LimitMSGQUEUE LimitNICE
    LimitRTPRIO LimitRTTIME OOMScoreAdjust CPUAffinity Hostname ResolvConf Timezone LinkJournal SuppressSync
    Parameters""",
    "Files": """ReadOnly Volatile Bind BindReadOnly BindUser BindUserShell TemporaryFileSystem Inaccessible
    Overlay OverlayReadOnly PrivateUsersOwnership PrivateUsersChown""",
    "Network": """Private VirtualEthernet VirtualEthernetExtra Interface MACVLAN IPVLAN Bridge Zone
    NamespacePath Port""",
}


@EVERY
def test_row_is_named_and_documented(row: Key) -> None:
    assert re.fullmatch("[A-Z][A-Za-z0-9]*", row.name)
    assert row.section in ("Container", "Exec", "Files", "Network", "Firewall")
    assert row.type.name
    assert re.fullmatch(r"[^\n]+\.", row.doc), "one line that ends with a full stop"
    assert not row.doc[0].islower() or row.doc.startswith("init")


@EVERY
def test_option_has_one_place_for_the_value(row: Key) -> None:
    assert re.fullmatch(r"(-[a-z]|--[a-z][a-z-]*=)[A-Z=]*(\{,?\})|--[a-z-]+|", row.option)
    if row.option and "{" not in row.option:
        assert row.type is BOOLEAN, "a switch has no value"
    if row.many and row.option:
        assert "{" in row.option


@EVERY
def test_versions_are_those_of_systemd(row: Key) -> None:
    versions = [row.since, *row.newer.values()]
    assert all(version == 0 or OLDEST_NAMED <= version <= NEWEST_SYSTEMD for version in versions)
    assert not row.weakens or row.since > OLDEST_SYSTEMD, "weakens has no meaning without since"


# Defaults that depend on another key or on the host, so that they are words for the reader.
TOLD_DEFAULTS = {
    ("Network", "Gateway"),
    ("Network", "Pool"),
    ("Firewall", "Masquerade"),
    ("Firewall", "Backend"),
}


@EVERY
def test_default_is_a_value_of_its_type(row: Key) -> None:
    if row.id in TOLD_DEFAULTS:
        with pytest.raises(BadValue):
            row.type.parse(row.default)
    elif row.default:
        assert row.type.parse(row.default) is not None


def test_no_row_is_lost_to_another() -> None:
    assert len(ROWS) == sum(map(len, (keys.CONTAINER, keys.EXEC, keys.FILES, keys.NETWORK, keys.FIREWALL)))
    assert SECTIONS == ("Container", "Exec", "Files", "Network", "Firewall")


@pytest.mark.parametrize("section", NSPAWN_SETTINGS)
def test_settings_of_nspawn_are_all_there(section: str) -> None:
    missing = [name for name in NSPAWN_SETTINGS[section].split() if (section, name) not in KEYS]
    assert not missing
