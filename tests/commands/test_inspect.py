"""ita look: what the eyes see in single pictures."""

import json

from PIL import Image

from ita.commands import inspect
from ita.demo import SHIPPED_MODELS, pictures
from ita.demo.training import dataset


def test_the_demos_eyes_look_at_a_picture(tesseract, tmp_path, capsys):
    example = next(example for example in dataset.render_scenes("test", 40) if example.scene.banner)
    example.image.image.save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"broken")
    settings = {"detect": {"model": str(SHIPPED_MODELS / "detector"), "min_objects": 1}}
    settings["caption"] = {"model": str(SHIPPED_MODELS / "captioner")}
    files = [str(tmp_path / name) for name in ("b.png", "a.png")]
    assert inspect.main(["--settings", json.dumps(settings), "--draw", str(tmp_path / "drawn"), *files]) == 0
    broken, seen = map(json.loads, capsys.readouterr().out.splitlines())
    assert "error" in broken and broken["image"].endswith("b.png")
    subject = next(item for item in example.scene.objects if item.subject)
    assert subject.label in {one["label"] for one in seen["objects"]}
    assert len(seen["captions"]) == 5
    assert seen["text"].split()[0] == example.scene.banner.split()[0]
    words = " ".join(seen["context"]).split()
    assert subject.label in words and seen["text"].split()[0] in words
    assert len(seen["context"]) == 5, "a segment for each caption; words are parted from words by no separator"
    assert "<EOS>" not in words
    with Image.open(tmp_path / "drawn" / "a.png") as image:
        assert image.size == (pictures.WIDTH, pictures.HEIGHT)
        assert image.convert("RGB").tobytes() != example.image.image.tobytes()


def test_a_model_that_cannot_be_had_is_named(tmp_path, capsys):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    assert inspect.main(["--settings", '{"detect": {"model": "./nowhere"}}', str(tmp_path / "a.png")]) == 1
    assert "detect.model" in capsys.readouterr().err
