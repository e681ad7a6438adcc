"""What the tests of the Studio share: one over a device that computes nothing."""

import pytest

from tests.support.machine import Machine, open_studio


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def studio(machine, tmp_path):
    made = open_studio(machine, tmp_path)
    yield made
    machine.free = True
    machine.gate.release(1000)
    made.close()
