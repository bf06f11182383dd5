"""What only a whole machine shows: limits that bite, early boot with a separate /var, a real reboot."""

from tests.boot.inside import leader, read_words, run_inside, show
from tests.testbed.containers import Container, spec_path, unit
from tests.testbed.vm import VmHost

LOOP = "[Exec]\nProcessTwo=yes\nParameters=sleep infinity\n"

VM_SPECS = {
    "measured": Container(
        LOOP + "OOMScoreAdjust=300\nLimitNOFILE=1000:2000\n"
        "[Service]\nMemoryMax=64M\nMemoryHigh=50%\nCPUQuota=30%\nTasksMax=50\nCPUShares=2048\n"
    ),
    "crowded": Container(
        "[Exec]\nProcessTwo=yes\nParameters=sh -c 'crowd; exec sleep infinity'\n[Service]\nTasksMax=20\n",
        files={"/usr/bin/crowd": "#!/bin/sh\nfor i in $(seq 60); do sleep 1000 & done\n"},
    ),
    "greedy": Container(
        "[Exec]\nProcessTwo=yes\n"
        "Parameters=sh -c 'dd if=/dev/zero of=/dev/null bs=64M count=1; exec sleep infinity'\n"
        "[Service]\nMemoryMax=32M\nMemorySwapMax=0\n"
    ),
    "disks": Container(
        LOOP + "PrivateUsers=no\n[Files]\nBind=/dev/vda\nBindReadOnly=/dev/vdb\nBind=/dev:/host-dev\n"
        "[Service]\nMemoryLimit=200M\n"
    ),
    "mistyped": Container("[Exec]\nBoot=ture\n"),
    "booted": Container("[Container]\nDescription=A guest in a machine\n", tree="guest"),
}


def read_group(vm: VmHost, name: str, file: str) -> str:
    """A file of the cgroup of the container's service."""
    return vm.read(f"/sys/fs/cgroup/machine.slice/{unit(name)}/{file}").strip()


def test_limits_are_in_the_cgroup(vm: VmHost) -> None:
    """Use case 17, old names included."""
    assert read_group(vm, "measured", "memory.max") == str(64 << 20)
    assert read_group(vm, "measured", "memory.high") != "max"
    assert read_group(vm, "measured", "cpu.max") == "30000 100000"
    assert read_group(vm, "measured", "pids.max") == "50"
    assert read_group(vm, "measured", "cpu.weight") == "200"


def test_open_files_limit_and_oom_score_reach_the_payload(vm: VmHost) -> None:
    """Use case 18."""
    limits = run_inside(vm, "measured", "sed -n 's/^Max open files *//p' /proc/2/limits")
    assert limits.split()[:2] == ["1000", "2000"]
    assert run_inside(vm, "measured", "cat /proc/2/oom_score_adj").strip() == "300"


def test_task_limit_bites(vm: VmHost) -> None:
    """Sixty processes are asked for, with nspawn's own at most twenty are there."""
    group = f"/sys/fs/cgroup/machine.slice/{unit('crowded')}"
    vm.wait_until(f"cat {group}/pids.events {group}/payload/pids.events | grep -v ' 0$'", timeout=60)
    assert int(read_group(vm, "crowded", "pids.current")) <= 20


def test_memory_limit_bites(vm: VmHost) -> None:
    events = f"/sys/fs/cgroup/machine.slice/{unit('greedy')}/memory.events"
    vm.wait_until(f"grep -E '^oom_kill [1-9]' {events}", timeout=60)


def test_bound_devices_and_no_others_can_be_opened(vm: VmHost) -> None:
    """DevicePolicy=closed of the template, with a DeviceAllow= for what is bound by name, as it is bound."""
    assert read_group(vm, "disks", "memory.max") == str(200 << 20)
    enter = f"cd / && exec nsenter --target={leader(vm, 'disks')} --all --"
    group = f"/sys/fs/cgroup/machine.slice/{unit('disks')}/cgroup.procs"
    inside = f"echo $$ >{group.replace('cgroup.procs', 'payload/cgroup.procs')}; {enter}"
    assert vm.run(f"{inside} head -c 1 /dev/vda", check=False).returncode == 0
    assert vm.run(f"{inside} head -c 1 /dev/vdb", check=False).returncode == 0
    assert "not permitted" in vm.run(f"{inside} sh -c ': >/host-dev/vdb'", check=False).stderr
    assert "not permitted" in vm.run(f"{inside} head -c 1 /host-dev/kmsg", check=False).stderr


def test_problems_are_in_the_kernel_log_and_journal(vm: VmHost) -> None:
    """The generator has no other way to be heard at boot."""
    logged = vm.run("journalctl --boot --identifier=unitgen --output=cat").stdout
    assert "mistyped.ini:2: error: [Exec] Boot=: 'ture' is not a boolean; write yes or no" in logged
    priorities = vm.run("journalctl --boot --identifier=unitgen --priority=err --output=cat").stdout
    assert "mistyped.ini:2" in priorities


def test_last_problem_is_in_the_journal_at_once(vm: VmHost) -> None:
    """The kernel holds back a record that might be continued until the next one comes."""
    vm.write(spec_path("zz-last"), "[Exec]\nBoot=ture\n")
    vm.run("systemctl daemon-reload")
    vm.wait_until("journalctl --boot --identifier=unitgen --output=cat | grep zz-last.ini:2", timeout=20)
    vm.run(f"rm {spec_path('zz-last')} && systemctl daemon-reload")


def test_containers_are_back_after_a_real_reboot(vm: VmHost) -> None:
    """The generator runs before /var, a file system of its own, is there."""
    vm.reboot()
    for name in ("measured", "crowded", "booted"):
        vm.wait_until(f"systemctl is-active {unit(name)}", timeout=90)
    machines = vm.run("machinectl list --no-legend").stdout
    assert {"measured", "crowded", "booted"} <= {line.split()[0] for line in machines.splitlines()}
    assert show(vm, "mistyped", "ActiveState") == {"ActiveState": "failed"}
    assert "var.mount" in show(vm, "booted", "After")["After"]
    assert vm.run("findmnt --noheadings --output=SOURCE /var").stdout == "/dev/vdb\n"
    assert unit("booted") in vm.run("systemd-cgtop --batch --iterations=2 --depth=9 --delay=3").stdout
    assert read_words(vm, "measured", "/proc/2/cmdline") == ["sleep", "infinity"]
    assert leader(vm, "measured")
