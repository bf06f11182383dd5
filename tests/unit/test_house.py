"""The rules of the house: who may import what and where, how long a module may be, what is shipped."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

from unitgen.model import Host
from unitgen.pipeline import run_pipeline

CHECKOUT = Path(__file__).parents[2]
PACKAGE = CHECKOUT / "unitgen"
MODULES = sorted(PACKAGE.glob("**/*.py"))
UNITS = "usr/lib/systemd/system"
TEMPLATES = sorted(path.name for path in (CHECKOUT / "templates").iterdir())
EVERY_MODULE = pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
LONGEST_MODULE = 400  # lines; keys.py is a table

# The only modules that may import a library: one, or those of which each has a part of it to do.
OWNERS = {
    # Two read what people write, in specs and in systemd's syntax; the others compute with what is read.
    "ipaddress": {"addresses.py", "directives.py", "leases.py", "reach.py", "routes.py"},
    "configobj": {"ini.py"},
    "jinja2": {"render.py"},
    "subprocess": {"systemd.py"},
    "watchdog": set(),
    "rich": set(),
    "socket": set(),
    "pwd": set(),
    "grp": set(),
    "ctypes": set(),
    "multiprocessing": set(),
    "argparse": {"cli/__init__.py", "cli/check.py", "cli/generate.py", "cli/list.py", "cli/show.py"},
}
# Modules that know next to nothing of the others.
FOUNDATIONS = {
    "escape": set(),
    "errors": {"unitgen.escape"},
    "model": set(),
    "places": set(),
    "suggestion": set(),
    "systemd": set(),
    "kmsg": set(),
    # What a rule means is decided elsewhere: these two only know how to say it.
    "iptables": {"unitgen.firewall"},
    "nft": {"unitgen.firewall", "unitgen.ports"},
}


class Import(NamedTuple):
    """A module that is imported, at which line, and whether inside of a function."""

    name: str
    line: int
    lazy: bool


def find_imports(module: Path) -> Iterator[Import]:
    tree = ast.parse(module.read_text())
    top = {id(node) for node in tree.body}
    top |= {id(sub) for node in tree.body if isinstance(node, ast.Try) for sub in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, id(node) not in top)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: relative"
            name = str(node.module)
            # `from unitgen import escape` names a module, `from unitgen import __version__` does not.
            inner = [
                f"{name}.{alias.name}" for alias in node.names if (PACKAGE / f"{alias.name}.py").exists()
            ]
            for found in inner if name == "unitgen" and inner else [name]:
                yield Import(found, node.lineno, id(node) not in top)


def name_module(module: Path) -> str:
    return str(module.relative_to(PACKAGE))


def own_imports(module: Path) -> set[str]:
    return {found.name for found in find_imports(module) if found.name.split(".")[0] == "unitgen"}


@EVERY_MODULE
def test_library_has_one_owner(module: Path) -> None:
    """A second user would have to know the library's traps again."""
    used = {found.name.split(".")[0] for found in find_imports(module)}
    assert [name for name in used if name in OWNERS and name_module(module) not in OWNERS[name]] == []


@pytest.mark.parametrize("library", [name for name, owners in OWNERS.items() if len(owners) == 1])
def test_owner_uses_its_library(library: str) -> None:
    (owner,) = OWNERS[library]
    assert library in {found.name.split(".")[0] for found in find_imports(PACKAGE / owner)}


