"""Other programs that have a hand in the host's firewall: Docker, firewalld and ufw, one at a time."""

import contextlib
from collections.abc import Iterator

from tests.testbed.host import Host

# Docker's socket and containerd come with it, polkit with firewalld; neither goes with what it came with.
_UNITS = "docker.socket docker.service containerd.service firewalld.service ufw.service polkit.service"
_SYSCTLS = "sysctl net.ipv4.ip_forward $(sed -n 's/^\\(net[^=]*\\)=.*/\\1/p' /etc/ufw/sysctl.conf)"


@contextlib.contextmanager
def firewall_kept(host: Host) -> Iterator[None]:
    """Stop what was started of them at the end, and take away what they leave: rules, a bridge, sysctls."""
    tables = _tables(host)
    rules = {save: host.run([save]).stdout for save in ("iptables-save", "ip6tables-save")}
    sysctls = host.run(_SYSCTLS).stdout
    try:
        yield
    finally:
        host.run(f"systemctl stop {_UNITS}; systemctl reset-failed {_UNITS}", check=False)
        host.run("ufw disable")
        host.run("ip link delete docker0", check=False)
        for table in _tables(host) - tables:
            host.run(f"nft delete {table}")
        for save, text in rules.items():
            host.run([save.replace("save", "restore")], stdin=text)
        host.run(["sysctl", "--quiet", "--load=-"], stdin=sysctls)


def _tables(host: Host) -> set[str]:
    """The tables of the firewall, as in `table inet filter`."""
    return set(host.run("nft list tables").stdout.splitlines())
