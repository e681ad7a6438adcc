"""The text that chooses weights: what it means, how it is printed, what it refuses."""

import random
import time

import numpy as np
import pytest

from maskunet.records import MAX_SETTING, Request
from maskunet.records.selection import Place, kept, named, parse, place_of, simplified, write
from maskunet.records.site_stats import name_of

SITES = [
    f"up_blocks.{block}.attentions.{layer}.transformer_blocks.0.attn{kind}.to_{role}"
    for block in (1, 2)
    for layer in (0, 1)
    for kind in (1, 2)
    for role in ("q", "k", "v", "out.0")
]
HEADS = [4 if ".1.attentions" in name else 2 for name in SITES]
STEPS = 15


def means(text):
    return kept(parse(text), SITES, HEADS, STEPS)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("block1.cross.v", Place(blocks=(1,), attentions=("cross",), roles=("v",))),
        ("block2.self", Place(blocks=(2,), attentions=("self",))),
        (" BLOCK1 . cross.out.head2 @ 1-5 ", Place(blocks=(1,), attentions=("cross",), roles=("out",), heads=(2,), steps=(1, 2, 3, 4, 5))),
        ("block1-2,4.q,k=.5", Place(blocks=(1, 2, 4), roles=("q", "k"), kept=0.5)),
        ("all=0.00001", Place(kept=0.00001)),
        ("v,q", Place(roles=("q", "v"))),
        ("head0,head2", Place(heads=(0, 2))),
        ("all@14-", Place(steps=tuple(range(14, 101)))),
        ("layer0@-2,4=1", Place(layers=(0,), steps=(1, 2, 4), kept=1.0)),
    ],
)  # fmt: skip
def test_a_text_is_read_and_written_again(text, place):
    assert parse(text) == (place,)
    assert parse(write(parse(text))) == (place,)


def test_an_empty_text_chooses_nothing():
    assert parse("") == parse(" ; ;") == ()
    assert (means("") == 1).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("blok1", "“blok1” says no place in the network. Write places such as"),
        ("block1.cross.z", "“z” in “block1.cross.z”"),
        ("block", "says no place"),
        ("q.q", "names its roles twice"),
        ("@1-5", "says no place"),
        ("all@", "says no place"),
        ("all@0", "“0” in “all@0” does not count from 1 to 100"),
        ("all@5-1", "does not count"),
        ("all@1-101", "does not count"),
        ("all@-", "says no place"),
        ("block100", "says no place|does not count from 0 to 99"),
        ("all=2", "allowed is 0 to 1"),
        ("all=", "allowed is 0 to 1"),
        ("all=-1", "says no place"),
        ("all=nan", "says no place"),
        ("all@١", "says no place"),
        ("all@1@2", "says no place"),
        ("q;" * 101, "101 places; allowed are 100"),
    ],
)
def test_a_wrong_text_is_told_what_is_allowed(text, said):
    with pytest.raises(ValueError, match=said) as refused:
        parse(text)
    assert len(str(refused.value)) < 500 and "\n" not in str(refused.value)


def test_a_hostile_text_is_refused_at_once():
    began = time.process_time()
    for text in ("q;" * 5_000_000, "block" + "1" * 10_000_000, ";" * 10_000_000):
        with pytest.raises(ValueError, match="characters; allowed are 1,000"):
            parse(text)
        with pytest.raises(ValueError, match="The setting what has .* characters; allowed are 1,000"):
            Request(prompt="a", settings={"what": text})
    for text in ("@" * 1000, "1-" * 500, "q" + ",q" * 499, "block" + "1," * 490 + "1", "." * 1000):
        try:
            simplified(parse(text))
        except ValueError:
            continue
    assert time.process_time() - began < 1


def test_the_longest_selection_fits_into_a_request():
    text = "block1.layer0.cross.out@1-5=0.5; " * 30
    assert len(text) <= MAX_SETTING
    assert Request(prompt="a", settings={"what": text}).settings["what"] == text


