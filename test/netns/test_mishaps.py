"""Beyond the papers: moves at bad moments, NATs and servers that fail, links that lie."""
import os
import signal

from lab import demand, long_form, program, wait_for
from services import Web
from talk import Talks, both_families
from test_join import start_roles_apart, two_joined
from test_patterns import active_path, wait_route

MUTE_RULES = """table inet mute {
 chain mute { type filter hook output priority 0;
  icmp type destination-unreachable drop
 }
}
"""
SECOND = 50       # datagrams of a conversation: it sends one every 20 ms
BUFFERED = None   # what is longer than a retransmission timer of TCP runs it out: bytes are asked for, timers are not


def packets_sent(node, label):
    with node.inside(), open("/proc/thread-self/net/dev", encoding="utf-8") as file:
        return next(int(line.split()[10]) for line in file if line.strip().startswith(label + ":"))


def other(node):
    return "cell" if node.at == "home" else "home"


def test_mishap_move_during_contact(new_lab):
    """A node moves after packet 1, 2, 3 or 5 of a contact, be it the name, the direction or the handshake: the page comes."""
    with new_lab(delays={"A": 10, "B": 10, "C": 10}) as lab:
        two_joined(lab)
        os.makedirs(lab.path("www"))
        Web(lab.b, lab.path("www"))
        for after in (1, 2, 3, 5):
            lab.a.daemon.stop()
            lab.a.start_daemon()
            lab.a.wait_up()
            sent, label = packets_sent(lab.a, lab.a.at), lab.a.at
            curl = lab.a.start("curl", "curl", "-sS", "--max-time", "25", f"http://{lab.b.fqdn.rstrip('.')}/hello")
            wait_for(f"packet {after} of the contact", lambda s=sent, n=after, at=label: packets_sent(lab.a, at) >= s + n, 10, 0.001)
            lab.a.move(other(lab.a))
            demand(curl.wait(40) == 0 and "I am b" in curl.output(), f"moved after packet {after}: curl: {curl.output()[-200:]}")


def test_mishap_move_during_move(new_lab):
    """Two moves without a pause between them, at one end and then at both."""
    with new_lab(networks="ABCK") as lab:
        two_joined(lab)
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            talks.wait_on(talks.mark())
            talks.moved("a twice", lambda: (lab.a.move("cell"), lab.a.move("cell2")))
            talks.moved("a back", lambda: lab.a.move("home"))
            talks.moved("both twice", lambda: (lab.move_together((lab.a, "cell"), (lab.b, "cell2")),
                                               lab.move_together((lab.a, "cell2"), (lab.b, "cell"))))
            talks.finish(BUFFERED)


def key_age_s(one, other):
    return one.peer(other)["key_age_s"]


REKEY_S = 120            # of use (src/wire/limits.h)
FLAPS_A_REKEY = 40


@long_form
def test_mishap_move_during_rekey(new_lab):
    """The tunnel's keys grow old, and their exchange meets one move after the other: both ends have new ones, and not a byte is lost."""
    with new_lab(delays={"A": 30, "B": 30, "C": 30}) as lab:
        two_joined(lab)
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            talks.wait_on(talks.mark())
            marks = {node: node.events.mark() for node in (lab.a, lab.b)}
            wait_for("the keys to be old", lambda: key_age_s(lab.a, lab.b) >= REKEY_S - 2, REKEY_S + 20, 0.5)

            def rekeyed():
                return any(node.events.all("rekey", mark) for node, mark in marks.items())
            flaps = 0
            while not rekeyed() and flaps < FLAPS_A_REKEY:  # an exchange takes 120 ms at least, so one of the moves is within it
                lab.a.move(other(lab.a))
                talks.all[0].wait_voices(8)
                flaps += 1
            wait_for(f"new keys after {flaps} moves", rekeyed, 20)
            talks.note(f"{flaps} moves until the keys were new")
            talks.wait_on(talks.mark())
            for one, two in ((lab.a, lab.b), (lab.b, lab.a)):
                wait_for(f"{one.name}'s new keys", lambda x=one, y=two: key_age_s(x, y) < REKEY_S / 2, 10, 0.1)
            talks.finish(BUFFERED)