@EVERY_MODULE
def test_no_dependency_beyond_those_declared(module: Path) -> None:
    """What is not of Python must be in pyproject.toml."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    declared = {re.split("[^A-Za-z0-9_-]", line)[0] for line in project["dependencies"]}
    used = {found.name.split(".")[0] for found in find_imports(module)} - set(sys.stdlib_module_names)
    assert used <= {*declared, "unitgen"}


@EVERY_MODULE
def test_only_the_command_line_imports_the_command_line(module: Path) -> None:
    if module.parent.name != "cli" and module.name != "__main__.py":
        assert not any(name.startswith("unitgen.cli") for name in own_imports(module))


@EVERY_MODULE
def test_nothing_imports_the_entry(module: Path) -> None:
    """The generator is where it begins."""
    assert own_imports(module).isdisjoint({"unitgen.generator", "unitgen.__main__"})


@pytest.mark.parametrize(("module", "allowed"), FOUNDATIONS.items())
def test_foundation_imports_nothing_of_ours(module: str, allowed: set[str]) -> None:
    assert own_imports(PACKAGE / f"{module}.py") <= allowed


def test_no_import_goes_round() -> None:
    """Data goes one way."""
    graph = {path.stem: own_imports(path) for path in MODULES if path.parent == PACKAGE}
    done: set[str] = set()
    while ready := [
        name for name, needs in graph.items() if {need.split(".")[-1] for need in needs} <= done
    ]:
        done.update(ready)
        graph = {name: needs for name, needs in graph.items() if name not in done}
        if graph.keys() <= {"__main__"}:
            break
    assert graph.keys() <= {"__main__"}


@EVERY_MODULE
def test_lazy_imports_have_a_reason(module: Path) -> None:
    """Where boot or `unitgen --help` would wait, or where a comment says why."""
    lines = module.read_text().splitlines()
    if name_module(module) in ("generator.py", "cli/__init__.py"):
        return
    for found in find_imports(module):
        if found.lazy:
            assert "# noqa: PLC0415" in lines[found.line - 1]
            assert lines[found.line - 2].strip().startswith("#"), "the reason stands above it"


def test_generator_begins_with_places_alone() -> None:
    found = {found.name for found in find_imports(PACKAGE / "generator.py") if not found.lazy}
    assert found == {"sys", "unitgen.places"}
    assert {found.name for found in find_imports(PACKAGE / "places.py")} == {"os"}


@EVERY_MODULE
def test_every_noqa_names_its_rule(module: Path) -> None:
    for line in module.read_text().splitlines():
        assert "type: ignore" not in line
        assert "noqa" not in line or re.search(r"# noqa: [A-Z]+[0-9]+", line)


@EVERY_MODULE
def test_module_is_not_too_long(module: Path) -> None:
    lines = len(module.read_text().splitlines())
    assert lines <= LONGEST_MODULE or module.name == "keys.py"


@EVERY_MODULE
def test_only_the_edge_prints_and_exits(module: Path) -> None:
    """Everything else returns what is to be said."""
    calls = [node.func for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]
    names = {call.id for call in calls if isinstance(call, ast.Name)}
    exits = {call.attr for call in calls if isinstance(call, ast.Attribute)} & {"exit", "_exit", "abort"}
    if module.parent.name != "cli" and module.name not in ("generator.py", "kmsg.py", "__main__.py"):
        assert names.isdisjoint({"print", "exit", "quit", "input", "breakpoint"})
        assert not exits


@EVERY_MODULE
def test_module_says_what_it_is_for(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text()))


def read_table(first: str) -> str:
    """The table of CONTRIBUTING.md whose first column is headed so."""
    return (CHECKOUT / "CONTRIBUTING.md").read_text().partition(f"| {first} |")[2].partition("\n\n")[0]


def test_modules_are_those_of_the_plan_of_the_house() -> None:
    """CONTRIBUTING.md lists every one."""
    rows = read_table("module").splitlines()[2:]
    listed = set(re.findall(r"`([a-z_]+)/?`", " ".join(row.split("|")[1] for row in rows)))
    there = {path.stem for path in MODULES if path.parent == PACKAGE} - {"__init__", "__main__"} | {"cli"}
    assert listed == there


def test_table_of_rooms_has_the_imports_that_there_are() -> None:
    """The third column, for the modules that have a row of their own."""
    rows = re.findall(r"^\| `([a-z_]+)` \|.*\| ([^|]*) \|$", read_table("module"), re.MULTILINE)
    assert len(rows) > 30
    for module, listed in rows:
        found = {name.removeprefix("unitgen.") for name in own_imports(PACKAGE / f"{module}.py")}
        assert set(re.findall(r"`([a-z_]+)`", listed)) == found, module


def test_package_takes_in_every_module_and_template() -> None:
    tools = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert set(tools["packages"]) == {
        ".".join(path.parent.relative_to(CHECKOUT).parts) for path in PACKAGE.glob("**/__init__.py")
    }
    assert (PACKAGE / "templates").resolve() == CHECKOUT / "templates"
    patterns = tools["package-data"]["unitgen"]
    shipped = [
        name for name in TEMPLATES if any(fnmatch(f"templates/{name}", pattern) for pattern in patterns)
    ]
    assert shipped == TEMPLATES


def test_every_template_is_used() -> None:
    """By a plan, or by another template."""
    sources = "".join(
        path.read_text() for path in [PACKAGE / "plan.py", *(CHECKOUT / "templates").iterdir()]
    )
    assert [name for name in TEMPLATES if f'"{name.removesuffix(".j2")}"' not in sources] == []


@pytest.fixture(name="installed", scope="module")
def fixture_installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What packaging/install puts into an empty folder; as root and as a builder of packages."""
    folder = tmp_path_factory.mktemp("installed")
    command = [str(CHECKOUT / "packaging/install"), str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=60, cwd="/")
    return folder


