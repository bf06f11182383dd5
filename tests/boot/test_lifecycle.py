"""From start to stop, and back again: what systemctl and machinectl do to containers made from specs."""

from tests.boot.inside import (
    CLEAN,
    leader,
    read_words,
    run_inside,
    show,
    start,
    stop,
    wait_for_payload,
    wait_until_booted,
)
from tests.testbed.containers import Container, Containers, spec_path, unit
from tests.testbed.host import Host, NspawnHost

LOOP = "[Exec]\nProcessTwo=yes\nParameters=sleep infinity\n"

SPECS = {
    "broken": Container("[Exec]\nBoot=ture\n[Fils]\n"),
    "odd-masked": Container("[Container]\n"),
    "app": Container("[Container]\nRequires=store\nAfter=store\n" + LOOP),
    "store": Container(LOOP),
    "vendor": Container(None),
}


def prepare(host: Host) -> None:
    """Specs that are no plain file in /etc."""
    masked = host.tree / spec_path("odd-masked").lstrip("/")
    masked.rename(masked.with_suffix(".was"))
    masked.symlink_to("/dev/null")
    host.write("/usr/lib/unitgen/containers/vendor.ini", LOOP)


def test_broken_spec_is_a_failed_service_that_says_why(host: NspawnHost) -> None:
    """A typo is seen where one looks, and hurts nobody else."""
    status = host.run(["systemctl", "status", unit("broken")], check=False).stdout
    assert "broken.ini:2: error: [Exec] Boot=: 'ture' is not a boolean; write yes or no" in status
    assert "did you mean [Files]?" in status
    assert "status=78" in status
    assert show(host, "broken", "ActiveState", "LoadState") == {
        "ActiveState": "failed",
        "LoadState": "loaded",
    }
    assert show(host, "store", "ActiveState") == {"ActiveState": "active"}
    assert "broken" not in host.run("machinectl list --no-legend").stdout


def list_made(host: NspawnHost, name: str) -> list[str]:
    """The names of what the generator has made of a spec."""
    command = f"find /run/systemd/generator -path '*{unit(name)}*' ! -type d -printf '%f\\n'"
    return host.run(command).stdout.split()


def test_masked_spec_is_not_there(host: NspawnHost) -> None:
    """But that the vendor's unit may be started, which it may not for any other spec."""
    assert list_made(host, "odd-masked") == ["10-unitgen-release.conf"]
    listed = host.run("unitgen list").stdout
    assert [line.split()[1] for line in listed.splitlines() if line.startswith("odd-masked")] == ["masked"]


def test_vendor_spec_runs_until_it_is_masked(host: NspawnHost) -> None:
    """A spec of a package runs; a link to /dev/null in /etc takes it away."""
    assert show(host, "vendor", "ActiveState") == {"ActiveState": "active"}
    host.run(["ln", "-s", "/dev/null", spec_path("vendor")])
    host.run("systemctl daemon-reload")
    assert list_made(host, "vendor") == ["10-unitgen-release.conf"]
    host.run(["rm", spec_path("vendor")])
    host.run("systemctl daemon-reload")
    assert show(host, "vendor", "SourcePath") == {"SourcePath": "/usr/lib/unitgen/containers/vendor.ini"}


def test_required_container_comes_along(host: NspawnHost) -> None:
    """Requires= and After= by bare names: started before, and stopped with it."""
    assert stop(host, "store") == CLEAN
    assert show(host, "app", "ActiveState") == {"ActiveState": "inactive"}
    start(host, "app")
    assert show(host, "store", "ActiveState") == {"ActiveState": "active"}
    stamps = [
        int(show(host, name, "ActiveEnterTimestampMonotonic").popitem()[1]) for name in ("store", "app")
    ]
    assert stamps == sorted(stamps)