def test_mishap_flapping(new_lab):
    """Ten moves in three seconds between two networks."""
    with new_lab() as lab:
        two_joined(lab)
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            talks.wait_on(talks.mark())
            for _ in range(10):
                lab.a.move(other(lab.a))
                talks.all[0].wait_voices(15)
            talks.wait_on(talks.mark())
            wait_route(lab.a, lab.b, "direct")
            talks.finish(BUFFERED)


def test_mishap_silent_mover(new_lab):
    """Only the other end has something to say: it must learn of a move all the same."""
    with new_lab() as lab:
        two_joined(lab)
        with Talks(lab, *both_families(lab.a, lab.b), quiet=True) as talks:
            talks.wait_on(talks.mark())
            for label in ("cell", "home"):
                talks.moved(f"to {label}", lambda at=label: lab.a.move(at))
            talks.finish()


def test_mishap_nat_rebinds(new_lab):
    """A's NAT gives other ports, then has another address, then restarts and is away for a second."""
    with new_lab(nats={"A": "endpoint-independent-any-port"}) as lab:
        two_joined(lab)
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            talks.wait_on(talks.mark())
            nat = lab.nats["A"]
            talks.moved("other ports", nat.forget)
            talks.moved("another address", lambda: nat.renumber("203.0.113.12"))
            talks.moved("a restart", lambda: restart(nat, talks))
            talks.finish(BUFFERED)


def restart(nat, talks):
    nat.silence()
    nat.forget()
    talks.all[0].wait_voices(SECOND)
    nat.speak()


def silent_death(new_lab, way):
    """A's router lets nothing through one way or both; the links stay up; another network is there."""
    with new_lab() as lab:
        two_joined(lab)
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            lab.a.attach("cell")
            talks.wait_on(talks.mark())
            talks.moved(f"silence {way}", lambda: lab.nats["A"].silence(way))
            demand(active_path(lab.a, lab.b)["local"].startswith("100.64."), "a does not use the network that works")
            lab.nats["A"].speak()
            talks.wait_on(talks.mark())
            talks.finish(BUFFERED)


def test_mishap_silent_death(new_lab):
    """A router drops everything, and its links stay up: traffic is on the other network soon."""
    silent_death(new_lab, "both")


@long_form
def test_mishap_silent_death_of_one_way(new_lab):
    """The same where only one direction dies, for each."""
    silent_death(new_lab, "in")
    silent_death(new_lab, "out")


@long_form
def test_mishap_mtu_shrinks(new_lab):
    """The uplink carries less than before, and says so or not; then more again: full-sized TCP goes on."""
    with new_lab() as lab:
        two_joined(lab)
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            talks.wait_on(talks.mark())
            talks.moved("1400", lambda: lab.nats["A"].set_mtu(lab.inet, 1400), seconds=60)
            for router in (lab.inet, lab.nats["B"]):
                router.nft(MUTE_RULES)
            talks.moved("1360, and a black hole", lambda: lab.nats["B"].set_mtu(lab.inet, 1360), seconds=60)
            talks.moved("1500", lambda: [lab.nats[name].set_mtu(lab.inet, 1500) for name in "AB"])
            talks.finish(BUFFERED)


def test_mishap_daemon_stands_still(new_lab):
    """The machine sleeps for two seconds, wakes up in the same network, sleeps again and wakes up in another one."""
    with new_lab() as lab:
        two_joined(lab)
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            talks.wait_on(talks.mark())
            talks.moved("slept", lambda: sleep(lab.a, talks))
            talks.moved("slept and moved", lambda: sleep(lab.a, talks, "cell"))
            talks.finish(BUFFERED)


def sleep(node, talks, label=None, seconds=2):
    node.daemon.signal(signal.SIGSTOP)
    if label:
        node.move(label)
    talks.all[0].wait_voices(seconds * SECOND)
    node.daemon.signal(signal.SIGCONT)


@long_form
def test_mishap_sleep_of_a_minute(new_lab):
    """The machine sleeps for a minute and wakes up in another network: what waited goes on."""
    with new_lab() as lab:
        two_joined(lab)
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            talks.wait_on(talks.mark())
            talks.moved("slept and moved", lambda: sleep(lab.a, talks, "cell", 60), seconds=120)
            talks.finish(BUFFERED)


