"""Bad input that no checkout can hold: bytes that git would mangle, sizes, owners, modes, pipes."""

import os
from collections.abc import Callable
from pathlib import Path

FOLDER = "etc/unitgen/containers"
MIB = 1024 * 1024
NOBODY = 65534
GOOD = b"[Exec]\nBoot=yes\n"


def _put(root: Path, path: str, data: bytes = GOOD, mode: int = 0o644) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    file.chmod(mode)
    return file


def _link(root: Path, path: str, target: str) -> Path:
    link = root / path
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)
    return link


# The whole content of a spec.
BYTES: dict[str, bytes] = {
    "bytes-nul": b"[Exec]\nUser=alice\0\n\0\nBoot=no\0Boot=yes\nEnvironment=A=\0\n",
    "bytes-carriage-return": b"[Exec]\nUser=alice\rBoot=yes\nParameters=a\r\r\n",
    "bytes-controls": b"[Exec]\n"
    + b"".join(b"User=a%cb\n" % byte for byte in (*range(1, 9), 0xB, 0xC, *range(0xE, 0x20), 0x7F)),
    "bytes-latin-1": b"# K\xe4se\n[Container]\nDescription=K\xe4se\n",
    "bytes-no-utf-8": b"[Exec]\nUser=\xff\nUser=\xc0\xaf\nUser=\xed\xa0\x80\n"
    b"User=\xf4\x90\x80\x80\nUser=\xe2\x82\n",
    "bytes-utf-16": "[Exec]\nBoot=no\n".encode("utf-16"),
    "bytes-noncharacters": "".join(
        f"Description={char}\n" for char in ("[", "\ufdd0", "\ufdef", "\ufffe", "\uffff", "\U0010ffff")
    )
    .replace("Description=[", "[Container]")
    .encode(),
    "long-line": b"[Container]\nDescription=%b\nDirectory=srv\n" % (b"x" * 2 * MIB),
    "long-comment": b"# %b\n[Exec]\nBoot=no\n" % (b"x" * 2 * MIB),
    "long-continued": b"[Exec]\nParameters=a\\\n%bb\nBoot=ture\n" % ((b"a" * 1022 + b" \\\n") * 2048),
    "long-value": b"[Exec]\nParameters=%b\nBoot=no\n" % (b"x" * 128 * 1024),
    "many-words": b"[Network]\nDNS=%b\nDNS=192.0.2.3 192.0.2.4 192.0.2.5\nDNS=\nDNS=192.0.2.6\n"
    b"[Service]\nIPAddressDeny=%b\n[Install]\nWantedBy=%b\n"
    % (b"192.0.2.1 " * 4998, b"192.0.2.2 " * 5001, b"a.target " * 6000),
    "long-file": b"[Exec]\n" + b"# filled\n" * (5 * MIB // 9),
    "long-unit": b"[Service]\n" + b"Environment=A=%b\n" % (b"x" * 120_000) * 10,
    "many-percents": b"[Container]\nDescription=%b\n" % (b"%" * 600_000),
    "many-variables": b"[Exec]\n" + b"Environment=A=1\n" * 190_000,
    "many-misspelt": b"[Exec]\n" + b"Environmnet=A=1\n" * 200_000,
    "many-sections": b"[Exce]\n" * 200_000,
    "many-continued": b"[Exec]\nParameters=\\\n" + b"\\\n" * 2_000_000 + b"x\n",
}

# Specs of which only so many problems are reported.
FLOODS: dict[str, bytes] = {
    "keys": b"[Exec]\n" + b"Environmnet=A=1\n" * 9_999,
    "sections": b"[Exce]\n" * 9_999,
    "quotes": b"[Exec]\n" + b"Parameters='#'\"'\"'x\n" * 9_000,
    "ports": b"[Network]\n" + b"Port=1-65535\n" * 1_999,
    "values": b"[Service]\n" + b"MemoryMax=x\n" * 9_000,
}


def _make_modes(root: Path) -> None:
    _put(root, f"{FOLDER}/all.ini", mode=0o666)
    _put(root, f"{FOLDER}/group.ini", mode=0o664)
    _put(root, f"{FOLDER}/others.ini", mode=0o602)
    _put(root, f"{FOLDER}/good.ini", mode=0o600)
    _put(root, f"{FOLDER}/dropin.ini")
    _put(root, f"{FOLDER}/dropin.ini.d/10-limit.ini", b"[Service]\nMemoryMax=1G\n", 0o666)
    _put(root, f"{FOLDER}/dropins.ini")
    _put(root, f"{FOLDER}/dropins.ini.d/10-limit.ini", b"[Service]\nMemoryMax=1G\n")
    (root / FOLDER / "dropins.ini.d").chmod(0o775)
    _link(root, f"{FOLDER}/linked.ini", "/srv/specs/linked")
    _put(root, "srv/specs/linked")
    (root / "srv/specs").chmod(0o777)
    # Nobody can replace what is root's in a sticky folder on the way.
    _link(root, f"{FOLDER}/sticky.ini", "/srv/sticky/spec")
    _put(root, "srv/sticky/spec")
    (root / "srv/sticky").chmod(0o1777)


def _make_folder(mode: int, path: str = FOLDER) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        _put(root, f"{FOLDER}/web.ini")
        _put(root, "usr/lib/unitgen/containers/good.ini")
        (root / path).chmod(mode)

    return make


def _make_owners(root: Path) -> None:
    os.chown(_put(root, f"{FOLDER}/file.ini"), NOBODY, NOBODY)
    os.chown(_put(root, f"{FOLDER}/read-only.ini", mode=0o444), NOBODY, 0)
    os.chown(_put(root, f"{FOLDER}/group.ini"), 0, NOBODY)
    os.lchown(_link(root, f"{FOLDER}/link.ini", "group.ini"), NOBODY, NOBODY)
    os.chown(_put(root, "srv/specs/target"), 0, 0)
    os.chown(root / "srv/specs", NOBODY, 0)
    _link(root, f"{FOLDER}/target.ini", "/srv/specs/target")


def _make_owned_folder(root: Path) -> None:
    _make_folder(0o755)(root)
    os.chown(root / FOLDER, NOBODY, NOBODY)


def _make_unreadable(root: Path) -> None:
    _put(root, f"{FOLDER}/good.ini")
    _put(root, f"{FOLDER}/spec.ini", mode=0)
    _put(root, f"{FOLDER}/dropin.ini")
    _put(root, f"{FOLDER}/dropin.ini.d/10-limit.ini", mode=0)


def _make_pipes(root: Path) -> None:
    _put(root, f"{FOLDER}/good.ini")
    os.mkfifo(root / FOLDER / "pipe.ini")
    _link(root, f"{FOLDER}/to-pipe.ini", "pipe.ini")
    # The kernel refuses to look such a name up, for root too.
    _link(root, f"{FOLDER}/name-too-long.ini", "x" * 300)


def _make_names(root: Path) -> None:
    _put(root, f"{FOLDER}/good.ini")
    for name in (b"a\xffb.ini", b"a\nb.ini", b"a\x1b[31mb.ini", "a\ufffeb.ini".encode(), b"a\\nb.ini"):
        Path(os.fsdecode(bytes(root / FOLDER) + b"/" + name)).write_bytes(GOOD)


def _make_dropin_names(root: Path) -> None:
    limit = b"[Service]\nMemoryMax=1G\n"
    for spec, name in (("bytes", b"10-\xff.ini"), ("newline", b"10-a\nb.ini"), ("conf", b"10\xff\n.conf")):
        _put(root, f"{FOLDER}/{spec}.ini")
        folder = bytes(root / FOLDER / f"{spec}.ini.d")
        os.mkdir(folder, 0o755)
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(limit)


def _make_link_chains(root: Path) -> None:
    _put(root, "srv/specs/0", b"[Exec]\nBoot=ture\n")
    for number in range(1, 42):
        _link(root, f"srv/specs/{number}", str(number - 1))
    _link(root, f"{FOLDER}/forty.ini", "/srv/specs/39")
    _link(root, f"{FOLDER}/forty-one.ini", "/srv/specs/40")


def _make_unwritable(root: Path) -> None:
    _put(root, f"{FOLDER}/good.ini")
    _put(root, f"{FOLDER}/web.ini", b"[Container]\nUnit=full\n")
    # Where the drop-in's folder has to be.
    _put(root.parent / "out", "systemd-nspawn@web.service.d", b"in the way\n")


def _make_template_modes(root: Path) -> None:
    _put(root, f"{FOLDER}/web.ini")
    _put(root, "etc/unitgen/templates/override.conf.j2", b"# The site's own.\n", 0o666)


def _make_template(line: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        _put(root, f"{FOLDER}/web.ini")
        text = f"[Service]\nExecStart=\nExecStart=/bin/true\n{line}\n"
        _put(root, "etc/unitgen/templates/override.conf.j2", text.encode())

    return make


def _make_template_bytes(root: Path) -> None:
    _put(root, f"{FOLDER}/web.ini")
    _put(root, "etc/unitgen/templates/override.conf.j2", b"# \xff\n")


# What is below the root, and beside it the output directory.
TREES: dict[str, Callable[[Path], None]] = {
    "modes": _make_modes,
    "folder-writable": _make_folder(0o777),
    "folder-group-writable": _make_folder(0o775),
    "folder-sticky": _make_folder(0o1777),
    "parent-writable": _make_folder(0o777, "etc/unitgen"),
    "root-writable": _make_folder(0o777, "."),
    "owners": _make_owners,
    "folder-owner": _make_owned_folder,
    "unreadable": _make_unreadable,
    "pipes": _make_pipes,
    "names": _make_names,
    "dropin-names": _make_dropin_names,
    "link-chains": _make_link_chains,
    "unwritable": _make_unwritable,
    "template-modes": _make_template_modes,
    "template-bytes": _make_template_bytes,
    "template-control": _make_template("Environment=A=\x1f"),
    "template-noncharacter": _make_template("Environment=A=\ufdd0"),
    "template-include": _make_template("{% include 'nothing' %}"),
    "template-runtime": _make_template("{{ cycler() }}"),
}
NEED_ROOT = ("owners", "folder-owner")
NEED_USER = ("unreadable",)
