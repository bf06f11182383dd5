"""Cached operating system trees: built once by debootstrap, copied for each host or guest that needs one."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

Kind = Literal["host", "guest", "tiny", "vm", "firewalls", "podman", "vm-podman"]

# Raise it when the steps below change what ends up in a tree: it is part of the cache key.
RECIPE_VERSION = 3

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_GUEST_PACKAGES = ("systemd", "systemd-sysv", "dbus", "iproute2", "procps")
_HOST_PACKAGES = (
    *_GUEST_PACKAGES,
    "systemd-container",
    "iptables",
    "nftables",
    "netcat-openbsd",
    "python3",
    "python3-configobj",
    "python3-jinja2",
    "python3-watchdog",
    "busybox-static",
    "dnsmasq-base",
    "libnss-mymachines",
    "systemd-resolved",
)
_PACKAGES: dict[Kind, tuple[str, ...]] = {
    "host": _HOST_PACKAGES,
    "guest": _GUEST_PACKAGES,
    "tiny": (),
    "vm": (*_HOST_PACKAGES, "linux-image-cloud-amd64", "initramfs-tools", "udev", "kmod", "e2fsprogs"),
    "firewalls": _HOST_PACKAGES,
    "podman": _HOST_PACKAGES,
    "vm-podman": (*_HOST_PACKAGES, "initramfs-tools", "udev", "kmod", "e2fsprogs"),
}
# These are too much for debootstrap, which does not configure packages in the order that they need.
_APT_PACKAGES: dict[Kind, tuple[str, ...]] = {
    "firewalls": ("docker.io", "firewalld", "ufw"),
    # For comparisons with Quadlet.
    "podman": ("podman", "strace"),
    "vm-podman": ("podman",),
}
# The kinds that are wanted of one suite only.
_SUITE_OF: dict[Kind, str] = {
    "vm": "bookworm",
    "firewalls": "trixie",
    "podman": "trixie",
    "vm-podman": "trixie",
}

# Nothing here is wanted in a test, and each costs time at boot or starts work in the middle of one.
_MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "systemd-pcrphase.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-timesyncd.service",
)

# Some tests start them, one at a time; the others want a host without them.
_DISABLED = (
    "containerd.service",
    "docker.service",
    "docker.socket",
    "firewalld.service",
    "netfilter-persistent.service",
    "systemd-resolved.service",
    "ufw.service",
)
# Those of packages that one kind has; kept apart, since a change above would have all trees built anew.
_PODMAN_UNITS = (
    *("podman-auto-update.service", "podman-auto-update.timer", "podman-clean-transient.service"),
    *("podman-restart.service", "podman.service", "podman.socket"),
)
_DISABLED_OF: dict[Kind, tuple[str, ...]] = {"podman": _PODMAN_UNITS, "vm-podman": _PODMAN_UNITS}

# Whose busybox, and whose kernel: 6.12 of trixie panics under emulation.
_ORIGINS: dict[Kind, Callable[[str], tuple[Kind, str]]] = {
    "tiny": lambda suite: ("host", suite),
    "vm-podman": lambda _suite: ("vm", "bookworm"),
}

# What a guest can do without; it is copied often.
_GUEST_BALLAST = (
    "usr/share/doc",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/cache/debconf",
    "var/lib/apt/lists",
)


class Suite(NamedTuple):
    """Where a tree's packages come from: a Debian suite, and one on top of it that is preferred."""

    base: str
    preferred: str | None = None


SUITES: dict[str, Suite] = {
    "bookworm": Suite("bookworm"),
    "bookworm-backports": Suite("bookworm", preferred="bookworm-backports"),
    "trixie": Suite("trixie"),
    "sid": Suite("sid"),
}


class TreeError(Exception):
    """A tree could not be built."""


