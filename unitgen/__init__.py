"""unitgen: one INI spec per container in, one systemd-nspawn service out."""

__version__ = "0.1.0"
