"""Ours on a cable: left also serves the network."""
import os

from cable import LEFT, Contender, device_errors
from lab import demand, program, wait_for

ERROR_COUNTERS = ("dropped_malformed", "dropped_auth", "dropped_inner_source", "dropped_too_big", "dropped_no_path")


class Ours(Contender):
    name, link = "ours", "ntm0"
    options = ()    # of both daemons
    commands = (f"ntm serve --listen {LEFT}:7367   # left", "ntm up CODE --listen [::]:7368   # left", "ntm up CODE   # right")

    def start(self, cable):
        left, right = cable.left, cable.right
        server_socket = cable.socket_name(left.name, "server")
        server = left.start("ntm-server", program("ntm"), "serve", "--state", cable.path("server-state"), "--socket", server_socket,
                            "--listen", f"{LEFT}:7367", "--advertise", LEFT)
        wait_for("the server", lambda: os.path.exists(server_socket) or not server.running(), 15)

        def invite():
            return left.run(program("ntm"), "invite", "--socket", server_socket, check=True).stdout.strip()
        left.join(invite(), "--listen", "[::]:7368", *self.options)
        right.join(invite(), *self.options)
        self.address, self.daemons = right.v4, [left.daemon, right.daemon]
        left.ntm("ping", right.name, "-c", "1", check=True)
        left.wait_path(right, "direct")
        self.before = self.count()

    def count(self):
        hosts = (self.cable.left, self.cable.right)
        counters = [host.status().get("counters", {}) for host in hosts]
        return {**device_errors((host, self.link) for host in hosts),
                **{name: sum(each.get(name, 0) for each in counters) for name in ERROR_COUNTERS}}

    def errors(self):
        demand(self.cable.left.path_kind(self.cable.right) == "direct", "the path is not direct any more")
        return {name: count - self.before[name] for name, count in self.count().items()}


TUNNELS = (Ours,)
