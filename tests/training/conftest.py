"""Trainings of small models."""

import pytest

from maskunet.training import sheet


@pytest.fixture(autouse=True)
def short_sheets(monkeypatch, request):
    """Sheets are drawn at every checkpoint; in a few steps, but where a test looks at what they show."""
    if "full_sheets" not in request.fixturenames:
        monkeypatch.setattr(sheet, "STEPS", 3)


@pytest.fixture
def full_sheets():
    """Sheets as trainings draw them."""
