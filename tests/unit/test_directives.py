"""Native directives: what passes, what is refused as systemd would ignore it, and what is known at all."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.specs import make_spec
from unitgen.directives import LISTS, NEWER, SINGLE
from unitgen.errors import BadValue
from unitgen.keys import KEYS
from unitgen.model import Host
from unitgen.native import (
    DIRECTIVES,
    NO_EFFECT,
    REFUSED,
    RENAMED,
    check_directive,
    is_single,
    limits_container,
)
from unitgen.systemd import ask_version
from unitgen.versions import check_versions

GOOD = {
    "MemoryMax": ["15E", "1", "1G", "1.5G", "512M", "50%", "0.5%", "100%", "infinity"],
    "MemorySwapMax": ["0", "1G", "infinity"],
    "MemoryLow": ["0", "10%"],
    "IOWeight": ["1", "10000"],
    "CPUWeight": ["1", "10000", "idle"],
    "AllowedCPUs": ["0", "0-3", "0,2 4-5"],
    "AllowedMemoryNodes": ["0-1"],
    "TimeoutStopSec": [
        "5 5",
        "1.2 .3",
        "1.2s.3",
        "584541y",
        "10000000000us",
        "1h30min",
        "30",
        "1min 30s",
        "infinity",
    ],
    "CPUQuotaPeriodSec": ["10ms"],
    "RestartSec": ["100ms", "0"],
    "StartLimitIntervalSec": ["10s"],
    "DefaultDependencies": ["yes", "off"],
    "LockPersonality": ["1"],
    "KillSignal": ["SIGTERM", "TERM", "15", "SIGRTMIN+3"],
    "ManagedOOMSwap": ["auto", "kill"],
    "TasksMax": ["1", "16384", "10%", "infinity"],
    "SuccessExitStatus": ["0x10 010 +5 -0", "RTMIN+3", "0 133 SIGTERM", "TEMPFAIL"],
    "ManagedOOMMemoryPressureLimit": ["100%", "0.5%", "60%"],
    "CPUQuota": ["1%", "150%", "12.5%"],
    "Slice": ["machine.slice", "machine-web.slice", "-.slice", "machine-a_b.c.slice"],
    "DevicePolicy": ["closed", "strict", "auto"],
    "KillMode": ["mixed", "control-group"],
    "Restart": ["no", "always", "on-failure", "on-abnormal", "on-watchdog"],
    "Nice": ["-20", "19", "+5"],
    "OOMScoreAdjust": ["-1000", "1000"],
    "OOMPolicy": ["continue", "stop", "kill"],
    "ManagedOOMPreference": ["none", "avoid", "omit"],
    "KeyringMode": ["private"],
    "ProtectHome": ["yes", "read-only", "tmpfs"],
    "StartLimitBurst": ["0", "5"],
    "UMask": ["0022", "77", "0"],
    "After": [
        "a@.service",
        "a.b@c@d.service",
        "a\\x2db.service",
        "db.service",
        "a.service b.target",
        "dev-sda.device",
        "systemd-nspawn@db.service",
        "x@%i.service",
    ],
    "RequiresMountsFor": [
        "/a\\ b",
        "/a%%b",
        "%h%i/x",
        "/..a/b..",
        "/a//./b",
        "/srv",
        "/srv /data",
        '"/srv/my web"',
        "%t/x",
    ],
    "InaccessiblePaths": ["/a:b", "'-/a b' +/c", "/srv", "-/srv", "+/srv", "-+/srv"],
    "ReadWritePaths": ["/srv /data"],
    "TemporaryFileSystem": ["%t/x:mode=0700 /b", "/var:ro", "/tmp"],
    "ConditionPathExists": ["/srv", "!/srv", "|/srv", "|!/srv", "%h/x"],
    "AssertPathIsDirectory": ["/"],
    "IPAddressDeny": ["any", "10.0.0.0/8 fd00::/8", "192.168.1.1", "localhost link-local multicast"],
    "IOReadBandwidthMax": ["'/dev/a b' 1K", "/dev/sda 18E", "/dev/sda 10M", "/ 1.5G", "/dev/sda infinity"],
    "IOWriteIOPSMax": ["/dev/sda 1000"],
    "SocketBindAllow": ["any", "tcp", "tcp:80", "ipv4:udp:5000-6000", "ipv6:tcp", "80"],
    "ExecStartPre": [
        "@/bin/true x",
        "-@:/bin/true x",
        "!!/bin/true",
        "/bin/a\\x2db",
        "/usr/lib/%i x",
        "echo \\\\",
        "/bin/true",
        "-/bin/true a 'b c'",
        "+/bin/true",
        "true",
        "!-/bin/true",
    ],
    "LimitNOFILE": ["1024", "1024:4096", "infinity"],
    "LimitCORE": ["15E", "15E:infinity", "0", "1G", "1G:infinity"],
    "LimitCPU": ["1.2s:1.1s", "infinity", "1s:infinity", "5s 5", "1min", "10:20"],
    "LimitMSGQUEUE": ["1M"],
    "PassEnvironment": ["%iA", "A B_C"],
    "DeviceAllow": [
        "/dev/kvm  rwm",
        "/dev/kvm\trw",
        "'/dev/a b' r",
        "/dev/a\\ b",
        "/run/systemd/inaccessible/chr",
        "//dev/./kvm",
        "%t/systemd/inaccessible/blk",
        "/dev/kvm",
        "/dev/kvm rw",
        "char-drm rw",
        "block-* r",
        "/dev/my\\040device rwm",
    ],
    "DisableControllers": ["cpu io memory"],
    "RestrictNetworkInterfaces": ["0a", "0x", "eth0 lo", "~eth0"],
    "Environment": ["\\x41=1", "A%i=1", "'A='", "A=1", '"A=b c" D=e', "'A=\\n\\x41\\101\\\\'", "A=\\u00e4"],
    "BindPaths": ["/a", "-/a:/b:rbind /c:/d:norbind", "/a\\:b:/c", '"/a b"', "/a:/b:", "%h/a:%t/b"],
    "EnvironmentFile": ["/etc/a b", "-/etc/a*", "%h/x", '/a"'],
    "IPIngressFilterPath": ["/sys/fs/bpf/a", "%t/a"],
    "IODeviceWeight": ["/dev/sda 1", "/dev/sda 10000"],
    "Sockets": ["a.socket b.socket"],
    "LimitRTTIME": ["5:1s", "999999999999999"],
    "LimitNICE": ["5:-5", "+5:-5", "0:40", "-1:40", "-20"],
    "UnsetEnvironment": ["A B=1", "'C=x y'"],
}

BAD = {
    "MemoryMax": [
        "15.5E",
        "999999999999999E",
        "0",
        "0%",
        "0.0",
        "-1",
        "101%",
        "1X",
        "1KB",
        "lots",
        "1.5.5",
        "1 0",
        "Infinity",
        "%",
    ],
    "MemorySwapMax": ["none", "0.0G", "-1", "16E"],
    "MemoryLow": ["x", "1000%"],
    "IOWeight": ["0", "10001", "idle", "1.5"],
    "CPUWeight": ["0", "10001", "IDLE"],
    "AllowedCPUs": ["0\xa01", "0,\u20032", "\u20281", "a", "3-1", "0:3"],
    "TimeoutStopSec": [
        "1.5.5s",
        "1.2.3",
        "9999999999h",
        "584542y",
        "18446744073709551615",
        "9223372036854775808us",
        "5\xa05",
        "soon",
        "-1",
        "1:30",
    ],
    "DefaultDependencies": ["maybe", "2"],
    "KillSignal": ["term", "sigterm", "rtmin+3", "ſIGTERM", "SIGNONE", "0", "65"],
    "ManagedOOMSwap": ["yes", "Kill"],
    "TasksMax": ["0", "-1", "1.5", "1K", "101%", "many"],
    "SuccessExitStatus": [
        "yes",
        "term",
        "0080",
        "-5",
        "0x100",
        "0\xa01",
        "'0'",
        "TEMPFAIL,1",
        "1_0",
        "256",
        "0 300",
    ],
    "ManagedOOMMemoryPressureLimit": ["150%", "100.01%", "60", "0%"],
    "CPUQuota": ["0%", "50", "-5%", "1.234%", "1000000000000%", "x%", "infinity"],
    "Slice": [
        "%%a.slice",
        "a-%%b.slice",
        "a%.slice",
        "machine",
        "machine-.slice",
        "-machine.slice",
        "a--b.slice",
        "a/b.slice",
        "machine.service",
    ],
    "DevicePolicy": ["open", "Closed"],
    "KillMode": ["none", "process"],
    "Restart": ["yes", "never", "on_failure"],
    "Nice": ["20", "-21", "x"],
    "OOMPolicy": ["ignore"],
    "ProtectHome": ["ro"],
    "UMask": ["0089", "00022", "rw", "-1"],
    "After": [
        "a.service\xa0",
        "a.service\u2003b.service",
        "@.service",
        "a@b.mount",
        "%%a.service",
        "a%.service",
        "db",
        "db.container",
        "a.service,b.service",
        "a/b.service",
        "a.service b",
    ],
    "RequiresMountsFor": [
        "+/srv",
        "%i/a",
        "%%/a",
        "%n",
        "/a\\",
        "/a/..%i",
        "%",
        "srv",
        "/srv data",
        '"/srv',
        "-srv",
    ],
    "ReadWritePaths": ["srv", "-srv", "~/srv"],
    "ConditionPathExists": ["%%/a", "%i", "%n", "|%%/a", "srv", "!srv", "|"],
    "IPAddressDeny": [
        "any\xa0",
        "10.0.0.0/8\u2003::1",
        "::1%eth0",
        "fe80::1%i",
        "everything",
        "10.0.0.0/33",
        "10.0.0",
        "10.0.0.0/8,fd00::/8",
        "any all",
    ],
    "IOReadBandwidthMax": [
        "/../dev/sda 10M",
        "/dev/sda 19E",
        "/dev/sda\xa010M",
        "10M",
        "/dev/sda",
        "sda 10M",
        "/dev/sda 10X",
        "/dev/sda 1 2",
        "/dev/sda -1",
    ],
    "SocketBindAllow": ["http", "tcp-80", "sctp:80", "80-", "tcp:80,443", "ipv5:tcp:1"],
    "ExecStartPre": [
        "-+\t/a",
        "-",
        "/a b\\",
        "A=\\x00",
        "/bin/a\\x00",
        "/bin/true \\x00",
        "::/bin/true",
        "--/bin/true",
        "+!/bin/true",
        "@/bin/true",
        "/bin/../x",
        ".",
        "%i/x",
        "bin/true",
        "-./true",
        "'/bin/true",
        '/bin/true "x',
    ],
    "LimitNOFILE": ["1K", "x", "2:1", "1:2:3"],
    "LimitCORE": ["16E", "15.5E", "99999999999E", "2K:1K", "1X", "-1"],
    "LimitCPU": [
        "2:1",
        "infinity:1",
        "2min:1min",
        "1.5.5s",
        "9999999999h",
        "18446744073709551615",
        "5:1s",
        "1 fortnight",
    ],
    "PassEnvironment": ["1", "A=1", "50%", "A\xa0B", "a-b", "'A"],
    "DeviceAllow": [
        "/a",
        "/srv/kvm rw",
        "%i",
        "%%",
        "/dev/../a",
        "/dev/kvm rwx",
        "/dev/sda 10M",
        "/dev/a b rw",
        "/dev/kvm\\",
        "/dev/",
        "'/dev/a",
        "kvm",
        "kvm rw",
        "dev/kvm",
        "char-drm,rw",
    ],
    "DisableControllers": ["io\xa0cpu", "io\u2003", "net", "cpu,io"],
    "RestrictNetworkInterfaces": ["eth0\xa0", "eth0\u2003eth1", "0x10", "~0b1", "0o7", "eth/0", "eth0,lo"],
    "Environment": [
        "yes",
        "1A=b",
        "A-B=1",
        "A=1 FOO",
        "=b",
        "A=\\x00",
        "A=\\u0000",
        "A=\\000",
        "A=\\q",
        "'A=1",
        "A=\\x4",
        "A=\\",
        "A=\\400",
    ],
    "TemporaryFileSystem": ["-/a", "+/a", "%i:ro", "a"],
    "InaccessiblePaths": ["%i", "%%/a", "/a\\", "+-/a", "/a:/../b", "/a/\\../b"],
    "BindPaths": [
        "+/a",
        "/a:",
        "/a:b",
        "/a::x",
        "/a:/b:ro",
        "/a:/b:rbind:x",
        "/a\\x41",
        "/a\\",
        "a:/b",
        "/a:/../b",
    ],
    "EnvironmentFile": ["+/a", "'/a'", "%%/a", "a"],
    "IPIngressFilterPath": ["!/a", "|/a", "%i"],
    "IODeviceWeight": ["/dev/sda 10M", "/dev/sda 10001", "/dev/sda 0", "/dev/sda", "/../dev/sda 10"],
    "Sockets": ["a.service", "a.socket b.service"],
    "LimitRTTIME": ["2:1", "1.5.5s"],
    "LimitNICE": ["-5:5", "-5:+5", "+1:2", "40:30"],
    "UnsetEnvironment": ["1A", "A=\\q", "A=\\x00", "A=\\"],
}


UNKNOWN_TO_252 = ("AssertFirmware",)


def list_homes(name: str) -> list[str]:
    return [section for section in ("Unit", "Service") if name in DIRECTIVES[section]]


def list_rows(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, accepted in table.items() for value in accepted]


@pytest.mark.parametrize(("name", "value"), list_rows(GOOD))
def test_accepted(name: str, value: str) -> None:
    check_directive(list_homes(name)[0], name, value)


@pytest.mark.parametrize(("name", "value"), list_rows(BAD))
def test_refused(name: str, value: str) -> None:
    with pytest.raises(BadValue) as caught:
        check_directive(list_homes(name)[0], name, value)
    assert str(caught.value)
    assert caught.value.hint


def test_every_check_has_good_and_bad_values() -> None:
    """By the function that checks: directives that share it need no rows of their own."""
    checks = {**SINGLE, **LISTS}
    assert {check.__qualname__ for check in checks.values()} == {checks[name].__qualname__ for name in GOOD}
    assert {check.__qualname__ for check in checks.values()} == {checks[name].__qualname__ for name in BAD}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_takes_what_is_accepted(tmp_path: Path) -> None:
    lines = {"Unit": ["[Unit]"], "Service": ["[Service]", "ExecStart=/bin/true"]}
    for name, value in list_rows(GOOD):
        lines[list_homes(name)[0]].append(f"{name}={value}")
    (tmp_path / "good@x.service").write_text("\n".join([*lines["Unit"], *lines["Service"]]) + "\n")
    command = ["systemd-analyze", "verify", "--man=no", "good@x.service"]
    environment = os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert [line for line in result.stderr.splitlines() if "good@x.service:" in line] == []


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize("section", DIRECTIVES)
def test_systemd_knows_every_directive(section: str, tmp_path: Path) -> None:
    names = [name for name, since in DIRECTIVES[section].items() if since <= ask_version()]
    text = "".join(f"{name}=\n" for name in names if name not in UNKNOWN_TO_252)
    (tmp_path / "known.service").write_text(f"[{section}]\n{text}[Service]\nExecStart=/bin/true\n")
    command = ["systemd-analyze", "verify", "--man=no", "known.service"]
    environment = os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert [
        line for line in result.stderr.splitlines() if "Unknown key" in line or "Unknown section" in line
    ] == []


@pytest.mark.parametrize("name", UNKNOWN_TO_252)
def test_unknown_directive_is_not_passed_on(name: str) -> None:
    """systemd 252.39 says "Unknown key" and starts the container without the assertion."""
    assert DIRECTIVES["Unit"].get(name) != 0


@pytest.mark.parametrize("name", [*SINGLE, *LISTS])
def test_checked_directive_is_known(name: str) -> None:
    """A misspelt name in a table would check nothing."""
    assert list_homes(name)


def test_no_directive_is_in_both_tables() -> None:
    assert SINGLE.keys() & LISTS.keys() == set()
    assert all(is_single(name) for name in SINGLE)
    assert not any(is_single(name) for name in LISTS)


@pytest.mark.parametrize(("section", "name"), REFUSED)
def test_refused_directive_is_known(section: str, name: str) -> None:
    reason, remedy = REFUSED[section, name]
    assert name in DIRECTIVES[section]
    assert reason
    assert remedy


@pytest.mark.parametrize(("section", "name"), REFUSED)
def test_remedy_names_a_key_that_there_is(section: str, name: str) -> None:
    """`use [Exec] User=` has to be possible."""
    for word in REFUSED[section, name][1].split():
        if word.endswith("="):
            home = (
                REFUSED[section, name][1].split("[")[-1].split("]")[0]
                if "[" in REFUSED[section, name][1]
                else section
            )
            assert (home, word[:-1]) in KEYS or word[:-1] in DIRECTIVES[home]


@pytest.mark.parametrize(("section", "name"), RENAMED)
def test_old_directive_has_a_successor(section: str, name: str) -> None:
    assert name not in DIRECTIVES[section]
    assert RENAMED[section, name][0] in DIRECTIVES[section]


@pytest.mark.parametrize(
    ("section", "name", "value", "expected"),
    [
        ("Service", "CPUShares", "1024", "100"),
        ("Service", "CPUShares", "2", "1"),
        ("Service", "CPUShares", "262144", "10000"),
        ("Service", "BlockIOWeight", "500", "100"),
        ("Service", "BlockIOWeight", "10", "2"),
        ("Service", "MemoryLimit", "1G", "1G"),
        ("Unit", "BindTo", "db.service", "db.service"),
    ],
)
def test_old_value_is_translated(section: str, name: str, value: str, expected: str) -> None:
    """The scale of the successor: 1024 shares and a weight of 500 were the defaults, as 100 is now."""
    successor, translate = RENAMED[section, name]
    assert translate(value) == expected
    check_directive(section, successor, expected)


@pytest.mark.parametrize("value", ["100%%", "%i", "%n %h", "50% off", "%", "a%", "%.", "%%i"])
def test_specifier_passes(value: str) -> None:
    check_directive("Unit", "Description", value)


@pytest.mark.parametrize("value", ["%k", "%z", "%1", "100%x", "%%%r", "%D", "%i%k"])
def test_unknown_specifier_is_refused(value: str) -> None:
    """systemd drops the assignment; %D is of 256, so of no use on 252."""
    with pytest.raises(BadValue):
        check_directive("Unit", "Description", value)


@pytest.mark.parametrize(
    "name",
    ["MemoryMax", "TasksMax", "CPUQuota", "DeviceAllow", "IPAddressDeny", "ProtectClock", "PrivateBPF"],
)
def test_limit_is_not_left_out(name: str) -> None:
    assert limits_container(name)


@pytest.mark.parametrize("name", ["After", "OpenFile", "Restart", "RestartMode", "Description", "MemoryLow"])
def test_comfort_may_be_left_out(name: str) -> None:
    assert not limits_container(name)


def test_install_is_not_checked_as_a_dependency() -> None:
    """[Install] has rules of its own, which know the machine's name."""
    check_directive("Install", "Alias", "anything")
    assert {section for section, _ in NO_EFFECT} == {"Service"}


@pytest.mark.parametrize(("directive", "value"), [(name, value) for name in NEWER for value in NEWER[name]])
def test_newer_value_is_refused_before_its_version(directive: str, value: str) -> None:
    """An older systemd would log it, and start the container without."""
    spec = make_spec("web", f"[Service]\n{directive}={value}\n")
    since = NEWER[directive][value]
    assert check_versions(spec, Host(since)) == ()
    (problem,) = check_versions(spec, Host(since - 1))
    assert problem.is_error and f"does not know {value!r} here, {since} does" in problem.message
