"""The pages of the documentation, as tests see them."""

# Commands that pages show and that need a host: for each one what its output, with status 0, matches there.
# The specs are those of the page; tests/boot takes them from here.
HOST_COMMANDS = {
    "README.md": {
        'echo "Hello from a container" >/srv/www/index.html': "",
        "machinectl list": r"(?s)MACHINE .*\nweb +container systemd-nspawn .* 10\.77\.20\.170",
        "wget -qO- http://localhost:8080/": r"Hello from a container\n",
    },
    "unitgen-generator.8.md": {"journalctl -b -t unitgen": ""},
    "unitgen-network.7.md": {
        "systemctl status unitgen-network@web.service": r"(?s).*Network of container web\n.*Active: active",
        "getent ahostsv4 web | head -n 1": r"10\.77\.20\.170 +STREAM web\n",
        "wget -qO- http://127.0.0.1:8080/": r"Hello from a container\n",
        "wget -qO- http://[::1]:8080/": r"Hello from a container\n",
        "systemctl try-reload-or-restart 'unitgen-network@*.service'": r"$",
        "systemctl list-units 'unitgen-*'": r"(?s).*unitgen-network@web\.service +loaded active",
        "journalctl -b -u 'unitgen-network@*'": r"(?s).*Finished unitgen-network@web\.service",
    },
    "unitgen.1.md": {
        "SYSTEMD_UNIT_PATH=$PWD/units: systemd-analyze verify --man=no systemd-nspawn@web.service": r"$",
    },
}
