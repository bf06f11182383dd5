"""Hostile text in specs, as systemd itself reads what is made of it, and as payloads get it."""

import base64
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.boot.conftest import SUITES, furnish
from tests.boot.inside import leader, read_words, show, start
from tests.property.batch import NAMES, WORDS, escape_colons, make_batch, make_refused, quote
from tests.property.options import list_options
from tests.property.verdicts import Line, group, list_lines, read_verdicts, write_unit
from tests.testbed.containers import Container, Containers, place_container, spec_path, unit
from tests.testbed.host import NspawnHost

_FOLDER = "etc/unitgen/containers"
_BATCH = make_batch()
_REFUSED = make_refused()
_AT_ONCE = 4000

# Reads names of units, and prints what the manager has in its memory of each: one JSON object a line.
_ASK = """
import json, subprocess, sys
BUS, PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1/unit/"
WANTED = {
    "Unit": ["Description", "SourcePath", "LoadState", "LoadError", "RequiresMountsFor", "NeedDaemonReload"],
    "Service": ["ExecStart", "Environment"],
}
for unit in json.load(sys.stdin):
    path = PATH + "".join(c if c.isalnum() else f"_{ord(c):02x}" for c in unit)
    found = {}
    for kind, names in WANTED.items():
        command = ["busctl", "--json=short", "get-property", BUS, path, f"{BUS}.{kind}", *names]
        lines = subprocess.run(command, check=True, capture_output=True).stdout.decode().strip().split("\\n")
        found |= {name: json.loads(line)["data"] for name, line in zip(names, lines, strict=True)}
    print(json.dumps(found))
"""

# Makes folders with these names, each with a file that has its number.
_MAKE_FOLDERS = """
import json, os, sys
for number, name in enumerate(json.load(sys.stdin)):
    os.makedirs(f"/srv/hostile/{name}")
    with open(f"/srv/hostile/{name}/number", "w") as file:
        file.write(str(number))
"""

# Runs systemd-nspawn with each list of options, on a tree that is not there, and prints what it said.
_TRY_OPTIONS = """
import json, subprocess, sys
COMMAND = ["systemd-nspawn", "--quiet", "--settings=no", "--register=no", "--keep-unit", "--machine=none"]
said = []
for options in json.load(sys.stdin):
    command = [*COMMAND, *options, "--directory=/srv/no-such-tree", "/bin/true"]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
    said.append(result.stderr.decode(errors="replace"))
json.dump(said, sys.stdout)
"""


def run_python(host: NspawnHost, script: str, data: object, timeout: float = 120) -> str:
    """What a script on the host prints that reads JSON."""
    text = json.dumps(data).encode()
    return host.run(["python3", "-c", script], stdin=text, timeout=timeout).stdout


def put_files(host: NspawnHost, files: Mapping[str, bytes]) -> None:
    """Many files at once."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    host.run(["tar", "--extract", "--directory=/"], stdin=buffer.getvalue())


@pytest.fixture(scope="module")
def loaded(host: NspawnHost) -> Iterator[dict[str, dict[str, Any]]]:
    """What the manager has of each unit of the batch, after one reload, by the container's name."""
    files = {f"{_FOLDER}/{name}.ini": asked.spec for name, asked in _BATCH.items()}
    files |= {f"{_FOLDER}/{name}.ini": data for name, data in _REFUSED.items()}
    put_files(host, files)
    host.run("systemctl daemon-reload")
    names = [*_BATCH, *_REFUSED]
    lines = run_python(host, _ASK, [unit(name) for name in names]).splitlines()
    yield dict(zip(names, map(json.loads, lines), strict=True))
    host.run(["rm", "--", *(f"/{path}" for path in files)])
    host.run("systemctl daemon-reload")


def read_argv(found: dict[str, Any]) -> list[str]:
    """The one command of a service, with variables resolved; only doubled dollar signs may be in it."""
    ((_, argv, *_),) = found["ExecStart"]
    assert all("$" not in word.replace("$$", "") for word in argv[1:])
    return [word.replace("$$", "$") for word in argv]