def cache_folder() -> Path:
    """The folder that holds trees, packages and the folders of running hosts, outside of the checkout."""
    if chosen := os.environ.get("UNITGEN_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base).absolute() / "unitgen-testbed"


def tree(kind: Kind, suite: str = "bookworm") -> Path:
    """The cached tree of this kind and suite, built first if need be; to be copied, not written to."""
    if suite not in SUITES:
        raise TreeError(f"unknown suite {suite!r}, expected one of {', '.join(SUITES)}")
    place = cache_folder() / "trees" / _key(kind, suite)
    if place.is_dir():
        return place
    # Some take a file from another tree: have that before the lock is taken.
    source = tree(*_ORIGINS[kind](suite)) if kind in _ORIGINS else None
    place.parent.mkdir(parents=True, exist_ok=True)
    with locked(place.parent / ".lock"):
        if not place.is_dir():
            _build(place, lambda partial: _fill(partial, kind, suite, source))
    return place


def copy_tree(source: Path, target: Path) -> None:
    """Copy a tree to a place that does not exist yet, sharing blocks where the file system can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", "--reflink=auto", "--", source, target], check=True)


def remove_tree(path: Path) -> None:
    """Remove a folder, but never step into something that is mounted below it."""
    subprocess.run(["rm", "-rf", "--one-file-system", "--", path], check=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file; the kernel gives it back when the process ends, however it ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _key(kind: Kind, suite: str) -> str:
    facts: list[object] = [RECIPE_VERSION, kind, SUITES[suite], _PACKAGES[kind]]
    facts += [_MASKED, _DISABLED, _GUEST_BALLAST]
    facts += [table[kind] for table in (_APT_PACKAGES, _DISABLED_OF) if kind in table]
    if kind == "tiny":
        facts += [_TINY_FOLDERS, _TINY_FILES]
    if kind == "vm-podman":
        facts.append(_key("vm", "bookworm"))
    return f"{kind}-{suite}-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]}"


def _build(place: Path, fill: Callable[[Path], None]) -> None:
    """Fill a folder under another name, and give it its own only when it is complete. Needs the lock."""
    for leftover in place.parent.glob(".partial-*"):
        remove_tree(leftover)
    partial = place.with_name(f".partial-{place.name}")
    try:
        fill(partial)
        partial.rename(place)
    except BaseException:
        remove_tree(partial)
        raise


def _fill(partial: Path, kind: Kind, suite: str, source: Path | None) -> None:
    if kind == "tiny":
        assert source is not None
        _fill_tiny(partial, source)
        return
    _debootstrap(partial, kind, suite)
    _clean(partial)
    _disable(partial, kind)
    if kind == "guest":
        _clean_guest(partial)
    if kind == "vm-podman" and source is not None:
        for folder in ("boot", "usr/lib/modules"):
            shutil.copytree(source / folder, partial / folder, dirs_exist_ok=True, symlinks=True)
    if kind in ("vm", "vm-podman"):
        _shrink_initrd(partial)


def _debootstrap(partial: Path, kind: Kind, suite: str) -> None:
    packages = cache_folder() / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    command = [
        "debootstrap",
        "--variant=minbase",
        f"--cache-dir={packages}",
        f"--include={','.join(_PACKAGES[kind])}",
        SUITES[suite].base,
        os.fspath(partial),
    ]
    if mirror := os.environ.get("UNITGEN_MIRROR"):
        command.append(mirror)
    # In a mount namespace of its own, so that no /proc or /sys stays mounted in there if it is killed.
    _run(["unshare", "--mount", "--propagation=private", *command])
    base, preferred = SUITES[suite]
    if preferred:
        _prefer(partial, base, preferred)
        _install(partial, _PACKAGES[kind], preferred)
    if kind in _APT_PACKAGES:
        _install(partial, _APT_PACKAGES[kind], preferred or base)


def _prefer(partial: Path, base: str, preferred: str) -> None:
    """Have apt know the preferred suite too, at the mirror that debootstrap has noted."""
    sources = partial / "etc/apt/sources.list"
    line = next(line for line in sources.read_text().splitlines() if line.startswith("deb "))
    sources.write_text(f"{line}\n{line.replace(f' {base} ', f' {preferred} ')}\n")
    _apt(partial, "update")


def _install(partial: Path, packages: Sequence[str], release: str) -> None:
    """Install packages by apt, from this suite as far as it has them. Its lists came with debootstrap."""
    _apt(partial, "install", "--no-install-recommends", f"--target-release={release}", *packages)
    _apt(partial, "clean")


def _apt(partial: Path, *arguments: str) -> None:
    _write_resolv_conf(partial, Path("/etc/resolv.conf").read_text())
    # Nobody may start a service in there: it would run on this machine.
    policy = partial / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    # Some packages need /proc; it goes with the processes, and so does whatever they leave behind.
    inside = ["unshare", "--mount-proc", "--pid", "--fork", "--kill-child", f"--root={partial}"]
    _run([*inside, "apt-get", "--quiet", "--yes", *arguments])
    policy.unlink()


def _clean(partial: Path) -> None:
    """Take out what came from this machine or would differ between two hosts made of the same tree."""
    (partial / "etc/machine-id").write_text("")
    (partial / "var/lib/dbus/machine-id").unlink(missing_ok=True)
    (partial / "etc/fstab").unlink(missing_ok=True)
    (partial / "etc/hostname").write_text("testhost\n")
    (partial / "etc/hosts").write_text("127.0.0.1 localhost testhost\n::1 localhost\n")
    # An address for documentation (RFC 5737): nothing answers, and it is easily recognised in a guest.
    _write_resolv_conf(partial, "nameserver 192.0.2.53\n")
    # What systemd-resolved kept of this machine's.
    (partial / "etc/.resolv.conf.systemd-resolved.bak").unlink(missing_ok=True)
    remove_tree(partial / "run/systemd/resolve")
    remove_tree(partial / "var/cache/apt/archives")
    (partial / "var/cache/apt/archives/partial").mkdir(parents=True)
    (partial / "var/log/journal").mkdir(exist_ok=True)
    for log in ("bootstrap.log", "dpkg.log", "alternatives.log"):
        (partial / "var/log" / log).unlink(missing_ok=True)
    # Else the first boot takes the tree for one whose /usr was just replaced, and makes its caches anew.
    for folder in ("etc", "var"):
        (partial / folder / ".updated").touch()
    for unit in _MASKED:
        link = partial / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")


def _write_resolv_conf(partial: Path, text: str) -> None:
    """Have a plain file there: systemd-resolved, once installed, has put a link to its own in its place."""
    path = partial / "etc/resolv.conf"
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(0o644)


def _disable(partial: Path, kind: Kind) -> None:
    unwanted = (*_DISABLED, *_DISABLED_OF.get(kind, ()))
    units = [unit for unit in unwanted if (partial / "lib/systemd/system" / unit).exists()]
    if units:
        _run(["chroot", os.fspath(partial), "systemctl", "disable", *units])


def _clean_guest(partial: Path) -> None:
    for name in _GUEST_BALLAST:
        remove_tree(partial / name)
    # The machine name becomes the hostname only if the guest has no opinion of its own.
    (partial / "etc/hostname").unlink()
    (partial / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    # Empty, not absent: a read-only guest needs it as a mount point.
    (partial / "etc/resolv.conf").write_text("")


def _shrink_initrd(partial: Path) -> None:
    """Leave only the disk's drivers in the initrd: emulation takes seconds to unpack a full one."""
    (partial / "etc/initramfs-tools/conf.d/testbed").write_text("MODULES=list\nCOMPRESS=lz4\n")
    with (partial / "etc/initramfs-tools/modules").open("a") as file:
        file.write("virtio_pci\nvirtio_blk\next4\n")
    _run(["chroot", os.fspath(partial), "update-initramfs", "-u", "-k", "all"])


def _fill_tiny(partial: Path, host: Path) -> None:
    """A tree with busybox as its only program, and just enough that nspawn takes it for a system."""
    for folder in _TINY_FOLDERS.split():
        (partial / folder).mkdir(parents=True)
    for name in ("bin", "sbin", "lib"):
        (partial / name).symlink_to(f"usr/{name}")
    (partial / "tmp").chmod(0o1777)
    (partial / "root").chmod(0o700)
    shutil.copy2(host / "usr/bin/busybox", partial / "usr/bin/busybox")
    _link_applets(partial)
    for path, text in _TINY_FILES.items():
        (partial / path).write_text(text)
    (partial / "usr/bin/getent").chmod(0o755)


# Those without a use of their own are mount points: a read-only guest cannot make any.
_TINY_FOLDERS = (
    "dev etc home mnt opt proc root run srv sys tmp usr/bin usr/lib usr/sbin usr/share var/lib var/log www"
)
_TINY_FILES = {
    "etc/os-release": 'ID=tiny\nNAME=Tiny\nPRETTY_NAME="Tiny test guest"\nVERSION_ID=1\n',
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:web:/home:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nweb:x:1000:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/machine-id": "",
    "etc/resolv.conf": "",
    # nspawn asks it for the ids of --user=, as `getent passwd NAME` and `getent initgroups NAME`.
    "usr/bin/getent": '#!/bin/sh\ncase "$1" in\n'
    'initgroups) echo "$2" ;;\n'
    '*) grep -E "^($2:|[^:]*:[^:]*:$2:)" "/etc/$1" || exit 2 ;;\nesac\n',
}


def _link_applets(partial: Path) -> None:
    busybox = partial / "usr/bin/busybox"
    listing = subprocess.run([busybox, "--list-full"], check=True, capture_output=True, text=True).stdout
    for applet in listing.split():
        folder = "usr/sbin" if re.match(r"(usr/)?sbin/", applet) else "usr/bin"
        link = partial / folder / Path(applet).name
        if not link.exists():
            link.symlink_to("/usr/bin/busybox")


def _run(command: Sequence[str]) -> None:
    """Run a step with an environment of its own; what it said is shown only if it fails."""
    environment = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
    # A machine behind a proxy reaches the archive only through it.
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    result = subprocess.run(
        command,
        env=environment | proxies,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if result.returncode:
        tail = "\n".join(result.stdout.splitlines()[-30:])
        raise TreeError(f"{' '.join(command)} ended with status {result.returncode}:\n{tail}")


def main() -> None:
    """Build the trees of the given suites now: `python -m tests.testbed.trees bookworm trixie`."""
    import sys

    for suite in sys.argv[1:] or ["bookworm", "trixie"]:
        for kind in get_args(Kind):
            if _SUITE_OF.get(kind, suite) == suite:
                print(tree(kind, suite))


if __name__ == "__main__":
    main()
