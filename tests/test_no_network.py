"""No test reaches the network, nor does a program that a test starts."""

import os
import socket
import subprocess
import sys

import pytest


def test_the_tests_and_their_child_processes_cannot_reach_the_network():
    reach = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    with pytest.raises(OSError, match="may not use the network"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    child = subprocess.run([sys.executable, "-c", reach], capture_output=True, text=True, env=os.environ)
    assert child.returncode != 0 and "may not use the network" in child.stderr