def test_install_takes_all_of_the_package(installed: Path) -> None:
    package = installed / "usr/lib/python3/dist-packages/unitgen"
    there = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()}
    assert there == {*map(name_module, MODULES), *(f"templates/{name}" for name in TEMPLATES)}
    assert not any(path.is_symlink() for path in package.rglob("*"))
    for name in there:
        assert (package / name).read_bytes() == (PACKAGE / name).read_bytes()


def test_install_takes_the_scripts(installed: Path) -> None:
    for path in ("usr/bin/unitgen", "usr/lib/systemd/system-generators/unitgen-generator"):
        assert os.access(installed / path, os.X_OK)
        assert (installed / path).read_text().startswith("#!/")
    assert (installed / "etc/unitgen/containers").is_dir()


def list_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_install_takes_what_the_generated_units_need(installed: Path) -> None:
    """All that stands in packaging/, each where its owner looks for it; nothing else."""
    packaging = CHECKOUT / "packaging"
    owners = {"units": "systemd/system", "networkd": "systemd/network", "firewalld": "firewalld"}
    places = {
        path: f"usr/lib/{folder}/{path.relative_to(packaging / name)}"
        for name, folder in owners.items()
        for path in list_files(packaging / name)
    }
    assert {path.parent for path in packaging.glob("*/*")} == {packaging / name for name in owners}
    places |= {
        packaging / name: f"usr/lib/unitgen/{name}" for name in ("network", "machine", "keep", "generator")
    }
    assert len(places) > 9
    for path, place in places.items():
        assert (installed / place).read_bytes() == path.read_bytes()
        assert os.access(installed / place, os.X_OK) == os.access(path, os.X_OK)
    ours = {
        str(path.relative_to(installed))
        for path in installed.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    others = {"usr/bin/unitgen", "usr/lib/systemd/system-generators/unitgen-generator"}
    others |= {"usr/lib/unitgen/version"}
    assert {name for name in ours if "dist-packages" not in name} == {*places.values(), *others}


def test_units_run_what_is_installed(installed: Path) -> None:
    """And have the program do something that it can."""
    program = (CHECKOUT / "packaging/network").read_text()
    for unit in list_files(CHECKOUT / "packaging/units"):
        for path, verb in re.findall(r"^Exec\w+=(/\S+) (\S+)", unit.read_text(), re.MULTILINE):
            assert os.access(installed / path.lstrip("/"), os.X_OK)
            assert f"\n    {verb}) " in program


def read_directive(unit: str, key: str) -> set[str]:
    text = (CHECKOUT / "packaging/units" / unit).read_text()
    return {word for value in re.findall(f"^{key}=(.*)$", text, re.MULTILINE) for word in value.split()}


def test_rules_come_back_after_every_firewall_manager(installed: Path) -> None:
    """Each wants an instance that follows it, by a link to what the package installs."""
    for key in ("After", "PartOf", "ReloadPropagatedFrom"):
        assert read_directive("unitgen-firewall@.service", key) == {"%i.service"}
    # Docker waits for networks that are there, and none of its own rules would take ours out.
    links = {path.name: path for path in (installed / UNITS).glob("*.service.wants/*")}
    managers = {name.partition("@")[2] for name in links} - {""}
    assert {"docker.service", "firewalld.service", "ufw.service"} < managers
    assert managers - {"docker.service"} <= read_directive("unitgen-network@.service", "After")
    assert links.keys() == {*(f"unitgen-firewall@{name}" for name in managers), "unitgen-firewalld.service"}
    for path in links.values():
        assert path.resolve().is_file()


def test_every_container_wants_its_network() -> None:
    """The drop-in of the vendor's template does: the unit would otherwise go while the container runs."""
    (wanted,) = read_directive("systemd-nspawn@.service.d/00-unitgen.conf", "Wants")
    assert wanted == "unitgen-network@%i.service"
    assert read_directive("unitgen-network@.service", "StopWhenUnneeded") == {"yes"}
    # It is there for containers without a spec too, and must then do nothing.
    glob = "/run/systemd/generator*/unitgen-network@%i.service.d"
    assert read_directive("unitgen-network@.service", "ConditionPathExistsGlob") == {glob}


def test_network_program_knows_every_word_that_it_is_told(tmp_path: Path) -> None:
    """A word that only one of the two knows has been renamed in one place."""
    folder = tmp_path / "etc/unitgen/containers"
    folder.mkdir(parents=True)
    (folder / "web.ini").write_text("[Network]\nPort=8080:80\nDNS=192.0.2.53\n")
    (folder / "lab.ini").write_text("[Network]\nBridge=br-lab\nBridgeAddress=10.80.0.1/24\n")
    (folder / "cable.ini").write_text("[Network]\nInterface=eth1\n")
    outcomes = run_pipeline(str(tmp_path), Host(252)).outcomes
    texts = [file.text for outcome in outcomes for file in outcome.files if "@" in file.path]
    told = set(re.findall('^Environment="?([A-Z0-9]+)=', "\n".join(texts), re.MULTILINE))
    assert {"ADDRESS4", "LOOPBACK6", "NEEDED", "ADDRESSES", "SPEC"} <= told
    program = (CHECKOUT / "packaging/network").read_text()
    read = set(re.findall(r"\$\{?([A-Z][A-Z0-9]*)", program)) - {"PATH"}
    assert read == told


SCRIPTS = sorted(
    path
    for folder in (CHECKOUT, CHECKOUT / "packaging")
    for path in folder.iterdir()
    if path.is_file() and path.read_bytes().startswith(b"#!/bin/sh")
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shell_script_is_strict_and_of_posix(script: Path) -> None:
    """`sh` of Debian is dash, which refuses what only bash knows. The generator decides by what fails."""
    options = "u" if script.name == "unitgen-generator" else "eu"
    assert re.search(f"^set -{options}( |$)", script.read_text(), re.MULTILINE)
    subprocess.run(["/bin/sh", "-n", script], check=True, timeout=60)


def test_shell_scripts_are_those_that_are_known() -> None:
    assert {path.name for path in SCRIPTS} == {
        *("run", "install", "network", "machine", "keep", "unitgen-generator")
    }


def test_contributing_lists_what_is_in_packaging() -> None:
    listed = read_table("file of `packaging/`")
    patterns = [
        name for row in listed.splitlines()[2:] for name in re.findall("`([^`]+)`", row.split("|")[1])
    ]
    names = [
        str(path.relative_to(CHECKOUT / "packaging"))
        for path in (CHECKOUT / "packaging").rglob("*")
        if path.is_file()
    ]
    assert [name for name in names if not any(fnmatch(name, pattern) for pattern in patterns)] == []
    assert [pattern for pattern in patterns if not any(fnmatch(name, pattern) for name in names)] == []


def test_nobody_else_may_change_what_is_installed(installed: Path) -> None:
    """It runs as root, and a spec folder of which others may write is refused."""
    for path in installed.rglob("*"):
        assert path.is_symlink() or path.lstat().st_mode & 0o022 == 0, path
        assert path.lstat().st_uid == os.geteuid(), path


def test_second_install_leaves_no_removed_module(installed: Path) -> None:
    stale = installed / "usr/lib/python3/dist-packages/unitgen/gone.py"
    stale.touch()
    subprocess.run([str(CHECKOUT / "packaging/install"), str(installed)], check=True, timeout=60)
    assert not stale.exists()


@pytest.mark.parametrize("arguments", [[], ["/nowhere/at/all"], ["/", "/"]])
def test_install_wants_one_folder(arguments: list[str]) -> None:
    command = [str(CHECKOUT / "packaging/install"), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert "usage" in result.stderr


def test_installed_package_runs(installed: Path, tmp_path: Path) -> None:
    """Of the checkout nothing is needed."""
    packages = str(installed / "usr/lib/python3/dist-packages")
    script = f"import sys; sys.path.insert(0, {packages!r}); sys.argv[0] = 'unitgen-generator'\n"
    script += (installed / "usr/lib/unitgen/generator").read_text()
    script = script.replace("main(sys.argv)", "main(sys.argv[:2], sys.argv[2])")
    folder = tmp_path / "root/etc/unitgen/containers"
    folder.mkdir(parents=True)
    (folder / "web.ini").write_text("[Exec]\nBoot=yes\n")
    command = [sys.executable, "-I", "-B", "-c", script, str(tmp_path / "out"), str(tmp_path / "root")]
    assert subprocess.run(command, timeout=60, cwd="/").returncode == 0
    assert (tmp_path / "out/systemd-nspawn@web.service.d/10-unitgen-override.conf").exists()
