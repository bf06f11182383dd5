"""What a spec says is what the payload finds: one shared boot, many containers."""

from tests.boot.inside import CLEAN, leader, read_words, run_inside, show, start, stop, wait_until_booted
from tests.testbed.containers import Container, Containers, unit
from tests.testbed.host import Host, NspawnHost

HOSTILE = [
    "",
    "two words",
    '"',
    "it's",
    "\\",
    "\\n\\x41",
    "%i %% %n",
    "$HOME ${HOME} $$",
    ";",
    "#",
    "*",
    "`id`",
    "é☃😀",
    "tab\there",
    "-x",
    "@/bin/sh",
    "!",
    "|",
    "a=b",
    ",",
    "~",
]


def quote(word: str) -> str:
    """A word in the syntax of systemd.nspawn(5): quotes of both kinds, no escapes."""
    return "".join(f"'{part}'" if part != "'" else '"\'"' for part in word.replace("'", "\0'\0").split("\0"))


def _loop(more: str) -> str:
    return f"[Exec]\nProcessTwo=yes\nParameters=sleep infinity\n{more}"


SPECS = {
    "guest": Container("[Container]\nDescription=A Debian guest\n", tree="guest"),
    "first": Container(
        "[Exec]\nBoot=no\nParameters=sh -c 'trap \"exit 0\" TERM; while :; do sleep 1; done'\n"
    ),
    "second": Container(
        "[Exec]\nProcessTwo=yes\nParameters=sh -c 'while :; do sleep 1; done' "
        + " ".join(map(quote, HOSTILE))
        + "\nEnvironment="
        + " ".join(quote(f"V{number}={word}") for number, word in enumerate(HOSTILE))
        + "\nSetCredential=greeting:hello\\nworld %i $HOME\nLoadCredential=file:/etc/hostname\n"
        "WorkingDirectory=/tmp\nHostname=other-name\nLimitNOFILE=256:512\nCPUAffinity=0\n"
        "Capability=CAP_SYS_TIME\nDropCapability=CAP_MKNOD CAP_NET_RAW\nNoNewPrivileges=yes\n"
        "MachineID=0123456789abcdef0123456789abcdef\nPrivateUsers=pick\n"
    ),
    "user": Container("[Exec]\nProcessTwo=yes\nUser=web\nParameters=sleep infinity\nPrivateUsers=no\n"),
    "mounts": Container(
        _loop(
            "[Files]\nReadOnly=yes\nBind=/srv/rw:/mnt/rw:idmap\nBindReadOnly=/srv/ro:/mnt/renamed\n"
            "Bind=/srv/a b\\:c:/mnt/d e\\:f\nTemporaryFileSystem=/mnt/tmpfs:size=64k\n"
            "Inaccessible=/etc/passwd\nOverlay=/srv/lower:/srv/upper:/mnt/over\n"
        ),
        files={f"/mnt/{name}/.keep": "" for name in ("rw", "renamed", "d e:f", "tmpfs", "over")},
    ),
    "elsewhere": Container(
        '[Container]\nDirectory=/srv/100% "odd" $tree\n' + _loop(""), place='/srv/100% "odd" $tree'
    ),
    "sleeper": Container("[Container]\nAutostart=no\n" + _loop("")),
    "own": Container("[Container]\nUnit=full\nDescription=Complete\n" + _loop("")),
}


def prepare(host: Host) -> None:
    """What the containers bind."""
    host.write("/srv/rw/file", "rw\n")
    host.write("/srv/ro/file", "ro\n")
    host.write("/srv/a b:c/file", "odd\n")
    host.write("/srv/lower/file", "lower\n")
    host.write("/srv/upper/.keep", "")


def test_containers_of_the_specs_run_after_boot(host: NspawnHost) -> None:
    """The main job: a spec in /etc, a boot, a machine."""
    machines = host.run("machinectl list --no-legend").stdout
    running = {line.split()[0] for line in machines.splitlines()}
    assert set(SPECS) - {"sleeper"} <= running
    assert show(host, "guest", "Description", "SubState") == {
        "Description": "A Debian guest",
        "SubState": "running",
    }
    assert "/etc/unitgen/containers/guest.ini" in host.run(["systemctl", "status", unit("guest")]).stdout


def test_guest_boots_its_own_systemd(host: NspawnHost) -> None:
    wait_until_booted(host, "guest")
    assert run_inside(host, "guest", "cat /proc/1/comm; cat /proc/sys/kernel/hostname") == "systemd\nguest\n"


def test_journal_of_guest_is_seen_from_host(host: NspawnHost) -> None:
    """Use case 19, and the tools with -M of use case 30."""
    wait_until_booted(host, "guest")
    run_inside(host, "guest", "echo 'hello from inside' | systemd-cat -t greeting")
    host.wait_until("journalctl --machine=guest --identifier=greeting | grep 'hello from inside'")
    assert "Welcome to" in host.run(["journalctl", f"--unit={unit('guest')}"]).stdout
    assert "systemd-journald" in host.run("systemd-cgls --machine=guest").stdout


def test_autostart_no_stays_down_and_can_be_started(host: NspawnHost) -> None:
    assert show(host, "sleeper", "ActiveState") == {"ActiveState": "inactive"}
    start(host, "sleeper")
    assert stop(host, "sleeper") == CLEAN


def test_command_is_pid_1(host: NspawnHost) -> None:
    assert read_words(host, "first", "/proc/1/cmdline")[0] == "sh"


def test_command_is_pid_2_under_a_stub(host: NspawnHost) -> None:
    assert run_inside(host, "second", "cat /proc/1/comm").strip() == "(sd-stubinit)"


