"""What is laid over a cable and measured. Each module has classes with one interface, that of cable.Contender."""
import importlib

MODULES = ("reference", "wireguard", "boringtun", "tailscale", "nebula", "tinc", "openvpn", "ours", "ciphers")


def all_tunnels():
    """Every class of every module, by name."""
    return {kind.name: kind for module in MODULES for kind in importlib.import_module(f"tunnels.{module}").TUNNELS}


def chosen(names):
    """One of each, in this order."""
    known = all_tunnels()
    return [known[name]() for name in names]
