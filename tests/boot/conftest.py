"""Real hosts for the tests of this folder.

A test that takes the `host` fixture runs once per Debian suite; all of them share one booted host per suite.
A module has its say before that boot by two names of its own:

    SPECS = {"web": Container(spec="[Exec]\nBoot=no\n...", tree="tiny")}   # placed under these names
    def prepare(host: Host) -> None: ...                                   # anything else, after that

`VM_SPECS` and `vm_prepare` do the same for the `vm` fixture, `FIREWALLS_SPECS` and `firewalls_prepare` for
`firewalls`. Names of containers are shared by all modules.
What a test needs on a running host it adds by the `containers` fixture, which takes it away again.
"""

import os
import shutil
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.testbed.containers import Containers, place_container
from tests.testbed.host import Host, HostError, NspawnHost
from tests.testbed.vm import VmHost

HERE = Path(__file__).parent
CHECKOUT = HERE.parent.parent
SUITES = os.environ.get("UNITGEN_SUITES", "bookworm trixie").split()
TOOLS = ("debootstrap", "systemd-nspawn", "setpriv", "nsenter", "unshare")
VM_TOOLS = ("qemu-system-x86_64", "mkfs.ext4")


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known, whatever pyproject.toml says."""
    config.addinivalue_line("markers", "boot: boots a real systemd host")
    config.addinivalue_line("markers", "vm: boots a virtual machine; slow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is below this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("boot")
            if uses(item, "vm"):
                item.add_marker("vm")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip where no host can be booted, or fail there if hosts are required."""
    reason = missing([*TOOLS, *VM_TOOLS] if item.get_closest_marker("vm") else TOOLS)
    if not reason:
        return
    if os.environ.get("UNITGEN_REQUIRE_BOOT") == "1":
        pytest.fail(f"{reason}, and UNITGEN_REQUIRE_BOOT=1 is set", pytrace=False)
    pytest.skip(reason)


def missing(tools: list[str] | tuple[str, ...]) -> str:
    """Why no host can be booted here; empty if one can."""
    if os.geteuid() != 0:
        return "booting a host needs root"
    absent = [tool for tool in tools if shutil.which(tool) is None]
    return f"booting a host needs {', '.join(absent)}" if absent else ""


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Show the end of the host's journal with a test that failed."""
    outcome = yield
    report = outcome.get_result()
    host = getattr(item, "funcargs", {}).get(host_fixture(item))
    if report.when == "call" and report.failed and isinstance(host, Host) and host.running:
        journal = host.run("journalctl --boot --no-hostname --lines=60", check=False).stdout
        report.sections.append((f"journal of {host.name}", journal))


@pytest.fixture(scope="session", params=SUITES)
def host(request: pytest.FixtureRequest) -> Iterator[NspawnHost]:
    """The host of the suite, an nspawn container, with unitgen and all modules' containers on it."""
    with NspawnHost(request.param) as host:
        furnish(host, modules(request.session, "host"), prefix="")
        host.boot()
        yield host


@pytest.fixture(scope="session")
def firewalls(request: pytest.FixtureRequest) -> Iterator[NspawnHost]:
    """A host with Docker, firewalld and ufw, none of them started, and all modules' containers for it."""
    with NspawnHost("trixie", kind="firewalls") as host:
        furnish(host, modules(request.session, "firewalls"), prefix="firewalls_")
        host.boot()
        yield host


@pytest.fixture(scope="session")
def vm(request: pytest.FixtureRequest) -> Iterator[VmHost]:
    """The virtual machine, with unitgen and all modules' containers for it."""
    with VmHost("bookworm") as host:
        furnish(host, modules(request.session, "vm"), prefix="vm_")
        host.boot()
        yield host


@pytest.fixture
def containers(request: pytest.FixtureRequest) -> Iterator[Containers]:
    """Containers of one test, on the host that it uses."""
    host = request.getfixturevalue(host_fixture(request.node))
    containers = Containers(host)
    yield containers
    containers.close()


def uses(item: pytest.Item, fixture: str) -> bool:
    """Whether a test takes a fixture, be it by way of another."""
    return isinstance(item, pytest.Function) and fixture in item.fixturenames


def host_fixture(item: pytest.Item) -> str:
    """The fixture that is the host of a test."""
    return next((fixture for fixture in ("vm", "firewalls") if uses(item, fixture)), "host")


def modules(session: pytest.Session, fixture: str) -> list[ModuleType]:
    """The modules, in order, with tests of this run that take the fixture."""
    found = [
        item.module for item in session.items if isinstance(item, pytest.Function) and uses(item, fixture)
    ]
    return list(dict.fromkeys(found))


def furnish(host: Host, modules: list[ModuleType], prefix: str) -> None:
    """Install unitgen on a host that is not booted yet, and what the modules declare for it."""
    subprocess.run([CHECKOUT / "packaging/install", host.tree], check=True)
    owners: dict[str, str] = {}
    for module in modules:
        for name, container in getattr(module, f"{prefix}specs".upper(), {}).items():
            if name in owners:
                raise HostError(f"{module.__name__} and {owners[name]} both declare a container {name!r}")
            owners[name] = module.__name__
            place_container(host, name, container)
    for module in modules:
        if prepare := getattr(module, f"{prefix}prepare", None):
            prepare(host)
