"""Access networks: the kinds of NAT that people have, and the rules that count and cut."""
from .ground import POOL4, POOL6
from .host import Host
from .topology import NETWORKS


def nat_rules(kind, public, inside):
    """nft rules of one NAT by its RFC 4787 name. All drop strange UDP at the box itself: else it would take the port that a peer punches."""
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

# Counts, before anything is put together again, what must never be on an outer link. Also cuts pairs of public addresses.
WATCH_RULES = f"""table inet watch {{
 counter fragments {{ }}
 counter clear {{ }}
 set cut {{ type ipv4_addr . ipv4_addr; }}
 set dead {{ type ipv4_addr; }}
 chain early {{ type filter hook prerouting priority -450;
  ip frag-off & 0x3fff != 0 counter name fragments
  exthdr frag exists counter name fragments
  ip saddr {POOL4} counter name clear
  ip daddr {POOL4} counter name clear
  ip6 saddr {POOL6} counter name clear
  ip6 daddr {POOL6} counter name clear
  ip saddr . ip daddr @cut drop
  ip saddr @dead drop
  ip daddr @dead drop
 }}
}}
"""


class Nat(Host):
    """An access network: its bridge `lan`, its uplink `out`, its rules."""

    def __init__(self, lab, name, inet, kind):
        super().__init__(lab, "nat" + name.lower())
        self.letter, self.config = name, NETWORKS[name]
        self.port = "up" + name.lower()
        self.ip(f"link add out type veth peer name {self.port} netns {inet.ns}", "link add lan type bridge forward_delay 0",
                "link set lan up", "link set out up")
        inet.ip(f"link set {self.port} up")
        self.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        self.nft(WATCH_RULES)
        if "public" in self.config:
            self.build4(inet, kind)
        else:
            self.build6(inet)

    def build4(self, inet, kind):
        public, inside = self.config["public"], f"{self.config['inside']}.0/{self.config['bits']}"
        self.public, self.gateway = public, f"{self.config['inside']}.1"
        self.ip(f"addr add {self.gateway}/{self.config['bits']} dev lan", f"addr add {public}/32 dev out",
                f"route add 203.0.113.1/32 dev out src {public}", f"route add default via 203.0.113.1 dev out src {public}")
        inet.ip(f"addr add 203.0.113.1/32 dev {self.port}", f"route add {public}/32 dev {self.port}")
        self.inside_prefix = inside
        self.nft(nat_rules(kind, public, inside))

    def build6(self, inet):
        prefix = self.config["inside6"]
        self.gateway6 = f"{prefix}:1"
        self.ip(f"addr add {self.gateway6}/64 dev lan nodad", "addr add 2001:db8:f:d::2/64 dev out nodad",
                "route add ::/0 via 2001:db8:f:d::1 dev out")
        inet.ip(f"addr add 2001:db8:f:d::1/64 dev {self.port} nodad", f"route add {prefix}:/64 via 2001:db8:f:d::2 dev {self.port}")
        self.nft("""table ip6 wall {
 chain pass { type filter hook forward priority 0;
  iifname "out" ct state established,related accept
  iifname "out" meta l4proto ipv6-icmp accept
  iifname "out" drop
 }
}
""")

    def set_kind(self, kind):
        """Another kind of NAT from now on; every mapping is forgotten."""
        self.nft("table ip nat\ndelete table ip nat\n" + nat_rules(kind, self.public, self.inside_prefix))
        self.run("conntrack", "-F", check=True)

    def forget(self):
        """The NAT restarts: every mapping is gone, the next packet gets a new one."""
        self.run("conntrack", "-F", check=True)

    def set_mtu(self, inet, mtu):
        """The uplink carries no more than that."""
        self.ip(f"link set out mtu {mtu}")
        inet.ip(f"link set {self.port} mtu {mtu}")
