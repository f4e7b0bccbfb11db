"""A DNS server that gives the same address to every question, over UDP and TCP of both families: for tests of what carries questions."""
import socketserver
import struct
import threading
import socket

ADDRESS = bytes((203, 0, 114, 77))


def answer(query):
    """The question again, and one A record."""
    end = query.index(b"\0", 12) + 5
    header = query[:2] + b"\x84\0" + struct.pack(">HHHH", 1, 1, 0, 0)
    return header + query[12:end] + b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + ADDRESS


class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        query, asked = self.request
        asked.sendto(answer(query), self.client_address)


class Tcp(socketserver.StreamRequestHandler):
    def handle(self):
        size = struct.unpack(">H", self.rfile.read(2))[0]
        answered = answer(self.rfile.read(size))
        self.wfile.write(struct.pack(">H", len(answered)) + answered)


class UdpServer(socketserver.UDPServer):
    address_family = socket.AF_INET6


class TcpServer(socketserver.TCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True


servers = [UdpServer(("::", 53), Udp), TcpServer(("::", 53), Tcp)]
threads = [threading.Thread(target=server.serve_forever) for server in servers]
for thread in threads:
    thread.start()
print("answering", flush=True)
for thread in threads:
    thread.join()
