from pathlib import Path

from tests.servers.process import free_ports


def test_ports_of_servers_are_none_that_the_kernel_gives_to_somebody_else():
    first, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = free_ports(50)

    assert len(set(ports)) == 50
    assert all(port > 10_000 and port + 10_000 < first for port in ports)
