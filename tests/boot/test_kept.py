"""The last run, kept: reloads and boots without Python, specs that break, no container without its units.

The module has hosts of its own: those that others share have a broken spec, with which nothing is put back
whole, and here is much that a host should not have to suffer.
"""

import contextlib
import re
import sys
from collections.abc import Iterator

import pytest

from tests.boot.conftest import SUITES, furnish
from tests.boot.inside import CLEAN, leader, show, start, stop, wait_for_payload
from tests.testbed.containers import Container, Containers, spec_path, unit
from tests.testbed.host import Host, NspawnHost
from tests.testbed.vm import VmHost

LOOP = "[Exec]\nProcessTwo=yes\nParameters=sleep infinity\n"
LIMITS = "[Service]\nMemoryMax=64M\nTasksMax=50\n"
LIMITED = {"MemoryMax": "67108864", "TasksMax": "50"}
OUT = "/run/systemd/generator"
KEPT = "/run/unitgen/kept"
SAVED = "/var/cache/unitgen/kept"
LAUNCHER = "/usr/lib/systemd/system-generators/unitgen-generator"
ENTRY = "/usr/lib/unitgen/generator"
RAN = "/run/python-ran"

KEPT_SPECS = {
    "kept-web": Container(LOOP + LIMITS),
    "kept-full": Container("[Container]\nUnit=full\n" + LOOP + LIMITS),
    "kept-off": Container("[Container]\nAutostart=no\n" + LOOP),
    "kept-vendor": Container(None),
    "kept-masked": Container(""),
}
VM_SPECS = {"kept-vm": Container(LOOP + LIMITS)}
LOOK = (
    "cd {} && find . -mindepth 1 -printf '%P %y %m %l\\n' | sort && find . -type f -exec b2sum {{}} + | sort"
)


@pytest.fixture(name="host", scope="module", params=SUITES)
def fixture_host(request: pytest.FixtureRequest) -> Iterator[NspawnHost]:
    """A host of this module's own, which tells whether Python was needed."""
    with NspawnHost(request.param) as host:
        furnish(host, [sys.modules[__name__]], prefix="kept_")
        first, rest = host.read(ENTRY).split("\n", 1)
        host.write(ENTRY, f'{first}\nopen("{RAN}", "a").close()\n{rest}', 0o755)
        host.boot()
        yield host


def look(host: Host, folder: str = OUT) -> str:
    """Names, kinds, modes, link targets and contents in a folder."""
    return host.run(LOOK.format(folder)).stdout


def reload(host: Host) -> bool:
    """Have systemd run the generators; True if that took Python."""
    host.run(["rm", "-f", RAN])
    host.run("systemctl daemon-reload")
    return host.run(["test", "-e", RAN], check=False).returncode == 0


def edit(host: Host, name: str, text: str) -> None:
    """Change a spec, and have systemd know."""
    host.write(spec_path(name), text)
    host.run("systemctl daemon-reload")


# Reload and boot


def test_reload_without_a_change_takes_no_python(host: NspawnHost) -> None:
    reload(host)
    before = look(host)
    assert not reload(host)
    assert look(host) == before
    host.run(["rm", "-r", KEPT])
    host.run(["rm", "-rf", SAVED])
    assert reload(host)
    assert look(host) == before


def test_reload_after_a_change_takes_python_once(host: NspawnHost) -> None:
    text = host.read(spec_path("kept-off"))
    host.write(spec_path("kept-off"), text + "[Service]\nMemoryMax=10M\n")
    assert reload(host)
    assert not reload(host)
    assert show(host, "kept-off", "MemoryMax") == {"MemoryMax": str(10 << 20)}
    host.write(spec_path("kept-off"), text)
    assert reload(host)


def test_boot_without_a_change_takes_no_python(host: NspawnHost) -> None:
    """There is none at that boot: all containers are there, as they were."""
    wait_until_saved(host)
    before = {name: show_settings(host, name) for name in KEPT_SPECS}
    with without_python(host):
        host.reboot()
        assert show(host, "kept-web", "ActiveState") == {"ActiveState": "active"}
        assert show(host, "kept-full", "ActiveState") == {"ActiveState": "active"}
        assert show(host, "kept-off", "ActiveState") == {"ActiveState": "inactive"}
        assert {name: show_settings(host, name) for name in KEPT_SPECS} == before
    assert host.run(f"ls {KEPT}", check=False).returncode, "there was nothing to keep"


