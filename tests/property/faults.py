"""What is let through and should not be: to be emptied."""

from collections.abc import Mapping

_VERSION = "a value that only later systemds know"
# What is let through and ignored, by directive; the unit starts without it.
FAULTS: Mapping[str, str] = {
    **dict.fromkeys("CPUSchedulingPolicy PrivateTmp ProtectHostname".split(), _VERSION),
}

FAULTY_OPTIONS: Mapping[str, str] = {
    "BindUser": "needs PrivateUsers= up to 257, which is not given here",
}
"""Keys of which values are let through that systemd-nspawn refuses; the container then does not start."""