def test_later_places_win_so_that_everything_but_one_can_be_said():
    shares = means("all; block1.cross.v.head3@2=0.25")
    site = SITES.index("up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_v")
    assert shares[1, site, 3] == 0.25
    assert shares.sum() == 0.5  # both layers, one head, one step


def test_what_a_place_means():
    shares = means("block2.self.k@3-4")
    found = {(t, SITES[s], h) for t, s, h in np.argwhere(shares == 0)}
    names = [f"up_blocks.2.attentions.{layer}.transformer_blocks.0.attn1.to_k" for layer in (0, 1)]
    assert found == {(t, name, h) for t in (2, 3) for name in names for h in range(2)}


@pytest.mark.parametrize(
    "text", ["block0", "block7.cross", "layer2", "block2.head2", "head9", "all@16-20", "block2.layer1.head3"]
)
def test_a_place_that_is_not_in_this_model_is_told_what_there_is(text):
    with pytest.raises(ValueError, match="means nothing here") as refused:
        means(text)
    assert "block1 has layer0-1 with head0-3; block2 has layer0-1 with head0-1; there are steps 1 to 15" in str(
        refused.value
    )


def test_a_site_is_named_by_its_place():
    for name in SITES:
        (site,) = [s for s in SITES if place_of(name).fits(s)]
        assert site == name
    assert str(place_of(SITES[0])) == "block1.layer0.self.q"
    assert all(str(place_of(name)) == name_of(name) for name in SITES)  # Explore and Intervene say the same
    with pytest.raises(ValueError, match="names no projection"):
        place_of("down_blocks.0.attentions.0.attn1.to_q")


@pytest.mark.parametrize("seed", range(20))
def test_a_simplified_selection_means_the_same_and_is_no_longer(seed):
    draw = random.Random(seed)

    def some(values):
        return tuple(sorted(draw.sample(values, draw.randint(1, len(values))))) if draw.random() < 0.5 else ()

    places = [
        Place(
            blocks=some([1, 2]),
            layers=some([0, 1]),
            attentions=tuple(a for a in ("self", "cross") if a in some(["self", "cross"])),
            roles=tuple(r for r in ("q", "k", "v", "out") if r in some(["q", "k", "v", "out"])),
            heads=some([0, 1]),
            steps=some([*range(1, 6)]),
            kept=draw.choice((0.0, 0.5, 1.0)),
        )
        for _ in range(12)
    ]
    fewer = simplified(places)
    assert len(fewer) <= len(places)
    assert np.array_equal(kept(fewer, SITES, HEADS, STEPS), kept(places, SITES, HEADS, STEPS))
    assert parse(write(fewer)) == fewer


def test_clicks_become_a_short_text():
    clicked = parse("block1.layer0.cross.q@1-5; block1.layer0.cross.q@6-10; block1.layer0.cross.k@1-10; v=0.5; v=1")
    assert write(simplified(clicked)) == "block1.layer0.cross.q,k@1-10"


def test_a_layer_with_several_transformer_blocks_has_each_of_them_by_its_number():
    deep = [
        f"up_blocks.0.attentions.{layer}.transformer_blocks.{inner}.attn2.to_v"
        for layer in (0, 1)
        for inner in (0, 1, 2)
    ]
    texts = [named(site, deep) for site in deep]
    assert texts[2] == "block0.layer0.inner2.cross.v" == name_of(deep[2]) and len({*texts}) == len(deep)
    for site, text in zip(deep, texts, strict=True):
        (place,) = parse(text)
        assert str(place) == text and [each for each in deep if place.fits(each)] == [site]
    (layer,) = parse("block0.layer1")
    assert [layer.fits(site) for site in deep] == [False] * 3 + [True] * 3
    out = kept(parse("cross.inner0,2=0.5"), deep, [1] * 6, 1)
    assert out[0, :, 0].tolist() == [0.5, 1, 0.5] * 2
    with pytest.raises(ValueError, match="block0 has layer0-1 with inner0-2, head0"):
        kept(parse("inner3"), deep, [1] * 6, 1)
    assert [named(site, SITES) for site in SITES] == [name_of(site) for site in SITES]
