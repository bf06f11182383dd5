"""The testbed itself: its hosts are real ones, and leave nothing behind. Uses only what systemd ships."""

import subprocess
from pathlib import Path

import pytest

from tests.testbed.command import CommandError
from tests.testbed.containers import Container, Containers, unit
from tests.testbed.firewalls import firewall_kept
from tests.testbed.host import Host, NspawnHost
from tests.testbed.trees import cache_folder

VERSIONS = {"bookworm": "252", "bookworm-backports": "254", "trixie": "257"}
LIMITED = unit("limited")


def vm_prepare(host: Host) -> None:
    """A vendor unit with a limit, ready before the boot."""
    host.add_guest("tiny", "/var/lib/machines/limited")
    host.write(
        f"/etc/systemd/system/{LIMITED}.d/testbed.conf",
        "[Service]\nMemoryMax=64M\nExecStart=\n"
        "ExecStart=systemd-nspawn --quiet --keep-unit --as-pid2 --machine=%i sleep infinity\n",
    )


def test_host_runs_systemd_of_its_suite(host: NspawnHost) -> None:
    assert host.run(["cat", "/proc/1/comm"]).stdout == "systemd\n"
    assert host.run("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded")
    version = host.run(["systemctl", "--version"]).stdout.split()[1]
    assert version == VERSIONS.get(host.suite, version)