def test_hostile_arguments_arrive_byte_for_byte(host: NspawnHost) -> None:
    words = read_words(host, "second", "/proc/2/cmdline")
    assert words == ["sh", "-c", "while :; do sleep 1; done", *HOSTILE]


def test_hostile_environment_arrives_byte_for_byte(host: NspawnHost) -> None:
    environment = read_words(host, "second", "/proc/2/environ")
    for number, word in enumerate(HOSTILE):
        assert f"V{number}={word}" in environment


def test_credentials_arrive(host: NspawnHost) -> None:
    folder = run_inside(
        host, "second", "tr '\\0' '\\n' </proc/2/environ | sed -n 's/^CREDENTIALS_DIRECTORY=//p'"
    ).strip()
    assert run_inside(host, "second", f"cat {folder}/greeting") == "hello\nworld %i $HOME"
    assert run_inside(host, "second", f"cat {folder}/file") == host.read("/etc/hostname")


def test_exec_settings_reach_the_payload(host: NspawnHost) -> None:
    def inside(command: str) -> str:
        return run_inside(host, "second", command).strip()

    assert inside("readlink /proc/2/cwd") == "/tmp"
    assert inside("cat /proc/sys/kernel/hostname") == "other-name"
    assert inside("sed -n 's/^Max open files *//p' /proc/2/limits").split()[:2] == ["256", "512"]
    assert inside("sed -n 's/^Cpus_allowed_list:\\t//p' /proc/2/status") == "0"
    assert inside("sed -n 's/^NoNewPrivs:\\t//p' /proc/2/status") == "1"
    assert "container_uuid=01234567-89ab-cdef-0123-456789abcdef" in read_words(
        host, "second", "/proc/2/environ"
    )


def test_capabilities_are_added_and_dropped(host: NspawnHost) -> None:
    def bounding(name: str) -> int:
        return int(run_inside(host, name, "sed -n 's/^CapBnd:\\t//p' /proc/2/status"), 16)

    mknod, net_raw, sys_time = 1 << 27, 1 << 13, 1 << 25
    assert bounding("second") & (mknod | net_raw | sys_time) == sys_time
    assert bounding("mounts") & (mknod | net_raw | sys_time) == mknod | net_raw


def test_user_runs_the_command(host: NspawnHost) -> None:
    status = run_inside(host, "user", "cat $(grep -lx sleep /proc/[0-9]*/comm | sed s/comm/status/)")
    assert "Uid:\t1000\t1000" in status


def test_private_users_really_map(host: NspawnHost) -> None:
    """Root inside is somebody else outside, and owns the tree inside all the same."""
    start_of_range = run_inside(host, "second", "cat /proc/self/uid_map").split()
    assert start_of_range[0] == "0" and int(start_of_range[1]) >= 65536
    assert (
        host.run(["stat", "-c", "%u", f"/proc/{leader(host, 'second')}"]).stdout.strip() == start_of_range[1]
    )
    assert run_inside(host, "second", "stat -c %u /bin").strip() == "0"
    assert run_inside(host, "user", "cat /proc/self/uid_map").split()[1] == "0"


def test_binds(host: NspawnHost) -> None:
    assert (
        run_inside(host, "mounts", "cat /mnt/rw/file /mnt/renamed/file '/mnt/d e:f/file'") == "rw\nro\nodd\n"
    )
    run_inside(host, "mounts", "echo new >/mnt/rw/new")
    assert host.read("/srv/rw/new") == "new\n"
    assert run_inside(host, "mounts", "echo x 2>&1 >/mnt/renamed/file || echo refused", check=False) != ""
    assert host.read("/srv/ro/file") == "ro\n"


def test_read_only_root_tmpfs_overlay_and_inaccessible(host: NspawnHost) -> None:
    assert "Read-only" in run_inside(host, "mounts", "touch /x 2>&1", check=False)
    assert run_inside(host, "mounts", "echo x >/mnt/tmpfs/x && stat -f -c %T /mnt/tmpfs").strip() == "tmpfs"
    assert run_inside(host, "mounts", "cat /mnt/over/file") == "lower\n"
    assert run_inside(host, "mounts", "test -s /etc/passwd || echo hidden").strip() == "hidden"


def test_odd_directory(host: NspawnHost) -> None:
    assert "/srv/100% " in show(host, "elsewhere", "RequiresMountsFor")["RequiresMountsFor"]
    assert run_inside(host, "elsewhere", "cat /proc/1/comm").strip() == "(sd-stubinit)"


def test_full_unit_stands_alone(host: NspawnHost) -> None:
    """Unit=full: the vendor's template has no part in it."""
    shown = show(host, "own", "FragmentPath", "Description", "Slice", "Delegate", "DevicePolicy", "Type")
    assert shown == {
        "FragmentPath": f"/run/systemd/generator/{unit('own')}",
        "Description": "Complete",
        "Slice": "machine.slice",
        "Delegate": "yes",
        "DevicePolicy": "closed",
        "Type": "notify",
    }
    assert stop(host, "own") == CLEAN
    start(host, "own")


def test_every_kind_of_payload_stops_clean(host: NspawnHost, containers: Containers) -> None:
    """A stop is no failure: a guest, a command that handles SIGTERM, one that a stub init looks after."""
    names = [
        containers.add(Container("[Container]\n", tree="guest")),
        containers.add(SPECS["first"]),
        containers.add(Container(_loop(""))),
        containers.add(Container("[Exec]\nProcessTwo=yes\nParameters=sh -c 'while :; do sleep 1; done'\n")),
    ]
    for name in names:
        start(host, name)
    assert [stop(host, name) for name in names] == [CLEAN] * len(names)