def test_machinectl_drives_a_guest(host: NspawnHost, containers: Containers) -> None:
    """Use case 29: start, status, reboot, poweroff, terminate."""
    name = containers.add(Container("[Container]\n", tree="guest"))
    host.run(["machinectl", "start", name])
    wait_until_booted(host, name)
    assert unit(name) in host.run(["machinectl", "status", name]).stdout
    before = leader(host, name)
    host.run(["machinectl", "reboot", name])
    host.wait_until(
        f"leader=$(machinectl show {name} --property=Leader --value) && test $leader != {before}"
    )
    wait_until_booted(host, name)
    host.run(["machinectl", "poweroff", name])
    host.wait_until(f"systemctl is-active {unit(name)} | grep inactive")
    assert show(host, name, "ActiveState", "Result") == CLEAN
    # machinectl, unlike systemctl, does not wait for the end of what is being stopped.
    host.wait_until(f"systemctl is-active unitgen-network@{name} | grep inactive")
    host.run(["machinectl", "start", name])
    host.run(["machinectl", "terminate", name])
    host.wait_until(f"! systemctl is-active {unit(name)}")


def test_tools_that_look_into_a_guest(host: NspawnHost, containers: Containers) -> None:
    """Use cases 29 and 30: a shell, and what takes -M."""
    name = containers.add(Container("[Container]\n", tree="guest"))
    start(host, name)
    wait_until_booted(host, name)
    # A shell ends with its terminal, so it needs one.
    spawn = ["python3", "-c", "import pty, sys; pty.spawn(sys.argv[1:])"]
    host.run([*spawn, "machinectl", "shell", name, "/bin/touch", "/from-a-shell"])
    host.wait_until(f"test -e /var/lib/machines/{name}/from-a-shell")
    assert "graphical.target" in host.run(["systemd-analyze", f"--machine={name}"]).stdout
    assert "Reached target" in host.run(["journalctl", f"--unit={unit(name)}"]).stdout


def test_reboot_inside_restarts_the_container(host: NspawnHost, containers: Containers) -> None:
    """Exit status 133: the whole service goes round, hooks included."""
    name = containers.add(Container("[Container]\n", tree="guest"))
    start(host, name)
    wait_until_booted(host, name)
    before = leader(host, name)
    run_inside(host, name, "systemctl reboot", check=False)
    host.wait_until(
        f"leader=$(machinectl show {name} --property=Leader --value) && test $leader != {before}"
    )
    host.wait_until(f"systemctl is-active {unit(name)}")
    assert show(host, name, "ActiveState", "Result") == {"ActiveState": "active", "Result": "success"}


def test_crash_is_restarted(host: NspawnHost, containers: Containers) -> None:
    name = containers.add(Container(LOOP + "[Service]\nRestart=on-failure\nRestartSec=0\n"))
    start(host, name)
    before = leader(host, name)
    host.run(["kill", "-KILL", before])
    host.wait_until(
        f"leader=$(machinectl show {name} --property=Leader --value) && test $leader != {before}"
    )
    assert show(host, name, "NRestarts") == {"NRestarts": "1"}


def test_service_that_is_always_there(host: NspawnHost, containers: Containers) -> None:
    """Use case 1: a tree anywhere, and Restart=always also after a clean end."""
    place = "/srv/containers/always"
    spec = f"[Container]\nDirectory={place}\n{LOOP}[Service]\nRestart=always\nRestartSec=0\n"
    name = containers.add(Container(spec, place=place))
    start(host, name)
    before = leader(host, name)
    run_inside(host, name, "kill -TERM 2", check=False)
    host.wait_until(
        f"leader=$(machinectl show {name} --property=Leader --value) && test $leader != {before}"
    )
    assert host.run(["machinectl", "show", name, "--property=RootDirectory"]).stdout.strip().endswith(place)


def test_killed_nspawn_is_restarted(host: NspawnHost, containers: Containers) -> None:
    """What it could not clean up does not keep the next one from starting."""
    name = containers.add(Container(LOOP + "[Service]\nRestart=on-failure\nRestartSec=0\n"))
    start(host, name)
    before = leader(host, name)
    host.run(["systemctl", "kill", "--kill-whom=main", "--signal=KILL", unit(name)])
    host.wait_until(
        f"leader=$(machinectl show {name} --property=Leader --value) && test $leader != {before}"
    )
    wait_for_payload(host, name)


def test_stop_right_after_start_is_clean(host: NspawnHost, containers: Containers) -> None:
    """systemd-nspawn is ready before PID 1 of the container takes signals; the stop waits for that."""
    name = containers.add(Container(LOOP))
    for _ in range(3):
        host.run(["systemctl", "start", unit(name)])
        host.run(["systemctl", "stop", unit(name)], timeout=20)
        assert show(host, name, "ActiveState", "Result") == CLEAN


