"""The Python examples of docs/predict.md run, one after another."""

import re
import shutil
from importlib.util import find_spec

from tests.support.paths import ROOT

RUN = "results/demo/runs/demo/ita-all-cva/seed1"


def test_the_examples_run(tesseract, pictured, tmp_path, monkeypatch, capsys):
    shutil.copytree(pictured.run("image-text"), tmp_path / RUN)
    shutil.copy(pictured.folder / "test-0.png", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/predict.md").read_text(), re.DOTALL)
    assert len(blocks) == 5
    if find_spec("spacy"):
        # As its entry point does, where the package was installed before it had one.
        import ita.tagging.spacy_component  # noqa: F401
    else:
        blocks = [block for block in blocks if "spacy" not in block]
    names = {}
    for block in blocks:
        exec(block, names)
    assert names["vectors"].shape[0] == 1 and len(names["frame"]["entities"]) == 2
    assert (tmp_path / "models/mine/README.md").is_file() == (tmp_path / RUN / "README.md").is_file()
