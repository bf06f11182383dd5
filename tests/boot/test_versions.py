"""What is chosen by the version of systemd: each setting on every suite, with a guest that shows its effect.

Where systemd has it, it arrives: in the command line that runs, and in what the guest finds. Where systemd
is too old for it, the report says so, and the container starts without it or not at all, as documented.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.boot.inside import CLEAN, leader, show, start, stop
from tests.testbed.containers import Container, Containers, unit
from tests.testbed.host import Host, NspawnHost
from tests.testbed.trees import tree
from unitgen.keys import KEYS
from unitgen.native import DIRECTIVES
from unitgen.schema import Key

PLACE = "/srv/versions"
QUICK = 8  # seconds; what waits in vain for PID 1 of the container takes ten


class Case(NamedTuple):
    """A setting that not every systemd has, in a spec of its own.

    `option` is what systemd-nspawn gets for it. `sign` is a command of the host that succeeds if it has an
    effect; $name is the container, and `inside` runs a command there. `word` is the part of the value that
    is newer than the key, `command` what the container runs before it sleeps, and `more` other settings.
    `setup` is a command that makes on the running host what the setting names, or says why that cannot be.
    """

    section: str
    key: str
    value: str
    option: str
    sign: str
    word: str = ""
    command: str = "true"
    more: str = ""
    setup: str = "true"

    @property
    def row(self) -> Key:
        """Its row of the table."""
        return KEYS[self.section, self.key]

    @property
    def since(self) -> int:
        """The first systemd that takes it."""
        return self.row.newer[self.word] if self.word else self.row.since

    @property
    def breaks(self) -> bool:
        """Whether a container cannot start where systemd is too old."""
        return bool(self.word) or self.row.weakens

    @property
    def spec(self) -> str:
        """A spec that has it."""
        return (
            f'[Exec]\nProcessTwo=yes\nParameters=sh -c "{self.command}; exec sleep infinity"\n{self.more}\n'
            f"[{self.section}]\n{self.key}={self.value}\n"
        )


# The folder that is bound belongs to user 1234 of the host, and where it is mounted to user 1000 inside.
BIND_OWNERS = {"idmap": 1234, "noidmap": 65534, "rootidmap": 0, "owneridmap": 1000}
BINDS = tuple(
    Case(
        "Files",
        key,
        f"{PLACE}/data:/mnt:{word}",
        f"{option}{PLACE}/data:/mnt:{word}",
        f"inside stat -c %u /mnt/file | grep -x {owner}",
        word,
    )
    for word, owner in BIND_OWNERS.items()
    for key, option in (("Bind", "--bind="), ("BindReadOnly", "--bind-ro="))
)
# systemd-nspawn takes no interface that udev does not know, and the testbed's hosts have no udev.
LINK = """
ip link add nv-one type veth peer name nv-two
mkdir -p /run/udev/data; echo I:1 >/run/udev/data/n$(cat /sys/class/net/nv-one/ifindex)
ip link add link nv-one name nv-probe type %s && ip link delete nv-probe
"""
PAIRS = tuple(
    Case(
        "Network",
        key,
        "nv-one:inside",
        f"{option}=nv-one:inside",
        "inside ip link show inside",
        ":",
        setup=LINK % kind,
    )
    for key, option, kind in (
        ("Interface", "--network-interface", "macvlan"),
        ("MACVLAN", "--network-macvlan", "macvlan"),
        ("IPVLAN", "--network-ipvlan", "ipvlan"),
    )
)
# Nor is there anybody to make these. Up to 257 systemd-nspawn takes no image at all without udev.
LOOP = f"""
set -- $(systemctl --version)
[ "$2" -ge 258 ] || ! echo "there is no udev" >&2 || exit 1
[ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
for i in 0 1 2 3 4 5 6 7; do [ -e /dev/loop$i ] || mknod /dev/loop$i b 7 $i; done
losetup --find >&2 && test -e {PLACE}/tiny.raw
"""
JOURNAL = f"{PLACE}/journal"
JOURNALS = tuple(
    Case(
        "Exec",
        f"ForwardJournal{name}",
        value,
        f"--forward-journal{option}={value}",
        f"pgrep -f '[s]ystemd-socket-activate .*/'$name'/.*{arrives}'",
        more=f"ForwardJournal={JOURNAL}" if name else "",
    )
    for name, option, value, arrives in (
        ("", "", JOURNAL, f"--output {JOURNAL}"),
        ("MaxUse", "-max-use", "64M", "--max-use=67108864"),
        ("KeepFree", "-keep-free", "32M", "--keep-free=33554432"),
        ("MaxFileSize", "-max-file-size", "16M", "--max-file-size=16777216"),
        ("MaxFiles", "-max-files", "7", "--max-files=7"),
    )
)
RECORD = "inside cat /run/host/userdb/alice.user"
ALICE = "BindUser=alice\n"
# What a test of its own has.
MANAGED = {("Exec", "PrivateUsers", "managed"), ("Exec", "PrivateUsersDelegate", "")}

CASES = (
    Case(
        "Container",
        "MStack",
        f"{PLACE}/stack.mstack",
        f"--mstack={PLACE}/stack.mstack",
        "inside cat /layer | grep -x upper",
        more="PrivateUsers=no",
    ),
    Case(
        "Exec",
        "AmbientCapability",
        "CAP_CHOWN",
        "--ambient-capability=CAP_CHOWN",
        "inside sh -c 'cat /proc/[1-9]*/status' | grep -x 'CapAmb:.*1'",
    ),
    Case(
        "Exec",
        "PrivateUsers",
        "identity",
        "--private-users=identity",
        "grep ' 0 *0 *65536$' /proc/$leader/uid_map",
        "identity",
    ),
    Case(
        "Exec",
        "SuppressSync",
        "yes",
        "--suppress-sync=yes",
        "test -e /var/lib/machines/$name/synced",
        # The kernel has no fsync() for this device.
        command="dd if=/dev/null of=/dev/null conv=fsync && touch /synced",
    ),
    Case(
        "Exec",
        "RestrictAddressFamilies",
        "AF_INET AF_UNIX",
        "--restrict-address-families=AF_INET AF_UNIX",
        "grep 'family not supported' /var/lib/machines/$name/heard",
        command="wget -O- http://[::1]:9/ 2>/heard",
    ),
    Case("Exec", "Register", "auto", "--register=auto", "machinectl show $name", "auto"),
    Case(
        "Files",
        "PrivateUsersOwnership",
        "map",
        "--private-users-ownership=map",
        "inside stat -c %u /bin | grep -x 0 && stat -c %u /var/lib/machines/$name/usr | grep -x 0",
    ),
    Case(
        "Files",
        "PrivateUsersOwnership",
        "foreign",
        "--private-users-ownership=foreign",
        "inside stat -c %u /bin | grep -x 0",
        "foreign",
        # systemd 262 cannot make anything in such a tree (EOVERFLOW).
        more=f"Timezone=off\nLinkJournal=no\n[Container]\nDirectory={PLACE}/foreign\n",
    ),
    Case("Files", "BindUser", "alice", "--bind-user=alice", f"{RECORD} | grep alice"),
    Case(
        "Files",
        "BindUserShell",
        "/bin/ash",
        "--bind-user-shell=/bin/ash",
        f"{RECORD} | grep /bin/ash",
        more=f"[Files]\n{ALICE}",
    ),
    Case(
        "Files",
        "BindUserGroup",
        "audio",
        "--bind-user-group=audio",
        "inside ls /run/host/userdb/ | grep audio",
        more=f"[Files]\n{ALICE}",
    ),
    Case(
        "Files",
        "ImagePolicy",
        "root=unprotected",
        "--image-policy=root=unprotected",
        f"losetup --list --noheadings --output=BACK-FILE | grep -x {PLACE}/tiny.raw",
        more=f"[Container]\nImage={PLACE}/tiny.raw\n[Network]\nVirtualEthernet=yes\n",
        setup=LOOP,
    ),
    *BINDS,
    *PAIRS,
    *JOURNALS,
)
# What systemd 260 has taken out, or 258; unitgen leaves out CPUAccounting=.
GONE = {"CPUAccounting", "DefaultMemoryLow", "DefaultMemoryMin", "DefaultStartupMemoryLow"}
EVERY_CASE = pytest.mark.parametrize(
    "case",
    CASES,
    ids=lambda case: case.key + ("" if not case.word else f"-{case.word.replace(':', 'pair')}"),
)


def prepare(host: Host) -> None:
    """What the settings name: a user, folders that others own, layers, an image, a program."""
    for path, line, mode in (
        ("/etc/passwd", "alice:x:1010:1010::/home/alice:/bin/sh", 0o644),
        ("/etc/group", "alice:x:1010:", 0o644),
        ("/etc/shadow", "alice:!::::::", 0o640),
    ):
        host.write(path, f"{host.read(path)}{line}\n", mode)
    for path in ("/home/alice/.keep", f"{PLACE}/data/file"):
        host.write(path, "")
    subprocess.run(["chown", "-R", "1234", host.tree / f"{PLACE[1:]}/data"], check=True)
    host.add_guest("tiny", f"{PLACE}/stack.mstack/layer@1")
    host.write(f"{PLACE}/stack.mstack/layer@2/layer", "upper\n")
    host.add_guest("tiny", f"{PLACE}/foreign")
    # The range of user ids that systemd has set aside for trees that belong to no user of the host.
    subprocess.run(["chown", "-hR", "2147352576:2147352576", host.tree / f"{PLACE[1:]}/foreign"], check=True)
    # It is started when a guest connects, which none does here; but it has to be there.
    host.write("/usr/lib/systemd/systemd-journal-remote", "#!/bin/sh\n", 0o755)
    if shutil.which("mkfs.ext4"):
        image = host.tree / f"{PLACE[1:]}/tiny.raw"
        subprocess.run(["mkfs.ext4", "-q", "-d", tree("tiny", host.suite), image, "32M"], check=True)


def ask_version(host: Host) -> int:
    """Of the systemd that runs there."""
    return int(host.run(["systemctl", "--version"]).stdout.split()[1])


def check_arrival(case: Case, host: Host, name: str) -> None:
    """The container runs with the setting, and stops clean."""
    assert case.option in show(host, name, "ExecStart")["ExecStart"]
    setup = host.run(case.setup, check=False)
    if setup.returncode:
        pytest.skip(f"this host cannot have it: {setup.stderr.strip()}")
    start(host, name)
    pid = show(host, name, "MainPID")["MainPID"]
    assert case.option in host.run(["cat", f"/proc/{pid}/cmdline"]).stdout.split("\0")
    enter = (
        f'name={name}; leader={leader(host, name)}; inside() {{ nsenter --target=$leader --all -- "$@"; }}'
    )
    host.wait_until(f"{enter}; {case.sign}")
    begin = time.monotonic()
    assert stop(host, name) == CLEAN
    assert time.monotonic() - begin < QUICK


def check_refusal(case: Case, host: Host, name: str) -> None:
    """The container does not start, and its status has the report."""
    assert host.run(["systemctl", "start", unit(name)], check=False).returncode
    status = host.run(["systemctl", "status", unit(name)], check=False).stdout
    assert f"error: [{case.section}] {case.key}=: systemd {ask_version(host)} " in status
    assert show(host, name, "ActiveState") == {"ActiveState": "failed"}


def check_absence(case: Case, host: Host, name: str) -> None:
    """The container runs without the setting."""
    start(host, name)
    pid = show(host, name, "MainPID")["MainPID"]
    words = host.run(["cat", f"/proc/{pid}/cmdline"]).stdout.split("\0")
    option = case.option.partition("=")[0]
    assert not [word for word in words if word.partition("=")[0] == option]
    assert stop(host, name) == CLEAN


@pytest.fixture
def tidy(host: NspawnHost) -> Iterator[None]:
    """Takes away what the setup of a case has made."""
    yield
    host.run("rm -r /run/udev/data; rmdir /run/udev; ip link delete nv-two", check=False)


@EVERY_CASE
@pytest.mark.usefixtures("tidy")
def test_setting_arrives_or_is_reported(case: Case, host: NspawnHost, containers: Containers) -> None:
    name = containers.add(Container(case.spec))
    # Whose folder it is that something is mounted on counts for one of the options.
    host.run(["chown", "1000", f"/var/lib/machines/{name}/mnt"])
    report = host.run(["unitgen", "check", name], check=False)
    if case.since <= ask_version(host):
        assert "not-supported" not in report.stdout
        check_arrival(case, host, name)
        return
    severity = "error" if case.breaks else "warning"
    what = f"does not know '{case.word}' here" if case.word else "has no such option"
    assert (
        f": {severity}: [{case.section}] {case.key}=: systemd {ask_version(host)} {what}, " in report.stdout
    )
    assert report.returncode == int(case.breaks)
    (check_refusal if case.breaks else check_absence)(case, host, name)


def test_managed_users(host: NspawnHost, containers: Containers) -> None:
    """systemd-nsresourced has to let a guest have them, which needs more of a kernel than most have."""
    managed = "PrivateUsers=managed\nPrivateUsersDelegate=1\n[Network]\nVirtualEthernet=yes\n"
    name = containers.add(Container(f"[Exec]\nProcessTwo=yes\nParameters=sleep infinity\n{managed}"))
    report = host.run(["unitgen", "check", name], check=False).stdout
    if ask_version(host) < 260:
        assert "error: [Exec] PrivateUsers=: " in report
        assert "warning: [Exec] PrivateUsersDelegate=: " in report
        return
    assert report == "1 spec: 1 ok\n"
    command = show(host, name, "ExecStart")["ExecStart"]
    assert " --private-users=managed " in command and " --private-users-delegate=1 " in command
    host.run("systemctl start systemd-nsresourced.socket systemd-mountfsd.socket")
    if host.run(["systemctl", "start", unit(name)], check=False).returncode:
        # Not by its unit: of a process that ends that soon the journal does not always find it.
        log = "journalctl --boot --identifier=systemd-nspawn --output=cat"
        host.wait_until(f"{log} | grep 'Failed to allocate user namespace'")


def test_every_setting_of_a_version_has_a_case() -> None:
    """Each row of the table with a version, and each word of a value with one."""
    wanted = {(*row.id, word) for row in KEYS.values() for word in row.newer}
    wanted |= {(*row.id, "") for row in KEYS.values() if row.since}
    assert {(case.section, case.key, case.word) for case in CASES} | MANAGED == wanted


@pytest.mark.parametrize("case", [case for case in CASES if case.key not in ("Bind", "BindReadOnly")])
def test_table_says_what_nspawn_takes(case: Case, host: NspawnHost) -> None:
    """Not too early, when no container would start, and not too late, when it would go without."""
    taken = host.run(["systemd-nspawn", case.option, "--version"], check=False)
    assert (taken.returncode == 0) == (case.since <= ask_version(host)), taken.stderr


def test_table_says_what_the_manager_takes(host: NspawnHost) -> None:
    """Every directive of [Unit], [Service] and [Install]: from the version on that has it, not before."""
    known: dict[str, set[str]] = {}
    for part in host.run(["/lib/systemd/systemd", "--dump-configuration-items"]).stdout.split("\n\n"):
        title, *lines = part.strip().splitlines() or [""]
        known.setdefault(title.strip("[]"), set()).update(line.partition("=")[0] for line in lines)
    for section, directives in DIRECTIVES.items():
        listed = {name for name, since in directives.items() if since <= ask_version(host)}
        assert listed - known[section] <= GONE
        assert known[section] & directives.keys() <= listed
