"""What is laid over a cable and measured. Each module has classes with one interface, that of cable.Contender."""
import importlib

import cable

MODULES = ("reference", "wireguard", "boringtun", "tailscale", "nebula", "tinc", "openvpn", "ours", "ciphers", "builds")


def all_tunnels():
    """Every class of every module, by name."""
    return {kind.name: kind for module in MODULES for kind in importlib.import_module(f"tunnels.{module}").TUNNELS}


def chosen(names):
    """One of each, in this order."""
    known = all_tunnels()
    return [known[name]() for name in names]


def add_choice(parser, contenders, cases=()):
    """The options that say which cases and which contenders are measured."""
    if cases:
        parser.add_argument("--case", nargs="+", choices=cases, default=list(cases))
    parser.add_argument("--contender", nargs="+", choices=sorted(all_tunnels()), default=list(contenders))
    return parser


def run(name, arguments, body):
    """The bench of this name, with the contenders that were chosen."""
    return cable.run_bench(name, arguments, chosen(arguments.contender), lambda contenders: body(contenders, arguments))
