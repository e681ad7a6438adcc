"""The closed classes of English words that bound a noun phrase, and the adjectives of common attributes."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What opens a noun phrase and belongs to no group.
STARTERS = _words(
    "a an the this that these those its his her their my your our some any every each another other both all "
    "several many few multiple various no zero one two three four five six seven eight nine ten eleven twelve "
    "dozen dozens hundred hundreds"
)
COPULAS = _words("is are was were be being been am looks look looked seems seem appears appear")
ADVERBS = _words("very quite rather really too so also more most just almost not slightly somewhat")
LY_BUT_NO_ADVERB = _words(
    "family jelly curly woolly wooly friendly lovely wrinkly fly belly lily butterfly dragonfly firefly bubbly "
    "smelly ugly silly elderly lonely lively assembly prickly crumbly wobbly pearly hilly holly frilly"
)
# Prepositions, other conjunctions and pronouns: a noun phrase ends here.
BOUNDS = _words(
    "of in on at by with without from to into onto over under above below beneath beside besides between among "
    "behind near next against around across along through inside outside within upon off up down beyond past "
    "toward towards for as like than amid atop underneath opposite about while when where which who that's whose "
    "it there he she they them him we you i or but if because then here nearby together"
)
PLACES = _words("left right top front side middle center back bottom edge corner")
# Before "of", these only say how something is shown or how much of it.
CARRIERS = _words(
    "photo photograph picture image painting drawing illustration sketch render rendering view shot close-up pair "
    "pairs couple set group bunch piece pieces lot lots row stack pile"
)
# The verbs of captions; others are told by where they stand.
VERBS = _words(
    "has have had having wears wear wearing wore holds hold holding held sits sit sitting sat stands stand standing "
    "stood lies lie lying lay lays laying rests rest resting rested hangs hang hanging hung leans lean leaning "
    "leaned floats float floating floated flies flying flew grows growing grew runs running ran walks "
    "walking walked jumps jumping jumped rides riding rode eats eating ate drinks drinking drank plays playing "
    "played sleeps sleep sleeping slept looking sees watches watching watched carries carrying carried covers covering "
    "contains containing contained made filled covered painted colored coloured decorated surrounded topped placed "
    "setting parked built adorned adorns adorning complements complemented contrasts contrasted contrasting "
    "shines shining shone glows glowing glowed gleams glistens glistened sparkles sparkled reflects reflected "
    "casts cast swims swimming swam climbs climbing climbed crosses crossing crossed rolls rolling rolled falls "
    "falling fell faces facing faced fits perches perched perching blooms blooming bloomed rises rising "
    "touches touching touched reads reading pours pouring poured drives driving drove shows showing showed shown "
    "featuring features featured goes going went comes coming came lays provides provided adds added makes making "
    "keep keeps kept provide led leads leading create creates created"
)
NOUNS_IN_ING = _words(
    "building ring king wing ceiling painting string spring earring clothing wedding thing swing sling awning "
    "railing stocking pudding herring icing frosting lightning drawing carving stuffing bedding rigging siding"
)
ADJECTIVES = _words(
    "red orange yellow green cyan blue purple pink brown black white gray grey gold golden silver beige maroon teal "
    "turquoise violet indigo magenta crimson scarlet navy tan cream ivory bronze dark light bright pale colorful "
    "vivid transparent multicolored round circular square rectangular triangular oval spherical cubic cylindrical "
    "conical pyramidal pentagonal hexagonal octagonal elliptical oblong diamond curved flat pointy sharp tall short "
    "long wide narrow thick thin big small large little tiny huge giant massive high low deep shallow slender slim "
    "wooden woolen metallic fluffy furry fuzzy soft hard smooth rough shiny matte glossy striped checkered spotted "
    "dotted polka-dotted patterned plain knitted woven wrinkled bumpy silky velvety leathery glassy rusty dusty wet dry "
    "old new young ancient modern antique clean dirty empty full open closed broken warm cold hot sweet fresh ripe "
    "cozy beautiful pretty cute happy sad delicate elegant heavy"
)