def test_changed_spec_takes_effect_after_reload_and_restart(
    host: NspawnHost, containers: Containers
) -> None:
    name = containers.add(Container(LOOP))
    start(host, name)
    before = leader(host, name)
    host.run(["touch", "--date=now + 1 minute", spec_path(name)])
    assert show(host, name, "NeedDaemonReload") == {"NeedDaemonReload": "yes"}
    host.write(spec_path(name), LOOP + "Environment=CHANGED=yes\n")
    host.run("systemctl daemon-reload")
    assert leader(host, name) == before
    host.run(["systemctl", "restart", unit(name)])
    wait_for_payload(host, name)
    assert "CHANGED=yes" in read_words(host, name, "/proc/2/environ")


def test_spec_that_breaks_leaves_the_running_container_alone(
    host: NspawnHost, containers: Containers
) -> None:
    """With WhenBroken=stub it can be stopped, and not be started again; test_kept has the other way."""
    stub = "[Container]\nWhenBroken=stub\n"
    name = containers.add(Container(LOOP + stub))
    start(host, name)
    before = leader(host, name)
    host.write(spec_path(name), LOOP + "Boot=ture\n" + stub)
    host.run("systemctl daemon-reload")
    assert leader(host, name) == before
    assert show(host, name, "ActiveState") == {"ActiveState": "active"}
    assert stop(host, name) == CLEAN
    assert host.run(["systemctl", "start", unit(name)], check=False).returncode == 1
    host.write(spec_path(name), LOOP)
    host.run("systemctl daemon-reload")
    start(host, name)


def test_systemctl_edit_wins(host: NspawnHost, containers: Containers) -> None:
    """The administrator's override.conf is stronger, and does not replace ours."""
    name = containers.add(Container(LOOP + "[Service]\nTimeoutStopSec=77\n"))
    folder = f"/etc/systemd/system/{unit(name)}.d"
    host.write(f"{folder}/override.conf", "[Service]\nTimeoutStopSec=55\n")
    host.run("systemctl daemon-reload")
    shown = show(host, name, "TimeoutStopUSec", "DropInPaths", "ExecStart")
    assert shown["TimeoutStopUSec"] == "55s"
    assert "10-unitgen-override.conf" in shown["DropInPaths"] and "override.conf" in shown["DropInPaths"]
    assert "--as-pid2" in shown["ExecStart"]
    host.run(["rm", "-r", folder])


def test_set_property_wins_over_the_spec(host: NspawnHost, containers: Containers) -> None:
    name = containers.add(Container(LOOP + "[Service]\nTasksMax=50\n"))
    host.run(["systemctl", "set-property", unit(name), "TasksMax=60"])
    host.run("systemctl daemon-reload")
    assert show(host, name, "TasksMax") == {"TasksMax": "60"}
    host.run(["systemctl", "revert", unit(name)])


def test_stopping_machines_target_stops_all_and_starting_starts(host: NspawnHost) -> None:
    host.run("systemctl stop machines.target", timeout=150)
    host.wait_until('test -z "$(machinectl list --no-legend)"')
    host.run("systemctl start machines.target", check=False, timeout=150)
    host.wait_until("machinectl show store")


def test_list_says_which_of_two_specs_counts(host: NspawnHost, containers: Containers) -> None:
    name = containers.add(Container(LOOP))
    host.write(f"/usr/lib/unitgen/containers/{name}.ini", "[Container]\n")
    assert f"hides /usr/lib/unitgen/containers/{name}.ini" in host.run("unitgen list").stdout
    host.run(["rm", f"/usr/lib/unitgen/containers/{name}.ini"])


def test_generator_leaves_nothing_where_no_spec_is(host: NspawnHost) -> None:
    """Taking all specs away takes all units away."""
    host.run(
        "mkdir /run/aside && mv /etc/unitgen/containers/*.ini /run/aside/"
        " && mv /usr/lib/unitgen/containers /run/vendor"
    )
    host.run("systemctl daemon-reload")
    left = host.run("find /run/systemd/generator -name '*nspawn*' -o -name machines.target").stdout
    host.run(
        "mv /run/aside/*.ini /etc/unitgen/containers/ && rmdir /run/aside"
        " && mv /run/vendor /usr/lib/unitgen/containers"
    )
    host.run("systemctl daemon-reload")
    assert left == ""