def test_all_units_are_loaded_from_their_specs(loaded: dict[str, dict[str, Any]]) -> None:
    for name, found in loaded.items():
        assert found["LoadState"] == "loaded" and found["LoadError"] == ["", ""], name
        assert found["SourcePath"] == f"/{_FOLDER}/{name}.ini"
        assert not found["NeedDaemonReload"]


def test_arguments_are_those_that_were_asked_for(loaded: dict[str, dict[str, Any]]) -> None:
    """In one piece; all else on the command line is that of a container of which nothing is asked."""
    for name, asked in _BATCH.items():
        argv = read_argv(loaded[name])
        count = len(asked.argv)
        places = [place for place in range(len(argv)) if tuple(argv[place : place + count]) == asked.argv]
        assert places, (name, asked.argv, argv)
        rest = argv[: places[-1]] + argv[places[-1] + count :]
        plain = [word.replace(name, "NAME") for word in rest]
        assert plain[:4] == ["systemd-nspawn", "--quiet", "--keep-unit", "--settings=no"]
        assert set(plain[4:]) <= {"--machine=NAME", "--boot", "-U", "--link-journal=try-guest"}, name


def test_texts_paths_and_variables_are_those_that_were_asked_for(
    loaded: dict[str, dict[str, Any]],
) -> None:
    for name, asked in _BATCH.items():
        found = loaded[name]
        assert found["Description"] == (asked.description or f"Container {name}")
        assert found["Environment"] == [*asked.environment]
        # The template has one of its own.
        assert {*found["RequiresMountsFor"]} - {f"/var/lib/machines/{name}"} == {*asked.mounts}


def test_refused_specs_have_a_stub(loaded: dict[str, dict[str, Any]]) -> None:
    """It names the file and the line."""
    for name in _REFUSED:
        shell, option, _, program, *messages = read_argv(loaded[name])
        assert (shell, option, program) == ("/bin/sh", "-c", "unitgen")
        assert messages and all(text.startswith(f"/{_FOLDER}/{name}.ini:2: error: ") for text in messages)
        start = f"Container {name} is not started: /{_FOLDER}/{name}.ini:2: error: "
        assert loaded[name]["Description"].startswith(start)


@pytest.mark.usefixtures("loaded")
def test_systemd_has_nothing_to_say(host: NspawnHost) -> None:
    """Of what it ignores or does not understand, it tells the file and the line."""
    journal = host.run("journalctl --boot --output=cat _PID=1").stdout
    place = r"systemd-nspawn@(hostile|refused)-[a-z0-9-]+\.service[^ ]*:\d+: .*"
    assert [match[0] for match in re.finditer(place, journal)] == []


def _list_values() -> list[str]:
    """All hostile words, and one that is nearly as long as it may be."""
    return [*WORDS, 'é$%\\" ' * 16_000]


def test_payload_gets_every_byte(host: NspawnHost, containers: Containers) -> None:
    """As its arguments, written to a file of the host by itself, and in its environment."""
    script = "cat /proc/$$/cmdline >/out/argv; cat /proc/$$/environ >/out/environ; exec sleep infinity"
    values = _list_values()
    lines = [f"Parameters={' '.join(map(quote, ['sh', '-c', script, 'x']))}"]
    lines += [f"Parameters={quote(value)}" for value in values]
    lines += [f"Environment={quote(f'V{number}={value}')}" for number, value in enumerate(values)]
    host.run("mkdir -p /srv/hostile-out")
    spec = "[Exec]\nProcessTwo=yes\nPrivateUsers=no\n" + "\n".join(lines)
    name = containers.add(Container(f"{spec}\n[Files]\nBind=/srv/hostile-out:/out\n"))
    start(host, name)
    host.wait_until("test -s /srv/hostile-out/environ")
    assert read_file(host, "/srv/hostile-out/argv") == ["sh", "-c", script, "x", *values]
    environment = read_file(host, "/srv/hostile-out/environ")
    assert [word for word in environment if re.match(r"V\d+=", word)] == [
        f"V{number}={value}" for number, value in enumerate(values)
    ]


def read_file(host: NspawnHost, path: str) -> list[str]:
    """The words of a file, each of which ends with a NUL byte."""
    data = base64.b64decode(host.run(["base64", path]).stdout)
    return data.decode().split("\0")[:-1]


