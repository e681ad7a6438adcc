"""Pictures of one prompt count as one trial, in intervals and in the sign test."""

import pytest

from maskunet.evaluation.intervals import wilson
from maskunet.experiments.counted import change, differs, share


def test_a_share_of_pictures_of_their_own_prompts_has_wilsons_interval():
    found = share([True, False, None, True])
    assert (found["value"], found["n"]) == (pytest.approx(2 / 3), 3) and (found["low"], found["high"]) == wilson(2, 3)
    assert share([True, False, True], of=[1, 2, 3]) == share([True, False, True])
    nothing = {"value": None, "low": None, "high": None}
    assert share([None]) == {**nothing, "n": 0}
    assert change([None, True], [True, None]) == {**nothing, "fixed": 0, "broken": 0, "p": 1.0}
    assert change([None, True], [True, False], of=[1, 2])["fixed"] == 1


def test_repeated_prompts_widen_the_interval_and_do_not_move_the_share():
    values, of = [True] * 6 + [False] * 14, [0] * 6 + [1] * 14
    repeated, alone = share(values, of), share(values)
    assert repeated["value"] == alone["value"] == 0.3 and repeated["n"] == 20
    assert (repeated["low"], repeated["high"]) == (0.0, 1.0)


def test_where_all_pictures_are_alike_the_interval_is_that_of_as_many_prompts():
    found = share([True] * 12, [0, 1, 2, 3] * 3)
    assert (found["value"], found["n"]) == (1, 12) and (found["low"], found["high"]) == wilson(4, 4)
    nothing = share([False] * 12, [0, 1, 2, 3] * 3)
    assert (nothing["low"], nothing["high"]) == wilson(0, 4)


def test_of_a_single_prompt_the_pictures_are_the_trials():
    values = [True, False, True, True]
    assert share(values, ["a"] * 4) == share(values)
    assert change([True] * 4, [False] * 4, ["a"] * 4) == change([True] * 4, [False] * 4)


def test_the_same_gain_of_one_prompt_thrice_is_one_gain():
    now, before, of = [True] * 6 + [False] * 6, [False] * 12, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    once, thrice = change(now, before), change(now, before, of)
    assert (thrice["value"], thrice["fixed"], thrice["broken"], thrice["p"]) == (0.5, 2, 0, 0.5)
    assert once["fixed"] == 6 and differs(once) and not differs(thrice)
