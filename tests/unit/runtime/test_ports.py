"""Ports that servers are told of before they listen."""

from __future__ import annotations

import socket

import pytest

from services.runtime import ports
from services.runtime.ports import free_ports


@pytest.fixture
def lent(tmp_path, monkeypatch):
    """The ports that a machine keeps to itself which lends its connections all from 21,000 on."""
    told = tmp_path / "ip_local_port_range"
    told.write_text("21000\t65000\n")
    monkeypatch.setattr(ports, "LENT", told)
    return range(ports.LOWEST, 21_000)


def test_no_outgoing_connection_can_be_given_one_of_the_ports(lent):
    assert set(free_ports(50)) <= set(lent)


def test_several_ports_are_different_and_free():
    found = free_ports(200)
    assert len(set(found)) == 200
    for port in found:
        socket.create_server(("127.0.0.1", port)).close()


def test_a_port_at_which_somebody_listens_is_not_given(monkeypatch):
    taken, free = free_ports(2)

    class Chance:
        drawn = iter((taken, taken, free))

        def choice(self, _):
            return next(self.drawn)

    monkeypatch.setattr(ports, "SystemRandom", Chance)
    with socket.create_server(("127.0.0.1", taken)):
        assert free_ports(1) == [free]


def test_where_the_system_does_not_tell_the_usual_range_is_kept_clear_of(monkeypatch, tmp_path):
    monkeypatch.setattr(ports, "LENT", tmp_path / "none")
    assert max(free_ports(100)) < ports.USUAL_FIRST


def test_where_few_ports_are_left_only_those_are_given(monkeypatch, tmp_path):
    told = tmp_path / "ip_local_port_range"
    told.write_text("16000\t65535\n")
    monkeypatch.setattr(ports, "LENT", told)
    assert set(free_ports(200)) <= set(range(ports.LOWEST, 16_000))
