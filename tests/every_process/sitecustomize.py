"""Refuse every connection that would leave this machine: here, and through PYTHONPATH in every child process."""

import ipaddress
import socket

_connect = socket.socket.connect


def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6):
        try:
            local = ipaddress.ip_address(address[0].split("%")[0]).is_loopback
        except ValueError:
            local = address[0] == "localhost"
        if not local:
            raise OSError(f"the tests may not use the network, but something asked for {address[0]}")
    return _connect(self, address)


socket.socket.connect = connect