def test_command_gets_stdin_and_a_clean_environment(
    host: NspawnHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAK", "1")
    assert host.run(["cat"], stdin="a\nb").stdout == "a\nb"
    assert "LEAK" not in host.run(["env"]).stdout
    assert host.run("pwd").stdout == "/\n"


def test_failing_command_is_reported_with_its_output(host: NspawnHost) -> None:
    with pytest.raises(CommandError, match="oh no"):
        host.run("echo oh no >&2; exit 3")
    assert host.run("exit 3", check=False).returncode == 3


def test_time_limit_ends_the_command_inside(host: NspawnHost) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        host.run("sleep 4711; true", timeout=0.5)
    assert host.run("pgrep -f 'sleep 471[1]'", check=False).returncode == 1


def test_files_come_and_go(host: NspawnHost) -> None:
    host.write("/root/some folder/file", "text\n", 0o600)
    assert host.read("/root/some folder/file") == "text\n"
    assert host.run(["stat", "-c", "%a %U", "/root/some folder/file"]).stdout == "600 root\n"


def test_guest_boots(host: NspawnHost, containers: Containers) -> None:
    name = containers.add(Container(spec=None, tree="guest"))
    host.run(["systemctl", "start", unit(name)])
    host.wait_until(f"systemd-run --quiet --machine={name} --wait --pipe systemctl is-system-running --wait")
    assert name in host.run("machinectl list").stdout
    hostname = host.run(f"systemd-run --quiet --machine={name} --wait --pipe cat /proc/sys/kernel/hostname")
    assert hostname.stdout.strip() == name


def test_tiny_guest_runs_a_command(host: NspawnHost, containers: Containers) -> None:
    files = {"/etc/greeting": "hello\n", "/usr/bin/greet": "#!/bin/sh\ncat /etc/greeting\necho $$\n"}
    name = containers.add(Container(spec=None, files=files))
    nspawn = f"systemd-nspawn --quiet --keep-unit --as-pid2 --console=pipe --machine={name}"
    scope = "systemd-run --quiet --wait --pipe --slice=machine.slice --property=Delegate=yes"
    assert host.run(f"{scope} {nspawn} greet").stdout == "hello\n2\n"
    assert host.run(f"{scope} {nspawn} --user=web id -u").stdout == "1000\n"


def test_host_has_a_resolver_of_its_own_choice(host: NspawnHost) -> None:
    assert host.run("stat -c %F /etc/resolv.conf; cat /etc/resolv.conf").stdout == (
        "regular file\nnameserver 192.0.2.53\n"
    )
    assert "mymachines" in host.run("grep ^hosts: /etc/nsswitch.conf").stdout.split()
    assert active(host, "systemd-resolved") == ["inactive"]
    host.run("systemctl start systemd-resolved && systemctl stop systemd-resolved")
    host.run("dnsmasq --test")


def test_firewalls_start_one_at_a_time(firewalls: NspawnHost) -> None:
    services = "docker docker.socket containerd firewalld ufw polkit"
    before = firewall_state(firewalls)
    assert active(firewalls, services) == ["inactive"] * 6
    with firewall_kept(firewalls):
        firewalls.run("systemctl start docker")
        assert active(firewalls, services)[:3] == ["active"] * 3
        assert "-P FORWARD DROP\n" in firewalls.run("iptables -S FORWARD").stdout
    assert firewall_state(firewalls) == before
    with firewall_kept(firewalls):
        firewalls.run("systemctl start firewalld")
        assert firewalls.run("firewall-cmd --state").stdout == "running\n"
        assert "table inet firewalld\n" in firewalls.run("nft list tables").stdout
    assert firewall_state(firewalls) == before
    with firewall_kept(firewalls):
        firewalls.run("ufw --force enable")
        assert "Status: active\n" in firewalls.run("ufw status").stdout
        assert "-P INPUT DROP\n" in firewalls.run("iptables -S INPUT").stdout
    assert firewall_state(firewalls) == before
    assert active(firewalls, services) == ["inactive"] * 6
    assert firewalls.run("grep ^ENABLED= /etc/ufw/ufw.conf").stdout == "ENABLED=no\n"


def active(host: Host, services: str) -> list[str]:
    """Their states."""
    return host.run(f"systemctl is-active {services}", check=False).stdout.split()


def firewall_state(host: Host) -> str:
    """All that a firewall or Docker changes: rules, interfaces, sysctls of IP."""
    sysctls = "sysctl --all --pattern '^net.ipv[46].(ip_forward$|icmp|conf.all|conf.default|conf.lo|tcp_s)'"
    # sysctl fails for those that cannot be read.
    return host.run(f"nft --stateless list ruleset && ip -brief link && {{ {sysctls} || true; }}").stdout


def test_host_goes_down_and_comes_back_and_leaves_nothing() -> None:
    with NspawnHost("bookworm") as host:
        session = host.tree.parent
        host.boot()
        first = host.run(["cat", "/proc/1/stat"]).stdout
        host.write("/root/kept", "yes")
        host.reboot()
        assert host.run(["cat", "/proc/1/stat"]).stdout != first
        host.poweroff()
        assert not host.running
        host.boot()
        host.power_cut()
        host.boot()
        assert host.read("/root/kept") == "yes"
    assert not session.exists()
    assert session.parent.parent == cache_folder()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/{host.name}"))
    assert host.name not in Path("/proc/self/mountinfo").read_text()


def test_two_hosts_do_not_share_cgroups() -> None:
    with NspawnHost("bookworm") as one, NspawnHost("bookworm") as two:
        one.boot()
        one.run(["systemd-run", "--unit=mark", "sleep", "infinity"])
        two.boot()
        assert two.run(["systemctl", "is-active", "mark"], check=False).stdout == "inactive\n"
        assert two.run("test -e /sys/fs/cgroup/system.slice/mark.service", check=False).returncode == 1
        assert one.run(["systemctl", "is-active", "mark"]).stdout == "active\n"


def test_vm_applies_limits(vm: Host) -> None:
    vm.run(["systemctl", "start", LIMITED])
    group = f"/sys/fs/cgroup/machine.slice/{LIMITED}"
    assert vm.read(f"{group}/memory.max") == f"{64 << 20}\n"
    assert vm.run(["findmnt", "--noheadings", "--output=SOURCE", "/var"]).stdout == "/dev/vdb\n"


def test_vm_survives_reboot_and_power_cut(vm: Host) -> None:
    vm.write("/var/lib/kept", "yes")
    first = vm.read("/proc/sys/kernel/random/boot_id")
    vm.reboot()
    assert vm.read("/proc/sys/kernel/random/boot_id") != first
    vm.run("echo lost >/var/lib/unsynced && echo yes >/var/lib/synced && sync /var/lib/synced")
    vm.power_cut()
    assert not vm.running
    vm.boot()
    assert vm.read("/var/lib/kept") == "yes"
    assert vm.read("/var/lib/synced") == "yes\n"