def test_single_command_gets_every_byte(host: NspawnHost, containers: Containers) -> None:
    """Without a stub init in between: as PID 1, which handles the signal that stops it."""
    script = "trap exit TERM; while :; do sleep 1; done"
    lines = "".join(f"Parameters={quote(value)}\n" for value in WORDS)
    name = containers.add(Container(f"[Exec]\nBoot=no\nParameters=sh -c '{script}' x\n{lines}"))
    start(host, name)
    assert read_words(host, name, "/proc/1/cmdline") == ["sh", "-c", script, "x", *WORDS]


def test_folders_with_any_name_are_mounted(host: NspawnHost, containers: Containers) -> None:
    """Each in its place, under its name."""
    names = NAMES[::4]
    run_python(host, _MAKE_FOLDERS, names)
    binds = "".join(
        f"BindReadOnly={escape_colons(f'/srv/hostile/{name}')}:{escape_colons(f'/mnt/{name}')}\n"
        for name in names
    )
    machine = containers.add(
        Container(f"[Exec]\nProcessTwo=yes\nParameters=sleep infinity\n[Files]\n{binds}")
    )
    start(host, machine)
    script = (
        "import json, sys; root, names = json.load(sys.stdin); "
        "print(json.dumps([open(f'{root}/mnt/{name}/number').read() for name in names]))"
    )
    found = run_python(host, script, [f"/proc/{leader(host, machine)}/root", names])
    assert json.loads(found) == [str(number) for number in range(len(names))]


def test_credential_has_every_byte(host: NspawnHost, containers: Containers) -> None:
    data = bytes(range(256)) + "%i $HOME ${HOME} \\ \" ' é".encode()
    value = "".join(f"\\x{byte:02x}" for byte in data[:256]) + data[256:].decode().replace("\\", "\\\\")
    machine = containers.add(
        Container(f"[Exec]\nProcessTwo=yes\nParameters=sleep infinity\nSetCredential=all:{value}\n")
    )
    start(host, machine)
    path = f"/proc/{leader(host, machine)}/root/run/host/credentials/all"
    assert base64.b64decode(host.run(["base64", path]).stdout) == data


def test_spec_that_others_have_changed_is_refused() -> None:
    """On a host of its own: where any spec is broken nothing is put back."""
    with NspawnHost(SUITES[-1]) as host:
        furnish(host, [], prefix="")
        place_container(host, "web", Container("[Container]\nAutostart=no\n"))
        host.boot()
        host.run(["chmod", "666", spec_path("web")])
        host.run(f"echo >>{spec_path('web')}; systemctl daemon-reload")
        assert show(host, "web", "Description")["Description"].startswith("Container web is as it was ")


def ask_version(host: NspawnHost) -> int:
    """The systemd of the host."""
    return int(host.run("systemctl --version").stdout.split()[1])


def test_nothing_that_is_let_through_is_ignored(host: NspawnHost) -> None:
    """As tests/property/test_verdicts.py has it, by this version."""
    found: dict[Line, str] = {}
    rest = list_lines(ask_version(host))
    while rest:
        host.write("/run/verdicts/verdicts.service", write_unit(rest[:_AT_ONCE]))
        command = ["systemd-analyze", "verify", "--man=no", "/run/verdicts/verdicts.service"]
        report = host.run(command, check=False, timeout=300).stderr
        more, count = read_verdicts(rest[:_AT_ONCE], report, "verdicts.service")
        assert count, report
        found |= more
        rest = rest[count:]
    assert {name: said[:5] for name, said in group(found).items()} == {}


def test_options_are_accepted(host: NspawnHost) -> None:
    """systemd-nspawn gets as far as to look for the tree: it has nothing against the values."""
    options = list_options(ask_version(host))
    said = json.loads(run_python(host, _TRY_OPTIONS, [words for _, _, words in options], timeout=300))
    refused: dict[str, list[tuple[str, str]]] = {}
    for (key, value, _), text in zip(options, said, strict=True):
        if "no-such-tree" not in text:
            refused.setdefault(key, []).append((value, text))
    assert {key: found[:5] for key, found in refused.items()} == {}
