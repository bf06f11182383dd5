"""What can go wrong while the launcher runs: damage, full disks, odd files and surroundings, other runs.

Each test has a room: the host's own programs, but /usr, /run, /etc/unitgen and the cache are the room's.
Whatever happens, a run ends, what it writes is whole, and the next one is right.
"""

import itertools
import subprocess
from collections.abc import Iterator, Mapping
from subprocess import CompletedProcess
from typing import NamedTuple

import pytest

from tests.conftest import GOLDEN, GOLDEN_CASES
from tests.testbed.command import words
from tests.testbed.host import Host, NspawnHost

LAUNCHER = "/usr/lib/systemd/system-generators/unitgen-generator"
OUT = "/run/systemd/generator"
KEPT = "/run/unitgen/kept"
SAVED = "/var/cache/unitgen/kept"
SPECS_FOLDER = "/etc/unitgen/containers"
SHELLS = ("dash", "bash", "busybox")
LIMITED = "[Exec]\nProcessTwo=yes\nParameters=sleep infinity\n[Service]\nMemoryMax=64M\n"
BOOT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8", "HOME": "/"}

FURNISH = f"""
set -e
mount -t tmpfs -o mode=755 room /mnt
mkdir /mnt/upper /mnt/work
mount -t overlay -o lowerdir=/usr,upperdir=/mnt/upper,workdir=/mnt/work room /usr
mkdir -p /etc/unitgen /var/cache/unitgen
for place in /run /etc/unitgen /var/cache/unitgen; do mount -t tmpfs -o mode=755 room $place; done
rm -rf /usr/lib/unitgen/containers /usr/lib/unitgen/unitgen.conf* /usr/local/lib/unitgen
mkdir -p {SPECS_FOLDER}
# Each is as if it were /bin/sh: programs go by the name that they are called by.
for shell in {" ".join(SHELLS)}; do mkdir -p /mnt/$shell; ln -s $(command -v $shell) /mnt/$shell/sh; done
# Tells that Python was needed.
sed -i '2i open("/mnt/python-ran", "a").close()' /usr/lib/unitgen/generator
exec sleep infinity
"""

# Arguments: what goes before the launcher, and its own command line.
LAUNCH = f"""
rm -rf /mnt/python-ran {OUT} {OUT}.early {OUT}.late
mkdir -p {OUT} {OUT}.early {OUT}.late
( cd /; eval "$1"; shift; exec env -i "$@" ) </dev/null >/dev/null
echo $?
ls /mnt/python-ran 2>/dev/null || echo
"""
# Names, kinds, modes, link targets and contents.
LOOK = (
    "cd {} && find . -mindepth 1 -printf '%P %y %m %l\\n' | sort && find . -type f -exec b2sum {{}} + | sort"
)


class Run(NamedTuple):
    """What a run of the launcher came to; `python` tells whether that was needed."""

    status: int
    errors: str
    python: bool
    output: str