def both_leave(lab, talks):
    """Both have their next network at hand for a while, as where Wi-Fi and a mobile network overlap; then both lose the old one at once."""
    old = (lab.a.at, lab.b.at)
    lab.a.attach("open")
    lab.b.attach("cell")
    talks.wait_on(talks.mark(), voices=SECOND)
    for node, label in zip((lab.a, lab.b), old):
        node.detach(label)
    lab.a.at, lab.b.at = "open", "cell"


def test_mishap_no_servers(new_lab):
    """All servers are gone, and both move, one after the other and then at once, where they can reach each other: nobody else is needed."""
    with new_lab(networks="ABCFGH", at={"a": "open", "b": "home"}) as lab:
        two_joined(lab)
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            talks.wait_on(talks.mark())
            wait_route(lab.a, lab.b, "direct")
            lab.s.daemon.kill()
            talks.moved("b", lambda: lab.b.move("cell"))
            talks.moved("b into the world", lambda: lab.b.move("dualopen"))
            talks.moved("a", lambda: lab.a.move("open2"))
            talks.moved("a behind a NAT", lambda: lab.a.move("home"))
            wait_route(lab.a, lab.b, "direct")
            talks.moved("both at once", lambda: both_leave(lab, talks))
            wait_route(lab.a, lab.b, "direct")
            talks.finish()


def test_mishap_relay_dies(new_lab):
    """A pair is on a relay, which dies: another one takes over before a datagram is too old to be sent again."""
    with new_lab(servers=("s", "s2", "s3", "s4")) as lab:
        lab.cut(lab.nats["A"], lab.nats["B"])
        start_roles_apart(lab)
        start_relay(lab, lab.s4)
        for node in (lab.a, lab.b):
            node.join(lab.s.invite("--name", node.name))
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            talks.wait_on(talks.mark())
            wait_route(lab.a, lab.b, "relay")
            first = relay_in_use(lab)
            talks.moved("its death", first.daemon.kill)
            demand(relay_in_use(lab) is not first, "a dead relay is in use")
            demand(talks.lost() == 0, f"{talks.lost()} datagrams were lost")
            talks.finish(timeouts_allowed=2)


def test_mishap_better_relay(new_lab):
    """A pair is on a relay that is far away; a near one joins the network: both ends change to it, and nothing is lost."""
    with new_lab(servers=("s", "s2", "s3", "s4")) as lab:
        lab.cut(lab.nats["A"], lab.nats["B"])
        start_roles_apart(lab)
        lab.link("s3").set(delay_ms=30)
        for node in (lab.a, lab.b):
            node.join(lab.s.invite("--name", node.name))
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            talks.wait_on(talks.mark())
            wait_route(lab.a, lab.b, "relay")
            demand(relay_in_use(lab) is lab.s3, "there is only one relay")

            def join_and_wait():
                start_relay(lab, lab.s4)
                for here, there in ((lab.a, lab.b), (lab.b, lab.a)):
                    wait_for(f"{here.name} to take the near relay", lambda h=here, t=there: relay_in_use(lab, h, t) is lab.s4, 20, 0.1)
            talks.moved("a better relay", join_and_wait)
            demand(lab.a.peer(lab.b)["relay"]["reason"] == "better", "nobody says why the relay was changed")
            demand(talks.lost() == 0, f"{talks.lost()} datagrams were lost")
            talks.finish()


def start_relay(lab, host):
    addresses = f"{host.v4},[{host.v6}]"
    words = [program("ntm-rs"), "--foreground", "--state", host.state, "--socket", host.socket_path, "--advertise", addresses]
    host.daemon = host.start("ntm-rs", *words, env={"NTM_JOIN": lab.s.invite("--role", "relay")})
    wait_for("a second relay's control socket", lambda: os.path.exists(host.socket_path) or not host.daemon.running(), 15)


def relay_in_use(lab, here=None, there=None):
    remote = active_path(here or lab.a, there or lab.b)["remote"]
    return next(host for host in (lab.s3, lab.s4) if host.v4 in remote or host.v6 in remote)
