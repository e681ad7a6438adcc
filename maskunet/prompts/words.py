"""The words the rule parser knows: small closed classes of English, and adjectives of color, texture, shape."""

DETERMINERS = frozenset(
    "a an the this that these those its his her their my your our some any each every another both "
    "all no".split()
)
NUMBERS = frozenset(
    "one two three four five six seven eight nine ten eleven twelve dozen several many few".split()
)
PREPOSITIONS = frozenset(
    "of on in at by with without under underneath over above below beneath behind beside besides near "
    "next to from into onto inside outside against between among through across along around "
    "atop toward towards upon within for as like off up down past than about during".split()
)
# Several words that together say a relation; without them "front", "left" and "top" would be things.
RELATIONS = (
    "on top of", "on the top of", "at the top of", "at the bottom of", "on the bottom of", "on the side of",
    "to the left of", "on the left of", "at the left of", "left of", "on the left side of", "at the back of",
    "to the right of", "on the right of", "at the right of", "right of", "on the right side of", "in front of",
    "in the front of", "in the middle of", "in the center of", "close to", "next to", "on the left",
    "on the right", "in the background", "in the foreground",
)  # fmt: skip
MADE_OF = ("made out of", "made up of", "made of", "made from")
# What the picture is, not what it shows.
PICTURES = tuple(
    f"{article}{kind} of"
    for kind in ("close-up photo", "photo", "photograph", "picture", "image", "painting", "drawing", "close-up")
    for article in ("a ", "an ", "the ", "")
)
BE = frozenset("is are was were be been being looks looked appears appeared seems seemed".split())
AND = frozenset("and or but & plus".split())
BREAKS = frozenset("there it they he she who which while where when that's not also then here".split())
VERBS = frozenset(
    "sat sits sit stood stands stand lay lies lie hung hangs hang held holds hold wore wears wear rode rides "
    "ride ran flew swam slept sleeps sleep shone shines grew grows fell falls rests leans lean floats "
    "float glows contains contained surrounds reflects contrasts complements complement matches matched blooms "
    "sways stretches eats ate drank drove drives jumps walks danced dances spins rises rose-up hides hid "
    "carries carry has have had casts provides made makes gave gives kept keeps stays adorns adorn stuck "
    "went goes came comes caught catches left-behind set bloomed swung took takes shown seen".split()
)
# End like a participle or an adverb and are none.
THINGS = frozenset(
    "building painting ring string wing king earring ceiling clothing pudding wedding sling spring swing thing "
    "drawing railing icing stuffing lightning awning frosting wrapping bed seed weed shed sled reed steed "
    "butterfly dragonfly fly lily jelly belly family doily bully".split()
)
ADJECTIVES = frozenset(
    # colors
    "red green blue yellow orange purple pink brown black white gray grey gold golden silver beige turquoise "
    "teal cyan magenta violet maroon navy tan cream ivory crimson scarlet lavender dark light bright pale "
    "colorful "
    # textures
    "wooden metallic fluffy smooth rough soft hard shiny glossy matte furry fuzzy silky woolen wooly woolly "
    "hairy bumpy sticky slippery striped checkered checked dotted spotted ribbed knitted woven cracked "
    "wrinkled polished rusty dusty wet dry sandy grassy feathery velvety curly prickly transparent plain "
    "patterned textured "
    # shapes and sizes
    "round square circular triangular rectangular oval oblong cylindrical cubic cubical spherical conical "
    "pyramidal pentagonal hexagonal octagonal curved flat straight tall short big small large little tiny "
    "huge long wide narrow thin thick giant deep shallow "
    # and a few more
    "old new young hot cold warm clean dirty empty full heavy beautiful ripe fresh".split()
)
# Without a lexicon entry, these endings speak for an adjective too.
ENDINGS = ("-shaped", "-colored", "-eyed", "-like", "shaped", "colored", "angular", "gonal", "ish", "llic")
