"""NATs that give each destination another port: what can be guessed or met by chance goes direct, the rest stays on the relay and says why."""
import os

from lab import demand, wait_for
from talk import Talks, both_families
from test_join import two_joined

CHANCE_S = 100  # of a try one in fifty fails; the next one begins after a minute


def step_of(node, other):
    """What `ntm why` says about knocking."""
    steps = node.ntm_json("why", other.name)["steps"]
    return next((step for step in steps if step["step"] == "hard NATs"), {"detail": "", "ok": False})


def open_files(node):
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in node.daemons())


def test_hard_nat_random(new_lab):
    """One NAT with random ports, one with a steady one: on the relay at first, direct after some seconds; nothing inside is lost or waits."""
    with new_lab(nats={"A": "symmetric", "B": "endpoint-independent"}) as lab:
        two_joined(lab)
        before = open_files(lab.a)
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            talks.wait_on(talks.mark())
            for one, other in ((lab.a, lab.b), (lab.b, lab.a)):
                one.wait_path(other, "direct", CHANCE_S)
            talks.wait_on(talks.mark())
            for one, other in ((lab.a, lab.b), (lab.b, lab.a)):
                wait_for(f"{one.name} to say what was found", lambda o=one, t=other: "has found a way" in step_of(o, t)["detail"], 10, 0.3)
                demand(one.path_kind(other) == "direct", f"{one.name} is on the relay again")
            demand("at random" in step_of(lab.a, lab.b)["detail"], "a does not say what its NAT does")
            wait_for("a to close the sockets that led nowhere", lambda: open_files(lab.a) < before + 8, 10, 0.3)
            demand(talks.lost() == 0, f"{talks.lost()} datagrams were lost by it")
            talks.finish()


def test_hard_nat_both_random(new_lab):
    """Two NATs with random ports: nobody knocks, the relay carries, and both ends say why."""
    with new_lab(nats={"A": "symmetric", "B": "symmetric"}) as lab:
        two_joined(lab)
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            talks.wait_on(talks.mark())
            for one, other in ((lab.a, lab.b), (lab.b, lab.a)):
                wait_for(f"{one.name} to say why it stays", lambda o=one, t=other: "cannot work" in step_of(o, t)["detail"], 20, 0.3)
                step = step_of(one, other)
                demand(not step["ok"] and step["detail"].count("at random") == 2 and "stays on the relay" in step["fix"], f"why says {step}")
                demand(" 0 knocks" in step["detail"], f"it knocked all the same: {step}")
                demand(one.path_kind(other) == "relay", "not on the relay")
            talks.finish()