class Room:
    """Part of a host, where the launcher is at work and anything may be damaged."""

    _numbers = itertools.count()

    def __init__(self, host: Host) -> None:
        self.host = host
        self._unit = f"room-{next(self._numbers)}.service"
        command = ["unshare", "--mount", "--propagation=private", "/bin/sh", "-c", FURNISH]
        host.run(
            ["systemd-run", "--quiet", "--collect", "--description=room", f"--unit={self._unit}", *command]
        )
        pid = f"$(systemctl show --property=MainPID --value {self._unit})"
        host.wait_until(f"grep -qx sleep /proc/{pid}/comm")
        self._pid = host.run(f"echo {pid}").stdout.strip()

    def close(self) -> None:
        """Do away with it; its mounts go with its only process."""
        self.host.run(["systemctl", "stop", self._unit])

    def run(
        self, command: str | list[str], *, check: bool = True, stdin: str = "", timeout: float = 60
    ) -> CompletedProcess[str]:
        """Run a command in the room."""
        enter = ["nsenter", f"--target={self._pid}", "--mount", "--"]
        return self.host.run([*enter, *words(command)], check=check, stdin=stdin, timeout=timeout)

    def write(self, path: str, text: str) -> None:
        """Write a file in the room; a relative path is below the folder of specs."""
        path = path if path.startswith("/") else f"{SPECS_FOLDER}/{path}"
        script = 'mkdir -p -- "${1%/*}" && cat >"$1"'
        self.run(["/bin/sh", "-c", script, "write", path], stdin=text)

    def launch(
        self, before: str = "", shell: str = "", variables: Mapping[str, str] = BOOT, timeout: float = 20
    ) -> Run:
        """Run the launcher with empty folders for its output, as PID 1 does, after `before` in its shell."""
        environment = [f"{name}={value}" for name, value in {**BOOT, **variables}.items()]
        interpreter = [f"/mnt/{shell}/sh"] if shell else []
        command = [*environment, *interpreter, LAUNCHER, OUT, f"{OUT}.early", f"{OUT}.late"]
        result = self.run(["/bin/sh", "-c", LAUNCH, "launch", before, *command], timeout=timeout)
        status, python = result.stdout.splitlines()
        return Run(int(status), result.stderr, bool(python), self.look())

    def look(self, folder: str = OUT) -> str:
        """All that is in a folder."""
        return self.run(LOOK.format(folder)).stdout

    def forget(self) -> None:
        """Remove all that was kept."""
        self.run(f"rm -rf {KEPT} {SAVED}")


@pytest.fixture(name="room")
def fixture_room(host: NspawnHost) -> Iterator[Room]:
    """A room with three specs that have nothing wrong."""
    room = Room(host)
    room.write("web.ini", LIMITED + "[Network]\nPort=8080:80\n")
    room.write("full.ini", "[Container]\nUnit=full\n" + LIMITED + "[Install]\nAlias=ct@full.service\n")
    room.write("off.ini", "[Container]\nAutostart=no\n" + LIMITED)
    yield room
    room.close()


@pytest.fixture(name="good")
def fixture_good(room: Room) -> str:
    """What a run writes there; it is kept."""
    run = room.launch()
    assert (run.status, run.errors, run.python) == (0, "", True)
    return run.output


def assert_right(room: Room, good: str) -> None:
    """The next run is right, the one after it has nothing to do, and nothing lies about."""
    first, second = room.launch(), room.launch()
    assert (first.status, first.errors, first.output) == (0, "", good)
    assert second == (0, "", False, good)
    assert room.run(f"ls -d {KEPT}.*", check=False).stdout == ""


# What is put back


@pytest.mark.parametrize("case", GOLDEN_CASES)
def test_what_is_put_back_is_what_was_written(case: str, room: Room) -> None:
    """For every case there is; one with errors is made anew each time."""
    room.run("rm -r /etc/unitgen/*")
    folders = [f"{place}unitgen" for place in ("etc/", "run/", "usr/lib/", "usr/local/lib/")]
    found = [folder for folder in folders if (GOLDEN / case / "root" / folder).is_dir()]
    pack = ["tar", "--create", "--owner=0", "--group=0", "--mode=u=rwX,go=rX", *found]
    archive = subprocess.run(pack, cwd=GOLDEN / case / "root", check=True, capture_output=True, text=True)
    room.run(["tar", "--extract", "--directory=/", "--no-overwrite-dir"], stdin=archive.stdout)
    first, second = room.launch(), room.launch()
    assert first.python and first.output
    assert second.output == first.output
    assert second.python == (first.status != 0)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_agrees(shell: str, room: Room, good: str) -> None:
    """Each takes what another has kept, also as copies, and has the same listings."""
    room.write("ä b.ini.d/[x]*.txt", "")
    room.write("web.ini.d/-n", "")
    assert room.launch(shell=shell).python
    for other in (*SHELLS, ""):
        assert room.launch(shell=other) == (0, "", False, good)
    room.run(f"mv {KEPT} {SAVED}")
    assert room.launch(shell=shell) == (0, "", False, good)


COUNT = f"""
rm -r {OUT}/*
/mnt/{{}}/sh {LAUNCHER} {OUT}
sh -c 'echo $$'
"""