def show_settings(host: Host, name: str) -> dict[str, str]:
    """What systemd has loaded for a container, without when it was started and as what."""
    shown = show(host, name, "MemoryMax", "TasksMax", "Wants", "After")
    command = show(host, name, "ExecStart")["ExecStart"].partition(" ; ignore_errors")[0]
    return {key: " ".join(sorted(value.split())) for key, value in shown.items()} | {"ExecStart": command}


def wait_until_saved(host: Host) -> None:
    """Wait until what is kept is saved for the next boot."""
    saved = f"[ ! -e {KEPT} ] || diff -r --no-dereference {KEPT} {SAVED}"
    host.wait_until(f"{{ {saved}; }} && systemctl is-active unitgen-keep.service | grep -x inactive")


@contextlib.contextmanager
def without_python(host: Host) -> Iterator[None]:
    """Take Python away, as an upgrade does for a moment."""
    program = host.run(["readlink", "-f", "/usr/bin/python3"]).stdout.strip()
    host.run(["mv", program, f"{program}.away"])
    try:
        yield
    finally:
        host.run(["mv", f"{program}.away", program])


def test_boot_after_a_change_takes_it_up(host: NspawnHost) -> None:
    wait_until_saved(host)
    text = host.read(spec_path("kept-web"))
    host.write(spec_path("kept-web"), text.replace("TasksMax=50", "TasksMax=51"))
    host.reboot()
    assert show(host, "kept-web", "TasksMax", "ActiveState") == {"TasksMax": "51", "ActiveState": "active"}
    assert host.run(["test", "-e", RAN]).returncode == 0
    edit(host, "kept-web", text)


def test_boot_with_what_somebody_else_has_saved(host: NspawnHost) -> None:
    """It is made anew, and in the end saved again."""
    wait_until_saved(host)
    before = look(host)
    host.run(["rm", "-rf", KEPT])
    host.run(f"sed -i s/TasksMax=50/TasksMax=5000/ {SAVED}/tree/*/*.conf; chown -R 1000 {SAVED}")
    host.reboot()
    assert host.run(["test", "-e", RAN]).returncode == 0
    assert look(host) == before
    wait_until_saved(host)
    assert host.run(["stat", "-c", "%u %a", SAVED]).stdout == "0 1700\n"


# What saves it


def test_what_changes_is_saved(host: NspawnHost) -> None:
    """One change, several at once, and by whatever service; none of these runs fails."""
    text = host.read(spec_path("kept-off"))
    host.run("systemctl reset-failed")
    for number in range(10):
        edit(host, "kept-off", text + f"[Service]\nMemoryMax={number + 1}M\n")
    edit(host, "kept-off", text)
    wait_until_saved(host)
    assert host.run("systemctl is-failed unitgen-keep.service unitgen-keep.path", check=False).returncode
    assert host.run("ls -A /var/cache/unitgen").stdout == "kept\n"
    assert look(host, f"{KEPT}/tree") == look(host, f"{SAVED}/tree")


def test_save_that_was_cut_short_is_done_again(host: NspawnHost) -> None:
    wait_until_saved(host)
    host.run(f"cd {SAVED}/.. && cp -a kept new && rm new/seal && mv kept old && rm -r {KEPT}")
    assert reload(host)
    wait_until_saved(host)
    assert host.run("ls -A /var/cache/unitgen").stdout == "kept\n"


