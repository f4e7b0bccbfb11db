"""Access networks: the kinds of NAT that people have, and the rules that count and cut."""
from .ground import POOL4, POOL6
from .host import Host
from .topology import NETWORKS, gateway_of, inside_prefix


def nat_rules(kind, public, inside):
    """nft rules of one NAT by its RFC 4787 name. All drop strange UDP at the box itself: it would take the port that a peer punches."""
    box = 'chain input { type filter hook input priority 0;\n iifname "out" meta l4proto { tcp, udp } drop\n }'
    post = "chain post { type nat hook postrouting priority 100;\n %s\n }"
    simple = {
        "endpoint-independent": 'oifname "out" masquerade',
        "endpoint-independent-any-port": 'oifname "out" meta l4proto udp masquerade to :20000-29999\n oifname "out" masquerade',
        "symmetric": 'oifname "out" masquerade fully-random',
        "address-dependent": 'oifname "out" ip daddr 198.51.100.0/31 meta l4proto udp masquerade to :20000-29999\n'
                             ' oifname "out" ip daddr 198.51.100.2 meta l4proto udp masquerade to :30000-39999\n'
                             ' oifname "out" meta l4proto udp masquerade to :40000-49999\n oifname "out" masquerade',
    }
    if kind in simple:
        return f"table ip nat {{\n {post % simple[kind]}\n {box}\n}}\n"
    keys = {
        "full-cone": ("inet_service", "udp dport", "udp sport"),
        "address-restricted": ("ipv4_addr . inet_service", "ip saddr . udp dport", "ip daddr . udp sport"),
    }[kind]
    cone = 'oifname "out" masquerade\n oifname "lan" ct status dnat ip saddr %s snat to %s' % (inside, public)
    return f"""table ip nat {{
 map cone {{ type {keys[0]} : ipv4_addr . inet_service; flags dynamic,timeout; size 65535; timeout 120s; }}
 chain pre {{ type nat hook prerouting priority -100;
  ip daddr {public} meta l4proto udp dnat ip to {keys[1]} map @cone
 }}
 {post % cone}
 chain learn {{ type filter hook postrouting priority 300;
  oifname "out" meta l4proto udp ct direction original update @cone {{ {keys[2]} : ct original ip saddr . ct original proto-src }}
 }}
 {box}
}}
"""


NAT_KINDS = ("endpoint-independent", "endpoint-independent-any-port", "symmetric", "address-dependent", "full-cone", "address-restricted")

# Counts, before anything is put together again, what must never be on an outer link. Also cuts: pairs of uplinks, and single hosts.
WATCH_RULES = f"""table inet watch {{
 counter fragments {{ }}
 counter clear {{ }}
 set cut {{ type ifname . ifname; }}
 set dead {{ type ipv4_addr; }}
 set dead6 {{ type ipv6_addr; }}
 chain early {{ type filter hook prerouting priority -450;
  ip frag-off & 0x3fff != 0 counter name fragments
  exthdr frag exists counter name fragments
  ip saddr {POOL4} counter name clear
  ip daddr {POOL4} counter name clear
  ip6 saddr {POOL6} counter name clear
  ip6 daddr {POOL6} counter name clear
  ip saddr @dead drop
  ip daddr @dead drop
  ip6 saddr @dead6 drop
  ip6 daddr @dead6 drop
 }}
 chain between {{ type filter hook forward priority -450;
  iifname . oifname @cut drop
 }}
}}
"""
WALL_RULES = """table ip6 wall {
 chain pass { type filter hook forward priority 0;
  iifname "out" ct state established,related accept
  iifname "out" meta l4proto ipv6-icmp accept
  iifname "out" drop
 }
}
"""
SILENCE_RULES = """table inet silence
delete table inet silence
table inet silence {
 chain silent { type filter hook prerouting priority -500;
  %s
 }
}
"""
SILENCES = {"both": "drop", "in": 'iifname "out" drop', "out": 'iifname "lan" drop'}