@pytest.mark.parametrize("shell", SHELLS)
def test_two_processes_are_enough(shell: str, room: Room, good: str) -> None:
    """By the kernel's numbers, which come in turn: rm has 2, the shell 3, who tells it the one after all."""
    room.run("mount --bind /dev/null /usr/bin/python3")
    count = ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", COUNT.format(shell)]
    assert int(room.run(count).stdout) <= 3 + 2 + 1
    assert room.look() == good


CHANGES = {
    "a spec is edited": f"echo '[Container]' >>{SPECS_FOLDER}/web.ini",
    "a spec is new": f"cp {SPECS_FOLDER}/off.ini {SPECS_FOLDER}/new.ini",
    "a spec is gone": f"rm {SPECS_FOLDER}/off.ini",
    "a spec has another name": f"mv {SPECS_FOLDER}/off.ini {SPECS_FOLDER}/of.ini",
    "a spec is masked": f"ln -sf /dev/null {SPECS_FOLDER}/web.ini",
    "a spec is emptied": f": >{SPECS_FOLDER}/web.ini",
    "a spec is in another place": f"cp -R {SPECS_FOLDER} /run/unitgen; rm {SPECS_FOLDER}/off.ini",
    "two specs change places": f"cd {SPECS_FOLDER} && mv web.ini x && mv off.ini web.ini && mv x off.ini",
    "a drop-in": f"mkdir {SPECS_FOLDER}/web.ini.d; echo '[Container]' >{SPECS_FOLDER}/web.ini.d/1.ini",
    "a drop-in for all": f"mkdir {SPECS_FOLDER}/container.ini.d; echo >{SPECS_FOLDER}/container.ini.d/1.ini",
    "defaults": "echo '[Container]' >/etc/unitgen/unitgen.conf",
    "defaults of the vendor": "echo '[Container]' >/usr/lib/unitgen/unitgen.conf",
    "a drop-in of defaults": "mkdir /etc/unitgen/unitgen.conf.d; echo >/etc/unitgen/unitgen.conf.d/1.conf",
    "a template": "cp -R /usr/lib/python3/dist-packages/unitgen/templates /etc/unitgen",
    "another version of unitgen": "echo >>/usr/lib/unitgen/version",
    "no version of unitgen": "rm /usr/lib/unitgen/version",
    "another systemd": "cd /usr/lib/systemd && : >libsystemd-shared-999.so",
    "no iptables": "rm /usr/sbin/iptables",
    "no nft": "rm /usr/sbin/nft",
    "another id": "echo 000102030405060708090a0b0c0d0e0f >/run/id; mount --bind /run/id /etc/machine-id",
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_is_noticed(change: str, room: Room, good: str) -> None:
    """And what comes of it is what a run writes that knows of none before."""
    room.run(CHANGES[change])
    changed = room.launch()
    assert (changed.status, changed.errors, changed.python) == (0, "", True)
    assert room.launch() == (0, "", False, changed.output)
    room.forget()
    assert room.launch().output == changed.output


def test_version_that_had_to_be_asked(room: Room) -> None:
    """Where no name of a library tells it, no name would tell of another."""
    room.run("mkdir /usr/odd; find /usr/lib -name 'libsystemd-shared-*' -exec mv {} /usr/odd ';'")
    for version, count in ((250, 1), (260, 0)):
        room.write("/usr/bin/systemd-nspawn", f"#!/bin/sh\necho 'systemd {version} (x)'\n")
        assert room.launch().python
        text = room.run(f"cat {OUT}/systemd-nspawn@web.service.d/10-unitgen-override.conf").stdout
        assert text.count("\nTimeoutSec=2min\n") == count


OVERRIDE = "tree/systemd-nspawn@web.service.d/10-unitgen-override.conf"
WANTS = "tree/machines.target.wants/systemd-nspawn@web.service"
DAMAGES = {
    **{f"{name} is cut short": f"truncate -s -2 {name}" for name in ("seal", "inputs", "outputs", OVERRIDE)},
    **{f"{name} is empty": f": >{name}" for name in ("seal", "inputs", "outputs", "owners", OVERRIDE)},
    **{f"{name} is gone": f"rm {name}" for name in ("seal", "inputs", "outputs", "owners", OVERRIDE, WANTS)},
    **{f"{name} lacks a line": f"sed -i 1d {name}" for name in ("inputs", "outputs", "owners", OVERRIDE)},
    **{
        f"a bit of {name} is wrong": f"sed -i '1s/^./~/' {name}"
        for name in ("seal", "inputs", "outputs", "owners")
    },
    **{
        f"{name} is a folder": f"rm {name}; mkdir {name}" for name in ("seal", "inputs", "outputs", OVERRIDE)
    },
    "a bit of a unit is wrong": f"sed -i 's/64M/65M/' {OVERRIDE}",
    "a unit more": f"cp {OVERRIDE} tree/x.service",
    "a link more": f"cp -P {WANTS} {WANTS}x",
    # A file more in a folder of the tree is not noticed: only root can add one, and to look takes long.
    "a folder more": "mkdir tree/x.service.d",
    "a folder of units is gone": "rm -r tree/machines.target.wants",
    "all units are gone": "rm -r tree",
    "all is gone": "rm -r *",
    "it belongs to another": "chown 1000:1000 .",
    "all of it belongs to another": "chown -R 1000:1000 .",
    "the seal belongs to another": "chown 1000 seal",
    "everybody may write": "chmod 777 .",
    "everybody may write everywhere": "chmod -R 777 .",
    "a group may write": "chmod 770 .",
    "it is a file": "rm -r ../kept; touch ../kept",
    "it is a link to nowhere": "rm -r ../kept; ln -s nowhere ../kept",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_made_anew(damage: str, room: Room, good: str) -> None:
    """Of this boot, and as it was saved for the next."""
    for place in (KEPT, SAVED):
        room.run(f"[ {place} = {KEPT} ] || mv {KEPT} {SAVED}; cd {place} && {DAMAGES[damage]}")
        run = room.launch()
        assert (run.status, run.errors, run.python, run.output) == (0, "", True, good)
        assert_right(room, good)


# What stands in the way

PLACES = {
    "a spec": f"{SPECS_FOLDER}/off.ini",
    "a drop-in": f"{SPECS_FOLDER}/off.ini.d/1.ini",
    "a folder of drop-ins": f"{SPECS_FOLDER}/off.ini.d",
    "a drop-in for all": f"{SPECS_FOLDER}/container.ini.d/1.ini",
    "the defaults": "/etc/unitgen/unitgen.conf",
    "a template": "/etc/unitgen/templates/override.conf.j2",
}
OBSTACLES = {
    "a pipe": "mkfifo {}",
    "a socket": "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"{}\")'",
    "a device without end": "mknod {} c 1 5",
    "a link to a device": "ln -s /dev/zero {}",
    "a link to a pipe": "[ -e /run/pipe ] || mkfifo /run/pipe; ln -s /run/pipe {}",
    "a link to nowhere": "ln -s nowhere {}",
    "a link to itself": "ln -s {0} {0}",
    "a folder": "mkdir {}",
    "a gigabyte": "truncate -s 1G {}",
    "what belongs to somebody": "echo '[Container]' >{0}; chown 1000 {0}",
    "what everybody may write": "echo '[Container]' >{0}; chmod 666 {0}",
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_odd_file_in_place_of_one_that_is_read(obstacle: str, room: Room, good: str) -> None:
    """It holds nobody up, and takes nothing from anybody: what it concerns is as it was."""
    for path in PLACES.values():
        folder = path.rpartition("/")[0]
        room.run(f"mkdir -p {folder}; [ ! -e {path} ] || mv {path} /run/was")
        room.run(OBSTACLES[obstacle].format(path))
        for _ in range(2):
            assert without_notices(room.launch().output) == good
        room.run(f"rm -rf {path}; [ ! -e /run/was ] || mv /run/was {path}; rmdir {folder} || :")
    assert_right(room, good)


def without_notices(output: str) -> str:
    """What was written but for what stands beside a broken spec's units."""
    return "".join(line for line in output.splitlines(True) if "11-unitgen-broken.conf" not in line)


NAMES = [
    "-n",
    "--help",
    "a b",
    "a\nb",
    "'",
    '"',
    "\\",
    "\\n",
    "*",
    "[a-z]",
    "$(x)",
    "\r",
    "ä",
    "\t",
    "~",
    "#",
    "!",
]


@pytest.mark.parametrize("folder", ["", "off.ini.d/", "x.ini.d/", "../unitgen.conf.d/", "../templates/"])
def test_odd_names(folder: str, room: Room, good: str) -> None:
    """They may be wrong there or not: nobody else is concerned, again and again, and none stays."""
    files = [f"{name}{suffix}" for name in NAMES for suffix in ("", ".ini", ".ini~")]
    files += [".ini", ".x.ini", "...", "x" * 255]
    paths = [f"{SPECS_FOLDER}/{folder}{name}" for name in files]
    room.run(["mkdir", "-p", f"{SPECS_FOLDER}/{folder}"])
    room.run(["touch", "--", *paths])
    room.run(
        ["/bin/sh", "-c", 'printf "$1" | xargs -0 touch --', "sh", f"{SPECS_FOLDER}/{folder}\\377.ini\\0"]
    )
    for _ in range(2):
        assert without_notices(room.launch().output) == good
    room.run(["rm", "--", *paths])
    room.run(f"cd {SPECS_FOLDER}/{folder} && rm -f *.ini~ ?.ini; [ $PWD = {SPECS_FOLDER} ] || rmdir $PWD")
    assert_right(room, good)


SURROUNDINGS: dict[str, tuple[str, dict[str, str]]] = {
    "IFS": ("", {"IFS": "/nuei"}),
    "another PATH": ("", {"PATH": "/nonexistent"}),
    "files of the shell": ("echo exit 3 >/run/rc", {"ENV": "/run/rc", "BASH_ENV": "/run/rc"}),
    "locale": ("", {"LC_ALL": "tr_TR.UTF-8", "LANG": "C.UTF-8", "LC_COLLATE": "en_US.UTF-8"}),
    "CDPATH": ("mkdir -p /etc/unitgen/run/unitgen/kept", {"CDPATH": "/etc/unitgen:/:."}),
    "POSIXLY_CORRECT": ("", {"POSIXLY_CORRECT": "1", "BLOCK_SIZE": "x", "VERSION_CONTROL": "numbered"}),
    "TMPDIR": ("", {"TMPDIR": "/nonexistent"}),
    "Python's": ("", {"PYTHONPATH": "/run", "PYTHONHOME": "/run", "PYTHONOPTIMIZE": "2"}),
    "names of the launcher's": ("", {"out": "/x", "name": "x", "place": "/x", "names": "x", "PWD": "/x"}),
    "no patterns": ("", {"SHELLOPTS": "noglob"}),
    "other patterns": ("", {"BASHOPTS": "nullglob:dotglob:failglob", "GLOBIGNORE": "*.ini"}),
    "no working directory": ("mkdir /run/gone; cd /run/gone; rmdir /run/gone", {}),
    "no standard input": ("exec <&-", {}),
    "no standard streams": ("exec <&- >&- 2>&-", {}),
    "full standard streams": ("exec >/dev/full 2>&1", {}),
    "umask 077": ("umask 077", {}),
    "umask 777": ("umask 777", {}),
    "umask 000": ("umask 000", {}),
    "few files": ("ulimit -n 16", {}),
    "small stack": ("ulimit -s 512", {}),
    "signals ignored": ("trap '' TERM PIPE CHLD XFSZ HUP INT", {}),
}


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_odd_surroundings(surroundings: str, room: Room, good: str) -> None:
    """What is made there and what is put back there is the same, and good to be put back elsewhere."""
    before, variables = SURROUNDINGS[surroundings]
    for shell in SHELLS:
        room.run("rm -rf /run/unitgen")
        for _ in range(2):
            run = room.launch(before, shell, variables)
            assert (run.status, run.output) == (0, good)
        assert room.launch() == (0, "", False, good)
        assert room.run("stat -c %a /run/unitgen /run/unitgen/kept").stdout.split() == ["755", "1700"]


def test_thousands(room: Room) -> None:
    """Of specs, and of files that are none, which need more room than a pipe has."""
    room.run(f"cd {SPECS_FOLDER} && for i in $(seq 1000); do cp off.ini m$i.ini; : >other-$i; done")
    first, second = room.launch(timeout=90), room.launch()
    assert second == (0, "", False, first.output)
    assert first.output.count("10-unitgen-override.conf f 644") == 1003


def test_clock_that_is_wrong(room: Room, good: str) -> None:
    """Times of files say nothing."""
    for time in ("2100-01-01", "1970-01-01"):
        room.run(f"find {KEPT} /etc/unitgen -exec touch --no-dereference --date={time} {{}} +")
        assert room.launch() == (0, "", False, good)
    room.run(f"sed -i 's/64M/65M/' {SPECS_FOLDER}/web.ini; touch --date=1970-01-01 {SPECS_FOLDER}/web.ini")
    assert room.launch().python


# What there is not enough of

CONTAINERS = ("web", "full", "off")


def assert_whole(run: Run, good: str) -> None:
    """Each file is whole, or its container cannot start; and only if all are there, all is well."""
    expected = set(good.splitlines())
    masked = [name for name in CONTAINERS if f"systemd-nspawn@{name}.service l 777 /dev/null" in run.output]
    for line in run.output.splitlines():
        assert line in expected or any(f"@{name}.service" in line for name in masked), line
    assert run.status == (0 if run.output == good else 1)


FEW = (1, 5, 9, 13, 17, 21, 25)


@pytest.mark.parametrize("limit", ["nr_inodes={}", "size={}k"])
@pytest.mark.parametrize("place", [OUT, "/run/unitgen"])
def test_small_file_system(place: str, limit: str, room: Room, good: str) -> None:
    """However small it is: nothing that is cut short is used, and it is not silent."""
    room.run(f"cp -a {KEPT} {SAVED}")
    for number in FEW:
        mount = f"mount -t tmpfs -o mode=755,{limit.format(number * 4)} few {place}"
        for kept in (KEPT, SAVED):
            room.run(f"rm -rf {KEPT}; [ {kept} = {SAVED} ] || cp -a {SAVED} {KEPT}")
            assert_whole(room.launch(mount), good)
            room.run(f"umount {place}")
    room.forget()
    assert_right(room, good)


@pytest.mark.parametrize("limit", ["nr_inodes={} iused", "size={}k used"])
def test_full_run(limit: str, room: Room, good: str) -> None:
    """No space in all of /run but for some files."""
    option, _, column = limit.partition(" ")
    used = f"$(($(df --output={column} /run | tail -1) + {{}}))"
    for number in FEW:
        for forget in (True, False):
            room.run(f"rm -rf {KEPT if forget else ''}")
            run = room.launch(f"mount -o remount,{option.format(used.format(number))} /run")
            room.run("mount -o remount,nr_inodes=0,size=1G /run")
            assert_whole(run, good)
            assert_right(room, good)


def test_read_only(room: Room, good: str) -> None:
    """Nothing can be written: that is said, and next time all is well."""
    before = f"mount -t tmpfs -o ro none {OUT}"
    for _ in range(2):
        run = room.launch(before)
        room.run(f"umount {OUT}")
        assert (run.status, run.output) == (1, "")
        assert "error: cannot write" in run.errors
        room.forget()
    assert_right(room, good)


def test_limited_file_size(room: Room, good: str) -> None:
    """What needs no writing can be put back; else there are masks, and it is said."""
    assert room.launch("ulimit -f 0") == (0, "", False, good)
    room.forget()
    run = room.launch("ulimit -f 0")
    assert run.status == 1 and "cannot write" in run.errors
    assert_whole(run, good)
    assert_right(room, good)


# What comes in between


@pytest.mark.parametrize("forget", [True, False])
def test_killed_at_any_moment(forget: bool, room: Room, good: str) -> None:
    """The next run is right, and nothing is left lying about."""
    for delay in range(0, 400, 25) if forget else range(12):
        if forget:
            room.forget()
        room.launch(f'exec timeout --signal=KILL 0.{delay:03} env -i "$@"')
        room.run("sleep 0.1")
        assert room.launch().output == good
    assert_right(room, good)


PAIRS = f"""
cd /run && for round in $(seq 20); do
    {{change}}
    for run in 1 2 3; do mkdir -p systemd/$run; {LAUNCHER} /run/systemd/$run & done
    wait
    for run in 1 2 3; do (cd systemd/$run && find . -type f -exec b2sum {{{{}}}} + | sort | b2sum); done
    rm -r systemd/[123]
done
"""


def test_runs_at_the_same_time(room: Room, good: str) -> None:
    """Each writes the same, be there something kept or not."""
    for change in (f"rm -rf {KEPT}", ":", f"[ $round = 10 ] && rm -rf {KEPT}"):
        result = room.run(PAIRS.format(change=change))
        assert len(set(result.stdout.splitlines())) == 1
        assert result.stderr == ""
    assert_right(room, good)


def test_nobody_else_can_keep_it_from_being_kept(room: Room, good: str) -> None:
    """Whatever a user can open he can lock."""
    lock = "setpriv --reuid=65534 --clear-groups flock {} sleep 20 >/dev/null 2>&1 & echo $!"
    places = room.run("find /run/unitgen -maxdepth 1").stdout.split()
    holders = [room.run(lock.format(place)).stdout.strip() for place in places]
    room.forget()
    assert room.launch() == (0, "", True, good)
    assert room.launch() == (0, "", False, good)
    room.run(f"kill {' '.join(holders)} || :")


def test_specs_that_are_edited_at_the_same_time(room: Room, good: str) -> None:
    """A run writes what there was before or after, and in the end what there is."""
    edit = f"""(cd {SPECS_FOLDER}; for i in 1 2 3 4 5 6; do
        sed -i s/6.M/6${{i}}M/ *.ini; cp off.ini new$i.ini; sleep 0.05; rm new*.ini; done) &"""
    room.run(PAIRS.replace("seq 20", "seq 8").format(change=edit), timeout=120)
    last = room.launch()
    room.forget()
    assert room.launch().output == last.output
    room.run(f"sed -i s/6.M/64M/ {SPECS_FOLDER}/*.ini")
    assert_right(room, good)


# What does not work

BROKEN = {
    "Python is gone": "rm /usr/bin/python3",
    "Python may not be run": "chmod -x /usr/bin/$(readlink /usr/bin/python3)",
    "Python is no program": "ln -sf /etc/hosts /usr/bin/python3",
    "Python dies": "cd /usr/bin; rm python3; printf '#!/bin/sh\nkill -9 $$' >python3; chmod +x python3",
    "its library is gone": "mv /usr/lib/$(readlink /usr/bin/python3) /usr/lib/gone",
    "unitgen is gone": "rm -r /usr/lib/python3/dist-packages/unitgen",
    "the entry is gone": "rm /usr/lib/unitgen/generator",
    "a module is gone": "rm /usr/lib/python3/dist-packages/unitgen/kept.py",
    "a module is cut short": "echo 'def' >>/usr/lib/python3/dist-packages/unitgen/plan.py",
    "a module is empty": ": >/usr/lib/python3/dist-packages/unitgen/pipeline.py",
    "jinja2 is gone": "rm -r /usr/lib/python3/dist-packages/jinja2",
    "configobj is gone": "rm -r /usr/lib/python3/dist-packages/configobj*",
}


@pytest.mark.parametrize("fault", BROKEN)
def test_python_that_does_not_work(fault: str, room: Room, good: str) -> None:
    """What there was is put back, whatever the specs say now, and it is said."""
    room.run(BROKEN[fault])
    room.run(f"sed -i 's/64M/65M/' {SPECS_FOLDER}/web.ini; cp {SPECS_FOLDER}/off.ini {SPECS_FOLDER}/new.ini")
    run = room.launch()
    assert (run.status, run.output) == (1, good)
    assert "unitgen: the generator has failed; containers are as they were at its last run" in run.errors
    room.forget()
    run = room.launch()
    assert (run.status, run.output) == (1, "")
    assert "there is nothing of an earlier run" in run.errors
