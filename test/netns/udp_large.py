"""UDP datagrams that no link carries whole: `HOST` sends some of each size and wants them back; `--echo` gives them back."""
import socket
import sys

PORT, TRIES, SIZES, SECONDS = 7001, 3, (1400, 1600, 3000, 9000, 30000), 4


def echo():
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.bind(("::", PORT))
    print("listening", flush=True)
    while True:
        data, sender = server.recvfrom(65536)
        server.sendto(data, sender)


def ask(client, size):
    """A lost fragment is a lost datagram, as anywhere: asked again."""
    data = bytes(i * 7 % 251 for i in range(size))
    for _ in range(TRIES):
        client.send(data)
        try:
            if client.recv(65536) == data:
                return
        except TimeoutError:
            continue
    sys.exit(f"{size} bytes did not come back")


def main():
    if sys.argv[1] == "--echo":
        echo()
    host = sys.argv[1]
    client = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    if ":" not in host:  # IP_MTU_DISCOVER, IP_PMTUDISC_DONT
        client.setsockopt(socket.IPPROTO_IP, 10, 0)
    client.settimeout(SECONDS)
    client.connect((host, PORT))
    for size in SIZES:
        ask(client, size)
    print("all came back")


main()