class Nat(Host):
    """An access network: its bridge `lan`, its uplink `out`, its rules. `public` is the address of the router itself."""

    def __init__(self, lab, name, inet, kind):
        super().__init__(lab, "nat" + name.lower())
        self.letter, self.config = name, NETWORKS[name]
        self.port, self.ports, self.mac = "up" + name.lower(), [], f"02:00:5e:00:53:{ord(name):02x}"
        self.ip(f"link add out type veth peer name {self.port} netns {inet.ns}",
                f"link add lan address {self.mac} type bridge forward_delay 0", "link set lan up", "link set out up")
        inet.ip(f"link set {self.port} up")
        self.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        self.nft(WATCH_RULES)
        if self.has4:
            self.build4(inet, kind)
        if self.has6:
            self.build6(inet)

    @property
    def has4(self):
        return "inside" in self.config

    @property
    def has6(self):
        return "inside6" in self.config

    def build4(self, inet, kind):
        self.public, self.gateway = self.config["public"], gateway_of(self.config)
        self.inside_prefix = inside_prefix(self.config)
        self.ip(f"addr add {self.gateway}/{self.config['bits']} dev lan", f"addr add {self.public}/32 dev out",
                f"route add 203.0.113.1/32 dev out src {self.public}", f"route add default via 203.0.113.1 dev out src {self.public}")
        inet.ip(*self.uplink4())
        if not self.config.get("open"):
            self.nft(nat_rules(kind, self.public, self.inside_prefix))

    def uplink4(self):
        """What the internet's end of the uplink has."""
        lines = [f"addr add 203.0.113.1/32 dev {self.port}", f"route add {self.public}/32 dev {self.port}"]
        if self.config.get("open"):
            lines.append(f"route add {self.inside_prefix} via {self.public} dev {self.port}")
        return lines

    def build6(self, inet):
        prefix, number = self.config["inside6"], f"{ord(self.letter) - ord('A') + 10:x}"
        self.gateway6, self.link6 = f"{prefix}:1", f"2001:db8:f:{number}:"
        self.ip(f"addr add {self.gateway6}/64 dev lan nodad", f"addr add {self.link6}:2/64 dev out nodad",
                f"route add ::/0 via {self.link6}:1 dev out")
        inet.ip(*self.uplink6())
        if not self.config.get("open"):
            self.nft(WALL_RULES)

    def uplink6(self):
        return [f"addr add {self.link6}:1/64 dev {self.port} nodad",
                f"route add {self.config['inside6']}:/64 via {self.link6}:2 dev {self.port}"]

    def uplink(self):
        """Everything that the internet's end of the uplink has."""
        return (self.uplink4() if self.has4 else []) + (self.uplink6() if self.has6 else [])

    def prefixes(self):
        """Where packets go that go to this network."""
        found = ([f"{self.public}/32"] + ([self.inside_prefix] if self.config.get("open") else [])) if self.has4 else []
        return found + ([f"{self.config['inside6']}:/64", f"{self.link6}:/64"] if self.has6 else [])

    def add_port(self, host, label):
        """A cable from one of the hosts inside."""
        port = f"p-{host.name}"
        host.ip(f"link add {label} type veth peer name {port} netns {self.ns}", f"link set {label} up")
        self.ip(f"link set {port} master lan", f"link set {port} up")
        self.ports.append(port)

    def isolate(self, on=True):
        """Do the hosts inside reach the router only, and not each other, as access points for guests have it?"""
        for port in self.ports:
            self.run("bridge", "link", "set", "dev", port, "isolated", "on" if on else "off", check=True)

    def silence(self, way="both"):
        """The links stay up and nothing passes any more: "in" to the hosts inside, "out" from them, or both."""
        self.nft(SILENCE_RULES % SILENCES[way])

    def speak(self):
        """Ends a silence."""
        self.nft("table inet silence\ndelete table inet silence\n")

    def set_kind(self, kind):
        """Another kind of NAT from now on; every mapping is forgotten."""
        self.nft("table ip nat\ndelete table ip nat\n" + nat_rules(kind, self.public, self.inside_prefix))
        self.run("conntrack", "-F", check=True)

    def renumber(self, public):
        """The provider gives another address: the old one is gone, and with it every mapping."""
        old, self.public = self.public, public
        self.lab.inet.ip(f"route add {public}/32 dev {self.port}", f"route del {old}/32 dev {self.port}")
        self.ip(f"addr add {public}/32 dev out", f"route replace 203.0.113.1/32 dev out src {public}",
                f"route replace default via 203.0.113.1 dev out src {public}", f"addr del {old}/32 dev out")
        self.forget()

    def forget(self):
        """The NAT restarts: every mapping is gone, the next packet gets a new one."""
        self.run("conntrack", "-F", check=True)

    def set_mtu(self, inet, mtu):
        """The uplink carries no more than that."""
        self.ip(f"link set out mtu {mtu}")
        inet.ip(f"link set {self.port} mtu {mtu}")
