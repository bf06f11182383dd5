"""A network beyond the host: a namespace that plays another machine of the LAN, and probes of the way to it.

A module has it as a fixture by `lan = pytest.fixture(make_lan)`.
"""

import json
from typing import NamedTuple

from tests.boot.inside import leader
from tests.testbed.host import NspawnHost
from unitgen.interfaces import shorten_name

NAMESPACE = "lan"
# Of the LAN's machine, of the host in the LAN, and a second one of the machine's; private and unique-local.
MACHINE = {4: "10.98.0.2", 6: "fd98::2"}
HOST = {4: "10.98.0.1", 6: "fd98::1"}
STRANGER = {4: "10.98.0.20", 6: "fd98::20"}
LOOPBACK = {4: "127.0.0.1", 6: "::1"}


class Target(NamedTuple):
    """A question: from a namespace of ip-netns(8), the host if it is empty, to an address, from one if it
    matters.
    """

    place: str
    protocol: str
    address: str
    port: int
    source: str = ""


class Lan:
    """A network namespace with a server on port 80 in both families, and a host that forwards nothing unless
    told.
    """

    def __init__(self, host: NspawnHost) -> None:
        self.host = host
        host.write("/run/answer.py", _ANSWER)
        host.write("/run/probe.py", _PROBE)
        host.run(_MAKE_LAN)

    def connect(self, name: str, interface: str = "") -> None:
        """Give a container with a native link addresses by hand: no network manager runs on either side."""
        interface = interface or shorten_name(f"ve-{name}")
        enter = f"nsenter --target={leader(self.host, name)} --net ip"
        self.host.run(
            f"set -e; [ ! -e /sys/class/net/vb-{name} ] || ip link set vb-{name} up;"
            f"ip address replace 10.99.0.1/24 dev {interface}; ip link set {interface} up;"
            f"ip address replace fd99::1/64 dev {interface} nodad;"
            f"{enter} address replace 10.99.0.2/24 dev host0;"
            f"{enter} address replace fd99::2/64 dev host0 nodad; {enter} link set host0 up;"
            f"{enter} route replace default via 10.99.0.1; {enter} -6 route replace default via fd99::1"
        )
        self.host.wait_until(f"{enter} -6 route get {MACHINE[6]}")

    def answer(self, name: str, address: str) -> str:
        """What the server tells a container; empty if nothing comes through."""
        enter = f"nsenter --target={leader(self.host, name)} --net"
        return self.host.run(f"{enter} nc -d -w 2 {address} 80", check=False).stdout

    def ask(self, *targets: Target, timeout: float = 1.5) -> list[str]:
        """What servers answer, all asked at the same time; no answer is an empty string."""
        command = ["python3", "/run/probe.py", str(timeout)]
        answers: list[str] = json.loads(self.host.run(command, stdin=json.dumps(targets)).stdout)
        return answers


def make_lan(host: NspawnHost) -> Lan:
    """What a fixture is made of."""
    return Lan(host)


# Threads enter namespaces one by one. Python has setns() since 3.12 only.
_PROBE = """
import ctypes, json, os, socket, sys
from concurrent.futures import ThreadPoolExecutor

libc = ctypes.CDLL(None, use_errno=True)

def ask(place, protocol, address, port, source):
    namespace = os.open(f"/run/netns/{place}" if place else "/proc/1/ns/net", os.O_RDONLY)
    if libc.setns(namespace, 0):
        raise OSError(ctypes.get_errno(), place)
    os.close(namespace)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as client:
        client.settimeout(float(sys.argv[1]))
        try:
            if source:
                client.bind((source, 0))
            client.connect((address, port))
            if protocol == "udp":
                client.send(b"?")
            return client.recv(512).decode()
        except OSError:
            return ""

targets = json.load(sys.stdin)
with ThreadPoolExecutor(len(targets)) as pool:
    print(json.dumps(list(pool.map(lambda target: ask(*target), targets))))
"""

_ANSWER = """
import socket
server = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    connection, peer = server.accept()
    connection.sendall(f"hello {peer[0].removeprefix('::ffff:')}".encode())
    connection.close()
"""

# Once is enough.
_MAKE_LAN = f"""
set -e
for i in iptables ip6tables; do $i -w -P FORWARD DROP; done
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
[ ! -e /run/netns/lan ] || exit 0
ip netns add lan
ip link add lan0 type veth peer name up0 netns lan
ip address add {HOST[4]}/24 dev lan0
ip address add {HOST[6]}/64 dev lan0 nodad
ip link set lan0 up
ip -n lan link set lo up
ip -n lan link set up0 up
for address in {MACHINE[4]}/24 {STRANGER[4]}/24; do ip -n lan address add $address dev up0; done
ip -n lan address add {MACHINE[6]}/64 dev up0 nodad
# Deprecated, so that it is the source of those connections only that ask for it.
ip -n lan address add {STRANGER[6]}/64 dev up0 nodad preferred_lft 0
ip -n lan route add 10.99.0.0/24 via {HOST[4]}
ip -n lan -6 route add fd99::/64 via {HOST[6]}
systemd-run --quiet --unit=lan-server nsenter --net=/run/netns/lan python3 /run/answer.py
until ip netns exec lan nc -z -w 1 {MACHINE[4]} 80; do sleep 0.1; done
"""
