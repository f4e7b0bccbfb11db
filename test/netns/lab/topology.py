"""Who is where: networks, hosts, numbers."""

NETWORKS = {
    "A": {"inside": "192.168.1", "bits": 24, "public": "203.0.113.11"},
    "B": {"inside": "192.168.1", "bits": 24, "public": "203.0.113.22"},
    "C": {"inside": "100.64.0", "bits": 10, "public": "203.0.113.33"},
    "D": {"inside6": "2001:db8:d:"},
}
NODES = {
    "a": {"home": "A", "cell": "C", "six": "D"},
    "b": {"home": "B", "cell": "C", "six": "D"},
    "c": {"cell": "C", "six": "D"},
}
SERVERS = ("s", "s2", "s3")
HOST_NUMBER = {"a": 10, "b": 20, "c": 30}
SERVER_NUMBER = {"s": 2, "s2": 3, "s3": 4}