def test_units_that_save_are_sound(host: NspawnHost) -> None:
    result = host.run("systemd-analyze verify --man=no unitgen-keep.service unitgen-keep.path", check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")
    report = host.run("systemd-analyze security --no-pager unitgen-keep.service").stdout
    exposure = re.search(r"Overall exposure level for unitgen-keep.service: ([0-9.]+)", report)
    assert exposure and float(exposure[1]) <= 3


# Specs that break


@pytest.mark.parametrize("full", ["", "[Container]\nUnit=full\n"], ids=["drop-in", "full"])
def test_spec_that_breaks_while_its_container_runs(
    full: str, host: NspawnHost, containers: Containers
) -> None:
    """It has its limits, can be stopped and started, and says what is wrong; until that is mended."""
    name = containers.add(Container(full + LOOP + LIMITS))
    start(host, name)
    before, known = leader(host, name), show_settings(host, name)
    for fault in ("[Service]\nMemoryMax=much\n", "[Nonsense]\n", "[Exec]\nBoot=ture\n"):
        edit(host, name, full + LOOP + fault)
        assert leader(host, name) == before
        assert show_settings(host, name) == known
        assert_told(host, name, (full + LOOP + fault).count("\n"))
    assert stop(host, name) == CLEAN
    start(host, name)
    assert show(host, name, "MemoryMax", "TasksMax") == LIMITED
    edit(host, name, full + LOOP + LIMITS.replace("50", "51"))
    assert show(host, name, "TasksMax", "Description") == {
        "TasksMax": "51",
        "Description": f"Container {name}",
    }


def assert_told(host: Host, name: str, line: int) -> None:
    """File and line are where one looks for them."""
    place = f"{spec_path(name)}:"
    status = host.run(["systemctl", "status", "--full", "--lines=0", unit(name)], check=False).stdout
    assert f"Container {name} is as it was before this: {place}" in status
    listed = host.run("unitgen list").stdout
    assert re.search(rf"^{name} +kept ", listed, re.M)
    assert re.search(rf"^  {re.escape(place)}({line - 1}|{line}): error: ", listed, re.M)


def test_broken_spec_after_a_reboot(host: NspawnHost, containers: Containers) -> None:
    """The container starts as it was, with what was saved."""
    name = containers.add(Container(LOOP + LIMITS))
    edit(host, name, LOOP + "[Service]\nMemoryMax=much\n")
    wait_until_saved(host)
    host.reboot()
    assert show(host, name, "ActiveState") == {"ActiveState": "active"}
    assert show(host, name, "MemoryMax", "TasksMax") == LIMITED
    assert_told(host, name, 5)


def test_spec_that_never_was_sound(host: NspawnHost, containers: Containers) -> None:
    name = containers.add(Container(LOOP + "Boot=ture\n"))
    assert host.run(["systemctl", "start", unit(name)], check=False).returncode == 1
    assert show(host, name, "ExecMainStatus", "SubState") == {"ExecMainStatus": "78", "SubState": "failed"}
    edit(host, name, LOOP)
    start(host, name)


def test_stub_for_those_who_ask(host: NspawnHost, containers: Containers) -> None:
    """WhenBroken=stub: what runs goes on, and nothing starts."""
    name = containers.add(Container("[Container]\nWhenBroken=stub\n" + LOOP))
    start(host, name)
    before = leader(host, name)
    edit(host, name, "[Container]\nWhenBroken=stub\n" + LOOP + "Boot=ture\n")
    assert leader(host, name) == before
    assert stop(host, name) == CLEAN
    assert host.run(["systemctl", "start", unit(name)], check=False).returncode == 1
    assert show(host, name, "ExecMainStatus") == {"ExecMainStatus": "78"}


# Python that does not work

MODULES = "/usr/lib/python3/dist-packages"
UPGRADES = {
    "Python is away": "p=$(readlink -f /usr/bin/python3); mv $p $p.away",
    "Python may not be run": "chmod -x $(readlink -f /usr/bin/python3)",
    "unitgen is away": f"mv {MODULES}/unitgen {MODULES}/unitgen.away",
    "a module is cut short": f"cp {MODULES}/unitgen/plan.py /root/; echo 'def' >>{MODULES}/unitgen/plan.py",
    "jinja2 is away": f"mv {MODULES}/jinja2 {MODULES}/jinja2.away",
}
REPAIR = f"""
p=$(readlink -f /usr/bin/python3); [ ! -e $p.away ] || mv $p.away $p; chmod +x $p
for name in unitgen jinja2; do [ ! -e {MODULES}/$name.away ] || mv {MODULES}/$name.away {MODULES}/$name; done
[ ! -e /root/plan.py ] || mv /root/plan.py {MODULES}/unitgen/plan.py
"""


@pytest.mark.parametrize("upgrade", UPGRADES)
def test_reload_in_the_middle_of_an_upgrade(upgrade: str, host: NspawnHost) -> None:
    """Containers keep their units and limits, changes wait, and the journal has it; then all is right."""
    before, text = look(host), host.read(spec_path("kept-web"))
    cursor = host.run("journalctl --lines=0 --show-cursor").stdout.partition("-- cursor: ")[2].strip()
    try:
        host.run(UPGRADES[upgrade])
        edit(host, "kept-web", text.replace("64M", "65M"))
        assert look(host) == before
        assert show(host, "kept-web", "MemoryMax", "TasksMax") == LIMITED
        assert show(host, "kept-web", "ActiveState") == {"ActiveState": "active"}
    finally:
        host.run(REPAIR)
    logged = host.run(["journalctl", f"--after-cursor={cursor}", "--output=cat"]).stdout
    assert logged.replace("'", "").count("unitgen-generator failed with exit status 1.") == 1
    edit(host, "kept-web", text)
    assert look(host) == before
    assert not reload(host)


# No container without its units


@pytest.fixture
def no_generator(host: NspawnHost) -> Iterator[None]:
    """The generator is masked, and so no container has what is generated for it."""
    host.run("mkdir -p /etc/systemd/system-generators")
    host.run("ln -s /dev/null /etc/systemd/system-generators/unitgen-generator")
    host.run(["systemctl", "stop", unit("kept-web"), unit("kept-full")], timeout=150)
    host.run("systemctl daemon-reload")
    yield
    host.run("rm /etc/systemd/system-generators/unitgen-generator")
    host.run("systemctl daemon-reload; systemctl reset-failed")
    host.run(["systemctl", "start", unit("kept-web"), unit("kept-full")])


@pytest.mark.usefixtures("no_generator")
@pytest.mark.parametrize("name", ["kept-web", "kept-full", "kept-off", "kept-masked"])
def test_without_its_units_no_container_starts(name: str, host: NspawnHost) -> None:
    """The vendor's settings do not take their place, by whatever command."""
    for command in (["systemctl", "start", unit(name)], ["machinectl", "start", name]):
        assert host.run(command, check=False).returncode
    assert show(host, name, "ActiveState", "AssertResult") == {
        "ActiveState": "inactive",
        "AssertResult": "no",
    }


@pytest.mark.usefixtures("no_generator")
def test_without_a_spec_the_vendor_decides(host: NspawnHost) -> None:
    """The assertion is only for those that have one."""
    assert start_as_vendor(host, "kept-vendor")["AssertResult"] == "yes"


def test_masked_spec_leaves_it_to_the_vendor(host: NspawnHost) -> None:
    """Which is what a mask is for."""
    shown = start_as_vendor(host, "kept-masked")
    assert shown["AssertResult"] == "yes"
    assert "--network-veth" in shown["ExecStart"]


def start_as_vendor(host: Host, name: str) -> dict[str, str]:
    """Start a container without waiting for what becomes of it: the init of a tiny tree knows no systemd."""
    host.run(["systemctl", "start", unit(name)], check=False)
    shown = show(host, name, "AssertResult", "ExecStart")
    host.run(["systemctl", "kill", "--signal=KILL", unit(name)], check=False)
    host.wait_until(f"! systemctl is-active {unit(name)}")
    host.run(["systemctl", "reset-failed", unit(name)], check=False)
    return shown


# A machine, whose limits bite


def read_group(vm: VmHost, file: str) -> str:
    return vm.read(f"/sys/fs/cgroup/machine.slice/{unit('kept-vm')}/{file}").strip()


def test_limits_stay_when_a_spec_breaks(vm: VmHost) -> None:
    """Not in what systemd shows only: in the kernel."""
    wait_for_payload(vm, "kept-vm")
    for text in (LOOP + "[Service]\nMemoryMax=much\n", "", LOOP + LIMITS):
        edit(vm, "kept-vm", text)
        if text:
            assert (read_group(vm, "memory.max"), read_group(vm, "pids.max")) == (str(64 << 20), "50")


def test_limits_stay_without_python(vm: VmHost) -> None:
    """That what there was is put back is logged to the kernel, and so to the journal."""
    with without_python(vm):
        edit(vm, "kept-vm", LOOP)
        assert read_group(vm, "memory.max") == str(64 << 20)
    logged = vm.run("journalctl --boot --identifier=unitgen --priority=err --output=cat").stdout
    assert "the generator has failed; containers are as they were at its last run" in logged
    edit(vm, "kept-vm", LOOP + LIMITS)
    assert read_group(vm, "memory.max") == str(64 << 20)


def test_clock_that_is_set_back(vm: VmHost) -> None:
    """Nothing goes by time: what changes is taken up, and what was kept is not."""
    now = vm.run("date +%s").stdout.strip()
    vm.run("date -s '2001-01-01'")
    try:
        edit(vm, "kept-vm", LOOP + LIMITS.replace("64M", "60M"))
        assert read_group(vm, "memory.max") == str(60 << 20)
        edit(vm, "kept-vm", LOOP + LIMITS)
        assert read_group(vm, "memory.max") == str(64 << 20)
    finally:
        vm.run(f"date -s @{now}")
