"""Kept masks as sets: every operation against set arithmetic on bits, and the orders that are promised."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskunet.masks import algebra, held
from maskunet.records import held_mask
from maskunet.records.held_mask import HeldMask, mixed

SITES = {"up_blocks.1.b.to_q": (3, 4), "up_blocks.1.a.to_k": (2, 5)}
TOTAL = 22
ORDERS = st.lists(st.integers(0, TOTAL - 1), unique=True).map(lambda found: np.array(found, np.uint32))
SHARES = st.floats(0, 1)
EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)


def mask(steps, **changes):
    steps = steps if isinstance(steps, dict) else {0: steps}
    made = HeldMask(model="one", weights={"unet/x": "a"}, sites=SITES, steps=steps, recipe={"made": "test"})
    return replace(made, **changes)


MASKS = st.one_of(ORDERS.map(mask), st.dictionaries(st.integers(0, 999), ORDERS, min_size=2, max_size=3).map(mask))


def bits(made, timestep):
    """Whether each weight goes at a timestep, read from the definition."""
    found = np.zeros(TOTAL, dtype=bool)
    found[made.at(timestep)] = True
    return found


def times(*masks):
    """The timesteps of which the result is exact: those of masks that change, else any."""
    return sorted({t for each in masks if not each.static for t in each.steps}) or [0, 500, 999]


@given(MASKS, MASKS, MASKS)
@EXAMPLES
def test_operations_are_set_arithmetic_on_bits(a, b, c):
    for t in times(a, b, c):
        x, y, z = (bits(each, t) for each in (a, b, c))
        assert np.array_equal(bits(algebra.union(a, b, c), t), x | y | z)
        assert np.array_equal(bits(algebra.intersection(a, b, c), t), x & y & z)
        assert np.array_equal(bits(algebra.difference(a, b, c), t), x & ~y & ~z)
        assert np.array_equal(bits(algebra.complement(a), t), ~x)


@given(MASKS, MASKS)
@EXAMPLES
def test_results_are_masks_that_can_be_kept_and_laws_hold_to_the_byte(a, b):
    united, shared = algebra.union(a, b), algebra.intersection(a, b)
    for made in (united, shared, algebra.difference(a, b), algebra.complement(a)):
        held_mask._check(made)
    assert same(united, algebra.union(b, a)) and same(shared, algebra.intersection(b, a))
    assert same(algebra.union(a, a), a) and same(algebra.intersection(a, a), a)
    assert all(not places.size for places in algebra.difference(a, a).steps.values())
    for t in times(a, b):  # de Morgan
        left = algebra.complement(united)
        right = algebra.intersection(algebra.complement(a), algebra.complement(b))
        assert np.array_equal(bits(left, t), bits(right, t))


def same(one, other):
    return one.steps.keys() == other.steps.keys() and all(
        np.array_equal(one.steps[t], other.steps[t]) for t in one.steps
    )


@given(MASKS, MASKS, MASKS)
@EXAMPLES
def test_the_order_of_several_masks_does_not_matter(a, b, c):
    for operation in (algebra.union, algebra.intersection):
        one, other = operation(a, b, c), operation(c, a, b)
        for t in times(a, b, c):
            assert np.array_equal(one.at(t), other.at(t))


@given(ORDERS, SHARES, SHARES)
@EXAMPLES
def test_doses_are_beginnings_and_nested(order, one, other):
    low, high = sorted((one, other))
    small, large = algebra.dose(mask(order), low).at(0), algebra.dose(mask(order), high).at(0)
    assert np.array_equal(large, order[: round(high * order.size)])
    assert np.array_equal(small, large[: small.size])
    assert same(algebra.dose(mask(order), 1), mask(order)) and not algebra.dose(mask(order), 0).at(0).size


@given(ORDERS, ORDERS, SHARES)
@EXAMPLES
def test_a_weight_goes_in_a_union_when_it_goes_in_one_and_in_an_intersection_when_it_went_in_both(x, y, share):
    def ranked(places):  # the mask at this dose, by rank
        return {int(p) for i, p in enumerate(places, 1) if i / len(places) <= share}

    def beginning(made, wanted):
        return {*made.at(0)[: len(wanted)].tolist()} == wanted

    assert beginning(algebra.union(mask(x), mask(y)), ranked(x) | ranked(y))
    assert beginning(algebra.intersection(mask(x), mask(y)), ranked(x) & ranked(y))


@given(MASKS, st.lists(st.booleans(), min_size=TOTAL, max_size=TOTAL))
@EXAMPLES
def test_a_restriction_keeps_the_order_of_what_lies_inside(a, chosen):
    inside = np.array(chosen)
    parts = algebra.restriction(a, inside), algebra.restriction(a, ~inside)
    for t, places in a.steps.items():
        assert parts[0].steps[t].tolist() == [p for p in places.tolist() if inside[p]]
        assert np.array_equal(bits(algebra.union(*parts), t), bits(a, t))
    nothing = np.zeros(TOTAL, dtype=bool)
    then = algebra.restriction(a, {900: inside, 100: nothing})
    assert list(then.steps) == [100, 900] and not then.at(0).size
    assert np.array_equal(bits(then, 999), bits(a, 900) & inside)


@pytest.mark.parametrize("share", [-0.01, 1.01, float("nan")])
def test_a_dose_outside_0_to_1_is_refused(share):
    with pytest.raises(ValueError, match="allowed is 0 to 1"):
        algebra.dose(mask(np.arange(3, dtype=np.uint32)), share)


def test_one_step_and_another_time():
    a = mask({0: np.array([1], np.uint32), 500: np.array([2], np.uint32), 999: np.array([3], np.uint32)})
    assert algebra.at_step(a, 600).steps.keys() == {0} and algebra.at_step(a, 600).at(3).tolist() == [2]
    later = algebra.shifted(a, 500)
    assert {t: p.tolist() for t, p in later.steps.items()} == {500: [1], 999: [2]}
    assert {t: p.tolist() for t, p in algebra.shifted(a, -500).steps.items()} == {0: [2], 499: [3]}


def test_the_recipe_says_of_what_it_was_made():
    a = mask(np.arange(3, dtype=np.uint32), recipe={"made": "first"})
    b = mask(np.arange(3, dtype=np.uint32), recipe={"made": "second", "seed": 4})
    made = algebra.dose(algebra.union(a, b), 0.5)
    united = {"made": "union", "of": [a.recipe, b.recipe]}
    assert made.recipe == {"made": "dose", "of": [united], "dose": 0.5}


def test_masks_of_different_models_are_not_combined_unless_one_is_carried_over():
    a, b = (
        mask(np.arange(3, dtype=np.uint32)),
        mask(np.arange(2, 5, dtype=np.uint32), model="two", weights={"unet/x": "b"}),
    )
    with pytest.raises(ValueError, match="of one and of two, whose weights differ. Carry one over"):
        algebra.union(a, b)
    there = algebra.carried(b, "one", {"unet/x": "a", "vae/y": "c"}, SITES)
    assert there.weights == a.weights and there.model == "one"
    assert there.recipe["made"] == "carried over" and there.recipe["from_model"] == "two"
    assert algebra.union(a, there).at(0).size == 5
    with pytest.raises(ValueError, match="made for two, not for three: .* 2 sites, this model has 1"):
        algebra.carried(b, "three", {}, {"up_blocks.1.b.to_q": (3, 4)})
    with pytest.raises(ValueError, match="is 2 x 5 there and 5 x 2 here"):
        algebra.carried(b, "three", {}, {**SITES, "up_blocks.1.a.to_k": (5, 2)})


def test_carried_over_weights_stay_at_their_sites_where_the_sites_come_in_another_order():
    a = mask(np.array([0, 13], np.uint32))  # the first of one site, the second of the other
    there = algebra.carried(a, "two", {"unet/x": "b"}, dict(reversed(SITES.items())))
    assert there.at(0).tolist() == [10, 1]


@pytest.mark.parametrize("operation", [algebra.union, algebra.intersection, algebra.difference])
def test_an_operation_of_one_mask_alone_is_refused(operation):
    with pytest.raises(ValueError, match="two masks"):
        operation(mask(np.arange(3, dtype=np.uint32)))


def test_masks_become_places_and_places_masks():
    import torch

    places = mixed(np.array([0, 5, 21]))
    masks = held.tensors(places, SITES, torch.ones((), dtype=torch.float16))
    assert masks["up_blocks.1.a.to_k"].shape == (2, 5) and masks["up_blocks.1.b.to_q"].dtype == torch.float16
    assert np.array_equal(held.removed(masks, SITES), places)
    assert np.array_equal(held.removed({}, SITES), places[:0])
    scores = {name: torch.arange(a * b).view(a, b).float() for name, (a, b) in SITES.items()}
    assert held.ordered(scores, SITES, 4).tolist() == [0, 12, 1, 13]
