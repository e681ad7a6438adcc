"""Prompts of the published kinds of files, and what is told of malformed ones."""

import json

import pytest

from maskunet.prompts import captions, files
from maskunet.prompts.files import Prompt


@pytest.fixture
def file(tmp_path):
    def write(content, name="prompts.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def coco(*annotations):
    names = ("id", "image_id", "caption")
    return json.dumps({"images": [], "annotations": [dict(zip(names, one, strict=True)) for one in annotations]})


def test_coco_gives_each_image_its_first_caption_by_annotation_id(file):
    text = coco((9, 785, "Late."), (7, 139, " A room.\n"), (3, 785, "A skier."), (8, 139, "Again."))
    assert files.read(file(text, "captions_val2017.json")) == [
        Prompt("000000000139", "A room.", {"image_id": 139, "id": 7}),
        Prompt("000000000785", "A skier.", {"image_id": 785, "id": 3}),
    ]


@pytest.mark.parametrize(
    "content",
    [
        "a red cube\na blue cube\n",
        "a red cube\r\na blue cube",
        "\ufeffa red cube\r\n a blue cube \r\n",
        "a red cube\ra blue cube",
    ],
)
def test_a_list_has_one_prompt_per_line_however_lines_end(file, content):
    found = files.read(file(content))
    assert found == [Prompt("00000", "a red cube"), Prompt("00001", "a blue cube")]


def test_blank_lines_are_skipped_and_keep_the_others_places(file):
    found = files.read(file("\n one\n  \t\ntwo\u2028still two\n\n"))
    assert found == [Prompt("00001", "one"), Prompt("00003", "two\u2028still two")]


def test_a_list_may_hold_prompts_that_look_like_json(file):
    assert files.read(file("[a] red cube\n{b}"))[1].text == "{b}"


def test_genevals_records_are_kept(file):
    row = {"tag": "counting", "include": [{"class": "bench", "count": 2}], "prompt": "two benches"}
    found = files.read(file(json.dumps(row) + "\n", "evaluation_metadata.jsonl"))
    assert found == [Prompt("00000", "two benches", {"tag": "counting", "include": row["include"]})]


def test_an_image_folders_captions_are_prompts_and_are_found_by_file(file, tmp_path):
    lines = [{"file_name": "b.png", "text": "blue"}, {"file_name": "a.png", "caption": "red"}]
    path = file("\n\n".join(map(json.dumps, lines)), "metadata.jsonl")
    assert files.read(path) == [
        Prompt("00000", "blue", {"file_name": "b.png"}),
        Prompt("00002", "red", {"file_name": "a.png"}),
    ]
    assert captions.read(tmp_path, []).texts == {"b.png": "blue", "a.png": "red"}
    assert captions.read(tmp_path / "none", []).texts == {}


PARTI = (
    "Prompt\tCategory\tChallenge\tNote\n"
    'a sign that says "Deep Learning"\tArts\tBasic\t\n\n'
    '"G I G G L E" painted, on a wall\tArts\tWriting & Symbols\tDALL-E\n'
)


def test_partiprompts_and_other_tables_are_read_by_their_header(file):
    found = files.read(file("\ufeff" + PARTI.replace("\n", "\r\n"), "PartiPrompts.tsv"))
    assert [prompt.text for prompt in found] == ['a sign that says "Deep Learning"', '"G I G G L E" painted, on a wall']
    assert [prompt.key for prompt in found] == ["00000", "00001"] and found[1].more["Category"] == "Arts"
    quoted = 'id,CAPTION\n1,"a cube, red"\n2,"she said ""hi""\nand left"\n'
    assert [prompt.text for prompt in files.read(file(quoted, "a.csv"))] == ["a cube, red", 'she said "hi"\nand left']
    assert files.read(file("id;text\n1;a cube, red\n", "excel.csv"))[0].text == "a cube, red"
    assert files.read(file("id\ttext\n1\ta cube, red\n", "tabs.csv"))[0].text == "a cube, red"


@pytest.mark.parametrize(
    "content",
    [
        '["a red cube", "a blue sphere"]',
        '[{"prompt": "a red cube"}, {"Text": "a blue sphere"}]',
        '{"prompts": ["a red cube", {"caption": "a blue sphere"}]}',
        '"a red cube"\n"a blue sphere"',
        '{"prompt": ["a red cube", "a red box"]}\n{"captions": ["", "a blue sphere"]}',
    ],
)
@pytest.mark.parametrize("name", ["list.json", "list.jsonl"])
def test_lists_and_lines_of_texts_or_objects_are_read(file, content, name):
    found = files.read(file("\ufeff" + content, name))
    assert found[0].text == "a red cube" and found[1].text == "a blue sphere"


def test_of_several_texts_the_first_is_taken_and_it_is_said(file):
    found = files.read(file('{"text": ["a cube", "a box"]}\n{"text": "a cone"}', "a.jsonl"))
    assert files.several(found) == "1 entries have several texts; the first of each is taken."
    assert files.several(found[1:]) == ""
    assert files.several(files.read(file(coco((1, 2, "a"), (2, 2, "b")), "coco.json")))


def test_rarer_line_ends_within_json_end_no_line(file):
    found = files.read(file('{"text": "a\u2028b"}\n{"text": "c\x85d"}\n', "a.jsonl"))
    assert [prompt.text for prompt in found] == ["a\u2028b", "c\x85d"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "a.csv",
            "id,name\n1,cube\n",
            "“a.csv” has the columns id, name. Its first line must name prompt, text or cap",
        ),
        ("a.csv", "prompt\na cube, red\n", "Line 2 of “a.csv” has 2 cells, but the header 1. .*quotation marks"),
        ("a.csv", 'prompt\n"a cube\n', "quotation marks of “a.csv” do not pair"),
        ("a.csv", "prompt\n" + "x" * 140_000, "“a.csv” has a cell of over 131,072 characters. Shorten it"),
        ("a.tsv", "prompt\n" + "x" * 140_000, "“a.tsv” has a cell of over 131,072 characters. Shorten it"),
        ("a.csv", "prompt\n\n", "holds no prompt"),
        ("a.csv", "prompt,id\n,3\n", "Line 2 of “a.csv” has no prompt, text or caption. It has the keys prompt, id"),
        ("a.tsv", "", "has no columns"),
        ("a.json", '["a", 3]', "Entry 2 of “a.json” is no JSON object"),
        ("a.json", '["a",]', "“a.json” is no valid JSON"),
        ("a.jsonl", '{"additional_feature": "a"}', "no prompt, text or caption. It has the keys additional_feature."),
        ("a.csv", b"prompt\na caf\xe9\n", "Line 2 of “a.csv” is no UTF-8 text"),
    ],
)
def test_what_a_table_or_list_lacks_is_said(file, name, content, said):
    with pytest.raises(ValueError, match=said):
        files.read(file(content, name))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"prompt": "a"}\n{"prompt": "b"', "Line 2 of “given.jsonl” is no JSON object"),
        ('{"prompt": "a"}\n[1]', "Line 2 of “given.jsonl” is no JSON object"),
        ('{"prompt": "a"}\n\n{"tag": "b"}', "Line 3 of “given.jsonl” has no prompt, text or caption"),
        ('{"prompt": "a"}\n{"prompt": 3}', "Line 2 of “given.jsonl” has no prompt"),
        ('{"text": " "}', "Line 1 of “given.jsonl” has no prompt"),
        ('{"images": []}', "Line 1 of “given.jsonl” has no prompt"),
        ("[" * 100_000, "Line 1 of “given.jsonl” is no JSON object"),
        (b"a red cube\na caf\xe9", "Line 2 of “given.jsonl” is no UTF-8 text"),
        (coco((1, 2, "a"), (2, 3, None)), "Annotation 2 of “given.jsonl” is none of COCO's"),
        (coco((1, 2, "a"), ("x", 3, "b")), "Annotation 2"),
        ('{"annotations": [{"id": 1}]}', "Annotation 1"),
        ('{"annotations": [5]}', "Annotation 1"),
        ('{"annotations": []}', "holds no prompt"),
        ("\n \n", "holds no prompt"),
        ("", "holds no prompt"),
    ],
)
def test_what_is_malformed_is_named_by_its_number(file, content, said):
    with pytest.raises(ValueError, match=said):
        files.read(file(content, "given.jsonl"))


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(
        ValueError, match=r"“none.txt” cannot be read. Give a file of prompts; there is none of this name"
    ):
        files.read(tmp_path / "none.txt")
    with pytest.raises(ValueError, match="is a folder"):
        files.read(tmp_path)
