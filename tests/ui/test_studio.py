"""What the page asks of a studio is what the studio answers, by name and argument."""

import inspect

import pytest

from maskunet.studio.features import FeatureStudio
from maskunet.studio.shelf import Shelf
from maskunet.studio.studio import Studio
from maskunet.studio.training import TrainStudio
from maskunet.ui import studio as asked

PAIRS = [
    (asked.Studio, Studio),
    (asked.Shelf, Shelf),
    (asked.FeatureStudio, FeatureStudio),
    (asked.TrainStudio, TrainStudio),
]


@pytest.mark.parametrize(("wanted", "real"), PAIRS, ids=lambda one: one.__name__)
def test_the_studio_answers_all_that_the_page_asks(wanted, real):
    methods = [name for name, _ in inspect.getmembers(wanted, inspect.isfunction) if name[0] != "_"]
    assert methods
    for name in methods:
        assert inspect.signature(getattr(wanted, name)) == inspect.signature(getattr(real, name)), name
