"""The testbed: real systemd hosts, as nspawn containers and virtual machines, for the tests that boot."""
