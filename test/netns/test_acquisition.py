"""Addresses from a real DHCP server and client, as on a network that a device comes to."""
from services import DhcpClient, DhcpServer
from talk import Talks, both_families
from test_join import two_joined
from test_patterns import wait_route


def test_acquisition_by_dhcp(new_lab):
    """The old network goes, dhclient gets an address on the new one, and what runs goes on; twice."""
    with new_lab() as lab:
        two_joined(lab)
        for letter in "AC":
            DhcpServer(lab.nats[letter])
        with Talks(lab, *both_families(lab.a, lab.b)) as talks:
            talks.wait_on(talks.mark())
            lab.a.detach("home")
            client = DhcpClient(lab.a, "cell")
            client.wait_bound()
            talks.moved("to cell", lambda: None)
            client.leave()
            DhcpClient(lab.a, "home").wait_bound()
            talks.moved("to home", lambda: None)
            wait_route(lab.a, lab.b, "direct")
            talks.finish(timeouts_allowed=None)  # getting an address takes longer than a timer of TCP
