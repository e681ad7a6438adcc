"""GenEval and BLIP-VQA: rules with known answers, networks in their real formats, and the command."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from maskunet.commands import benchmark
from maskunet.commands.registry import main
from maskunet.evaluation import benchmarks
from maskunet.evaluation.benchmarks import blip_vqa, geneval
from maskunet.evaluation.benchmarks.base import Row, Score, by_prompt
from maskunet.evaluation.benchmarks.geneval import colors, objects, rules
from maskunet.evaluation.intervals import wilson
from maskunet.library.download import plan
from maskunet.prompts.files import Prompt, read
from tests.support.tiny_benchmarks import (
    LABELS,
    nearest_color,
    painted,
    square,
    write_blip,
    write_clip,
    write_detector,
    write_networks,
)

CPU = torch.device("cpu")


def given(key="00000", text="a photo of a dog", more=None):
    """A prompt as a prompt file gives it."""
    return Prompt(key, text, more or {})


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """The folder that --weights takes."""
    return write_networks(tmp_path_factory.mktemp("networks"))


def verdict(things, tag, *include, exclude=(), pixels=None):
    """What GenEval says of a picture in which a detector finds these things."""
    judge = geneval.Judge(lambda _: things, nearest_color)
    more = {"tag": tag, "include": list(include), "exclude": list(exclude), "prompt": "-"}
    found = judge(painted() if pixels is None else pixels, given(more=more))
    assert (found.value == 1) == (found.reason == "")
    return found


def asked(name, count=1, **more):
    return {"class": name, "count": count, **more}


# GenEval's rules


@pytest.mark.parametrize(("seen", "right"), [(1, False), (2, False), (3, True), (4, False)])
def test_counting_is_exact(seen, right):
    dogs = [square("dog", 30 * i, 0) for i in range(seen)]
    found = verdict(dogs, "counting", asked("dog", 3), exclude=[asked("dog", 4)])
    assert found.value == right
    assert right or found.reason == (
        "expected fewer than 4 dog, found 4" if seen == 4 else f"expected 3 dog, found {seen}"
    )


@pytest.mark.parametrize(
    ("tag", "score", "right"),
    [("single_object", 0.31, True), ("single_object", 0.3, False), ("counting", 0.9, False), ("counting", 0.91, True)],
)
def test_a_thing_counts_above_the_tasks_threshold(tag, score, right):
    assert verdict([square("dog", 0, 0, score=score)], tag, asked("dog")).value == right


def test_two_objects_need_both():
    both = [square("dog", 0, 0), square("bench", 50, 0)]
    include = (asked("dog"), asked("bench"))
    assert verdict(both, "two_object", *include).value == 1
    assert verdict(both[:1], "two_object", *include).reason == "expected 1 bench, found 0"
    assert verdict([], "two_object", *include).reason == "expected 1 dog, found 0; expected 1 bench, found 0"


def test_no_more_than_sixteen_of_a_name_are_kept_the_surest_first():
    dogs = [square("dog", 5 * i, 0, score=0.4 + 0.02 * i) for i in range(20)]
    found = rules.sure(dogs, "two_object")["dog"]
    assert [dog.score for dog in found] == sorted((dog.score for dog in dogs), reverse=True)[:16]


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (-60, 0, {"left of"}),
        (60, 0, {"right of"}),
        (0, -60, {"above"}),
        (0, 60, {"below"}),
        (0, 0, set()),
        (4, 0, set()),  # the margin is a tenth of both sizes, 4 pixels
        (7, 0, set()),  # (7 - 4) / 7 is less than half
        (9, 0, {"right of"}),  # (9 - 4) / 9 is more
        (60, 60, {"right of", "below"}),  # 56 / 84.9 = 0.66 in both directions
        (60, -20, {"right of"}),
    ],
)
def test_sides_by_centers_with_a_margin(x, y, expected):
    assert rules.sides(square("dog", 80 + x, 80 + y), square("bench", 80, 80)) == expected


def test_the_margin_grows_with_both_things():
    assert rules.sides(square("dog", 80, 80), square("bench", 65, 80)) == {"right of"}
    # Centers 15 pixels apart again; the margin is (20 + 100) / 10 = 12, and 3 / 15 less than half.
    assert rules.sides(square("dog", 80, 80), square("bench", 25, 40, size=100)) == set()


@pytest.mark.parametrize("side", rules.SIDES)
def test_position_is_asked_of_the_earlier_thing(side):
    at = {"left of": (10, 80), "right of": (150, 80), "above": (80, 10), "below": (80, 150)}[side]
    bench, dog = square("bench", 80, 80), square("dog", *at)
    include = (asked("bench"), asked("dog", position=[side, 0]))
    assert verdict([bench, dog], "position", *include).value == 1
    opposite = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}[side]
    wrong = verdict([bench, dog], "position", asked("bench"), asked("dog", position=[opposite, 0]))
    assert wrong.reason == f"expected dog {opposite} the other, found {side}"
    missing = verdict([dog], "position", *include)
    assert missing.reason == f"expected 1 bench, found 0; nothing found for dog to be {side}"


def test_only_the_surest_thing_is_asked_for_its_side():
    things = [square("bench", 80, 80), square("dog", 150, 80, score=0.9), square("dog", 10, 80, score=0.8)]
    include = (asked("bench"), asked("dog", position=["left of", 0]))
    assert verdict(things, "position", *include).value == 0
    assert verdict(list(reversed(things)), "position", *include).value == 0
    assert verdict(things[:1] + things[2:], "position", *include).value == 1


def test_a_clause_that_does_not_hold_is_no_target():
    things = [square("bench", 80, 80), square("dog", 10, 80)]
    found = verdict(things, "position", asked("bench", 2), asked("dog", position=["left of", 0]))
    assert found.reason == "expected 2 bench, found 1; nothing found for dog to be left of"


def test_color_is_looked_at_where_the_thing_is():
    dog, bench = square("dog", 0, 0), square("bench", 100, 100)
    pixels = painted((dog, "red"), (bench, "blue"))
    right = (asked("dog", color="red"), asked("bench", color="blue"))
    assert verdict([dog, bench], "color_attr", *right, pixels=pixels).value == 1
    swapped = (asked("dog", color="blue"), asked("bench", color="red"))
    assert verdict([dog, bench], "color_attr", *swapped, pixels=pixels).reason == (
        "expected 1 blue dog, found red; expected 1 red bench, found blue"
    )


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({}, "“tag” must be one of"),
        ({"tag": "colors"}, "“include” must be a list"),
        ({"tag": "colors", "include": []}, "“include” must be a list"),
        ({"tag": "colors", "include": ["dog"]}, "“class”, not 'dog'"),
        ({"tag": "colors", "include": [{"class": "dog"}]}, "“count” .* not None"),
        ({"tag": "colors", "include": [asked("dog", 0)]}, "“count” .* not 0"),
        ({"tag": "colors", "include": [asked("dog", True)]}, "“count” .* not True"),
        ({"tag": "colors", "include": [asked("dog", color="mauve")]}, "“color” .* not 'mauve'"),
        ({"tag": "position", "include": [asked("dog", position=["left of", 0])]}, "“position”"),
        ({"tag": "position", "include": [asked("a"), asked("dog", position=["near", 0])]}, "“position”"),
        ({"tag": "position", "include": [asked("a"), asked("dog", position="left of")]}, "“position”"),
    ],
)
def test_a_malformed_record_is_refused_and_named(record, told):
    with pytest.raises(ValueError, match=rf"Line 8 is no record.*{told}"):
        geneval.check([given("00007", more=record)])


def test_overall_is_the_mean_over_tasks_not_pictures():
    rows = [row("single_object", f"s{i}", 1) for i in range(6)]
    rows += [row("counting", f"c{i}", i % 2) for i in range(2)]
    single, counting, overall = geneval.summarize(rows)
    assert (single.name, single.value, counting.value, overall.value) == ("single_object", 1, 0.5, 0.75)
    assert (counting.low, counting.high) == wilson(1, 2)
    # Each end is half the root of the sum of both tasks' squared distances to their own ends.
    (low, _), (below, above) = wilson(6, 6), wilson(1, 2)
    assert overall.low == pytest.approx(0.75 - math.hypot(1 - low, 0.5 - below) / 2)
    assert overall.high == pytest.approx(0.75 + (above - 0.5) / 2)
    assert "two_object" in overall.note and overall.n == 8


def test_six_tasks_leave_no_note():
    assert geneval.summarize([row(task, task, 1) for task in rules.TASKS])[-1].note == ""


def test_published_overalls_are_the_means_of_the_published_tasks():
    for figures in geneval.SPEC.published.values():
        mean = np.mean([figures[task] for task in rules.TASKS])
        assert figures["overall"] == pytest.approx(mean, abs=0.0085)


def row(task, key, value, image=0, prompt="-"):
    return Row(file=f"{key}-{image}.png", key=key, image=image, prompt=prompt, task=task, value=float(value))


# GenEval's networks


def test_things_of_hand_made_logits():
    names = ("dog", "bench")
    classes = torch.tensor([[6.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 9.0]])
    masks = torch.full((3, 8, 10), -9.0)
    masks[0, 2:5, 1:4] = 2.0
    masks[1, 0:2, 6:10] = 3.0
    dog, bench = objects.things(classes, masks, names)[:2]
    assert (dog.name, dog.box, bench.name, bench.box) == ("dog", (1, 2, 4, 5), "bench", (6, 0, 10, 2))
    sure = math.exp(6) / (math.exp(6) + 2) / (1 + math.exp(-2))
    assert dog.score == pytest.approx(sure, rel=1e-5) and dog.mask.sum() == 9
    # The third query's mask is empty, so it is no thing, whatever its name.
    assert len(objects.things(classes[2:], masks[2:], names)) == 0


def test_things_agree_with_transformers_own_reading():
    from transformers.models.mask2former.image_processing_pil_mask2former import Mask2FormerImageProcessorPil
    from transformers.models.mask2former.modeling_mask2former import Mask2FormerForUniversalSegmentationOutput

    draw = torch.Generator().manual_seed(3)
    classes = 3 * torch.randn(1, 6, len(LABELS) + 1, generator=draw)
    masks = torch.randn(1, 6, 384, 384, generator=draw)
    output = Mask2FormerForUniversalSegmentationOutput(class_queries_logits=classes, masks_queries_logits=masks)
    theirs = Mask2FormerImageProcessorPil().post_process_instance_segmentation(output, threshold=0.0)[0]
    expected = sorted((LABELS[one["label_id"]], one["score"]) for one in theirs["segments_info"])
    ours = sorted((thing.name, thing.score) for thing in objects.things(classes[0], masks[0], LABELS))
    assert [name for name, _ in ours] == [name for name, _ in expected]
    assert [score for _, score in ours] == pytest.approx([score for _, score in expected], abs=2e-6)


def test_the_detector_reads_a_saved_network_and_gives_masks_of_the_pictures_size(tmp_path):
    find = objects.Detector(write_detector(tmp_path / "detector"), CPU, short=64)
    assert find.names == ("person", "bicycle", "car", "motorcycle", "dog", "couch", "computer mouse", "bench")
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    found = find(pixels)
    assert 0 < len(found) <= 6
    for thing in found:
        left, top, right, bottom = thing.box
        assert thing.mask.shape == (50, 70) and 0 < thing.score < 1
        assert thing.mask[top:bottom, left:right].sum() == thing.mask.sum() > 0


@pytest.mark.parametrize(
    ("shape", "size", "padded"), [((512, 512), (800, 800), (800, 800)), ((100, 400), (333, 1333), (352, 1344))]
)
def test_pictures_come_to_the_detector_as_mmdetection_sizes_them(shape, size, padded):
    picture, found = objects._prepared(torch.zeros(1, 3, *shape), objects.SHORT)
    assert (found, tuple(picture.shape[-2:])) == (size, padded)
    assert picture[0, 0, 0, 0] == pytest.approx(-0.485 / 0.229)


def test_a_thing_is_cut_out_on_gray():
    thing = square("dog", 20, 30, size=4)
    thing.mask[30, 20] = False
    found = colors.cut_out(painted((square("dog", 20, 30, size=4), "red")), thing)
    assert found.shape == (4, 4, 3)
    assert found[0, 0].tolist() == [0x99] * 3 and found[1, 1].tolist() == [255, 0, 0]


def test_the_color_is_the_one_whose_sentences_clip_finds_nearest(tmp_path):
    from transformers import AutoTokenizer, CLIPModel

    from maskunet.encoders.pixels import normalized

    folder = write_clip(tmp_path / "clip")
    namer = colors.ColorNamer(folder, CPU)
    things = [square("dog", 0, 0), square("dog", 90, 40, size=30)]
    pixels = painted((things[0], "red"), (things[1], "blue"))
    clip, tokenizer = CLIPModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    cut = [torch.from_numpy(colors.cut_out(pixels, thing)).permute(2, 0, 1)[None] / 255 for thing in things]
    shown, means = torch.cat([normalized(picture, 16) for picture in cut]), []
    for color in rules.COLORS:
        told = [f"a photo of a {color} dog", f"a photo of a {color}-colored dog", f"a photo of a {color} object"]
        with torch.no_grad():
            output = clip(**tokenizer(told, padding=True, return_tensors="pt"), pixel_values=shown)
        means.append(output.text_embeds.mean(0) / output.text_embeds.mean(0).norm())
    assert torch.allclose(namer._text("dog"), torch.stack(means), atol=1e-5)
    nearest = (output.image_embeds @ torch.stack(means).T).argmax(1)
    assert namer(pixels, things) == [rules.COLORS[i] for i in nearest]


def test_a_detector_that_does_not_know_what_is_asked_is_refused(networks):
    folders = benchmarks.find(geneval.SPEC, networks)
    more = {"tag": "single_object", "include": [asked("zebra")]}
    with pytest.raises(ValueError, match="does not know zebra"):
        geneval.load(folders, CPU, [given(more=more)])


# BLIP-VQA


@pytest.mark.parametrize(
    ("prompt", "phrases"),
    [
        ("a green bench and a red car", ("a green bench", "a red car")),
        ("The leather jacket and fluffy pillow.", ("The leather jacket", "fluffy pillow")),
        ("two dogs on the left of a cat", ("two dogs", "a cat")),
        ("the cube is red", ("the red cube",)),
        (", ".join(f"a red thing{i}" for i in range(10)), tuple(f"a red thing{i}" for i in range(8))),
    ],
)
def test_phrases_by_rules(prompt, phrases, monkeypatch):
    monkeypatch.setattr("maskunet.prompts.dependencies.language", lambda: None)
    assert blip_vqa.phrases_of(prompt) == phrases


def test_phrases_are_spacys_noun_chunks_where_it_is_installed(monkeypatch):
    class Document:
        noun_chunks = tuple(type("Chunk", (), {"text": t}) for t in ("a very red book", "the left", "it", "top"))

    monkeypatch.setattr("maskunet.prompts.dependencies.language", lambda: lambda prompt: Document)
    assert blip_vqa.phrases_of("-") == ("a very red book", "it")


def test_the_value_is_the_product_over_phrases():
    told = {"a red book?": 0.5, "a blue vase?": 0.3}
    judge = blip_vqa.Judge(lambda pixels, questions: [told[question] for question in questions])
    found = judge(painted(), given(text="a red book and a blue vase"))
    assert found.value == pytest.approx(0.15)
    assert found.reason == "a red book 0.5000; a blue vase 0.3000"


def test_a_prompt_without_a_thing_is_refused():
    with pytest.raises(ValueError, match="Line 4 has no noun phrase"):
        blip_vqa.check([given(text="a red book"), given("00003", text="of the and")])


@pytest.mark.parametrize(
    ("question", "expected"),
    [("The (red) Book!?", "the red book?"), ('a 3:4 "vase";~?', "a 34 vase?"), ("a t-shirt's #1*?", "a t-shirt's 1?")],
)
def test_questions_are_cleaned_as_blip_was_trained(question, expected):
    assert blip_vqa.cleaned(question) == expected


def test_yes_is_what_transformers_would_generate_first(tmp_path):
    from transformers import AutoTokenizer, BlipForQuestionAnswering

    folder = write_blip(tmp_path / "blip")
    ask, tokenizer = blip_vqa.Questions(folder, CPU, size=32), AutoTokenizer.from_pretrained(folder)
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    network = BlipForQuestionAnswering.from_pretrained(folder).eval()
    tokens = tokenizer("a red book?", return_tensors="pt", return_token_type_ids=False)
    tokens.input_ids[0, 0] = network.config.text_config.bos_token_id + 1
    generated = network.generate(
        **tokens,
        pixel_values=ask._prepared(pixels),
        max_new_tokens=1,
        output_logits=True,
        return_dict_in_generate=True,
        do_sample=False,
    )
    logits = generated.logits[0][0]
    yes, no = (float(logits[tokenizer.convert_tokens_to_ids(word)]) for word in ("yes", "no"))
    assert ask(pixels, ["a red book?"]) == pytest.approx([1 / (1 + math.exp(no - yes))], abs=1e-5)
    assert abs(yes - no) > 0.01  # else any answer would do


def test_questions_of_other_lengths_beside_it_change_no_answer(tmp_path):
    ask = blip_vqa.Questions(write_blip(tmp_path / "blip"), CPU, size=64)
    pixels = np.random.default_rng(2).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    questions = ["a red book?", "vase?", "the red blue book?"]
    alone = [ask(pixels, [question])[0] for question in questions]
    assert ask(pixels, questions) == pytest.approx(alone, abs=1e-5)
    assert len({round(p, 4) for p in alone}) == 3


def test_each_prompt_weighs_the_same():
    rows = [row("color", "a", 1, 0), row("color", "a", 0, 1), row("color", "b", 1)]
    (score,) = blip_vqa.summarize(rows)
    assert by_prompt(rows) == [0.5, 1.0]
    assert (score.value, score.n, score.prompts, score.low, score.high) == (0.75, 3, 2, 0.5, 1.0)


@pytest.mark.parametrize(
    ("stem", "task"), [("color_val", "color"), ("Texture_val", "texture"), ("shape", "shape"), ("my", "my")]
)
def test_the_list_is_told_by_its_files_name(stem, task):
    assert blip_vqa.task_of(given(), stem) == task


# Weights, pictures and the command


def test_missing_weights_are_named_with_their_size_and_how_to_get_them(tmp_path):
    write_clip(tmp_path / geneval.CLIP.name)
    with pytest.raises(ValueError, match=r"Mask2Former .*0\.28 GB.*download geneval") as told:
        benchmarks.find(geneval.SPEC, tmp_path)
    assert "ViT-L/14" not in str(told.value)
    assert plan("geneval").gigabytes == pytest.approx(0.28 + 1.71)
    assert [repo for repo, _, _ in plan("blip_vqa").files] == ["Salesforce/blip-vqa-base"]


def test_damaged_weights_are_refused_not_left_random(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = write_blip(tmp_path / "blip")
    weights = load_file(folder / "model.safetensors")
    weights.pop("vision_model.embeddings.class_embedding")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="lacks weights"):
        blip_vqa.Questions(folder, CPU)
    (folder / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(ValueError, match="can be read"):
        blip_vqa.Questions(folder, CPU)


def test_pictures_are_matched_to_prompts_by_name(tmp_path):
    prompts = [given(key) for key in ("00000", "00001", "00002")]
    for name in ("00001", "00000-10", "00000-2", "other", "00009-0"):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
    found = benchmarks.pictures_of(tmp_path, prompts)
    assert [(p.path.name, p.image) for p in found] == [("00000-2.png", 2), ("00000-10.png", 10), ("00001.png", 0)]
    made = {"steps": 15, "guidance": 7.5, "seed": 0, "preset": ""}
    assert benchmarks.protocol(found, made) == {
        "prompts": "2", "images per prompt": "1 to 2", "seed": "one per picture, from 0", "steps": "15",
        "guidance": "7.5", "method": "not stated", "preset": "not stated", "model": "not stated",
    }  # fmt: skip
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "00001.png", "text": "a cat"}\n')
    with pytest.raises(ValueError, match="00001.png.* from “a cat”, but the prompts have “a photo of a dog”"):
        benchmarks.pictures_of(tmp_path, prompts)
    with pytest.raises(ValueError, match="holds no picture"):
        benchmarks.pictures_of(tmp_path, [given("77777")])
    with pytest.raises(ValueError, match="is no folder"):
        benchmarks.pictures_of(tmp_path / "absent", prompts)


def test_every_published_figure_has_a_column_and_every_protocol_too():
    score = Score(name="color", value=0.5, low=0.4, high=0.6, n=10, prompts=5)
    about = {"images": "mine", "prompts": "color_val.txt", "protocol": {"steps": "15"}, "without_pictures": 3}
    text = benchmark.markdown(blip_vqa.SPEC, [score], about)
    assert "| color | 0.5000 | 0.4000 to 0.6000 | 10 | 0.3750 |" in text
    assert "| steps | 15 | 15; 50 where said | 30 |" in text
    assert "3 prompts" in text


GENEVAL = [
    {"tag": "single_object", "include": [asked("dog")], "prompt": "a photo of a dog"},
    {"tag": "colors", "include": [asked("bench", color="red")], "prompt": "a photo of a red bench"},
]
FILES = {
    "geneval": ("evaluation_metadata.jsonl", "\n".join(map(json.dumps, GENEVAL)).encode()),
    "blip_vqa": ("color_val.txt", b"a red book and a blue vase\r\nthe red vase"),
}


@pytest.mark.parametrize("name", list(FILES))
def test_the_command_judges_a_folder_with_real_networks(name, networks, tmp_path, capsys):
    file, content = FILES[name]
    (tmp_path / file).write_bytes(content)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i, prompt in enumerate(read(tmp_path / file)):
        for k in range(2):
            Image.new("RGB", (48, 48), (90 * i, 40, 120 * k)).save(pictures / f"{prompt.key}-{k}.png")
    (pictures / "sample.json").write_text('{"steps": 15, "method": "plain"}')
    words = ["benchmark", name, "--images", pictures, "--prompts", tmp_path / file, "--weights", networks]
    assert main([*map(str, words), "--device", "cpu", "--out", str(tmp_path / "out")]) == 0
    record = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert record["protocol"]["images per prompt"] == "2" and record["without_pictures"] == 0
    assert all(0 <= score["low"] <= score["value"] <= score["high"] <= 1 for score in record["scores"])
    assert len((tmp_path / "out" / "rows.csv").read_text().splitlines()) == 5
    assert len((tmp_path / "out" / "prompts.csv").read_text().splitlines()) == 3
    assert "| steps | 15 | 15" in (tmp_path / "out" / "benchmark.md").read_text()
    assert "n = 4, prompts: 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("color_val.txt", b"a red book\n\nof the and\n", "Line 3 has no noun phrase"),
        ("color_val.csv", b"prompt,tag\na red book,x\n\nof the and,y\n", "Line 4 has no noun phrase"),
        ("color_val.json", b'["a red book", "of the and"]', "Entry 2 has no noun phrase"),
        ("color_val.txt", b"", "no prompt"),
        ("sample.json", b"{", "no valid JSON"),
        ("sample.json", b"[]", "no JSON object"),
        ("00000.png", b"no picture", "“00000.png” is damaged"),
    ],
)
def test_the_command_says_what_cannot_be_used_in_one_sentence(file, content, told, networks, tmp_path, capsys):
    (tmp_path / "color_val.txt").write_bytes(b"a red book")
    Image.new("RGB", (8, 8)).save(tmp_path / "00000.png")
    (tmp_path / file).write_bytes(content)
    prompts = file if file.startswith("color_val") else "color_val.txt"
    words = ["benchmark", "blip_vqa", "--images", tmp_path, "--prompts", tmp_path / prompts]
    words += ["--weights", networks, "--device", "cpu", "--out", tmp_path / "out"]
    assert main([*map(str, words)]) == 2
    error = capsys.readouterr().err
    assert told in error and "Traceback" not in error
