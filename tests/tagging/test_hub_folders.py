"""Models to and from the hub: the real client against a server on loopback."""

import json
import os
import subprocess
import sys

import pytest

from ita import Tagger
from ita.errors import UserError
from ita.tagging.hub_folders import fetch_folder
from tests.support.hub import Hub, hub
from tests.support.runs import trained
from tests.support.web import environment


@pytest.fixture(scope="module")
def run(corpus, tiny_encoder, tmp_path_factory):
    run = trained(corpus, tmp_path_factory.mktemp("runs") / "run", tiny_encoder, {"views": ["t"]}, epochs=1)
    (run / "predictions.parquet").touch()
    (run / "README.md").write_text("---\nlibrary_name: ita\n---\n# A card\n")
    return run


def client(code, address, home):
    """Runs code in a process of its own, for the client reads its address when it is imported."""
    variables = {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_TOKEN": "hf_made_up", "HF_HUB_DISABLE_XET": "1"}
    variables |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    kept = {name: value for name, value in os.environ.items() if "HUB_OFFLINE" not in name}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={**kept, **environment(), **variables}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_model_goes_to_the_hub_and_comes_back(run, tmp_path):
    with hub() as address:
        push = f"from ita import Tagger; tagger = Tagger.from_pretrained({str(run)!r}); "
        push += "print(tagger.push_to_hub('me/tagger', private=True))"
        url = client(push, address, tmp_path / "one")
        files = Hub.repositories["me/tagger"]
        assert url.startswith(f"{address}/me/tagger/commit/")
        assert {"model.safetensors", "settings.json", "config.json", "tokenizer.json", "README.md"} <= files.keys()
        assert "predictions.parquet" not in files, "it holds texts of the data"
        assert files["model.safetensors"] == (run / "model.safetensors").read_bytes()
        load = "import json; from ita import Tagger; tagger = Tagger.from_pretrained('me/tagger'{}); "
        load += "print(json.dumps(tagger.predict('b xc')[0].to_dict()))"
        answer = json.loads(client(load.format(""), address, tmp_path / "two"))
        assert answer == Tagger.from_pretrained(run).predict("b xc")[0].to_dict()
        assert json.loads(client(load.format(", revision='main'"), address, tmp_path / "two")) == answer
        known = len(Hub.requests)
    assert json.loads(client(load.format(""), address, tmp_path / "two")) == answer, "from the cache, without the hub"
    assert len(Hub.requests) == known
    command = (
        f"import sys; from ita.__main__ import main; sys.exit(main(['predict', 'me/tagger', {str(tmp_path / 'a')!r}]))"
    )
    (tmp_path / "a").write_text("b xc")
    assert json.loads(client(command, address, tmp_path / "two")) == answer


def test_what_is_no_model_is_named(run, tmp_path):
    with hub() as address:
        Hub.repositories["me/other"] = {"config.json": b"{}"}
        code = "from ita import Tagger\nfrom ita.errors import UserError\ntry:\n    Tagger.from_pretrained({!r})\n"
        code += "except UserError as error:\n    print(error)"
        assert "has no settings.json" in client(code.format("me/other"), address, tmp_path / "home")
        assert "the hub has no model of that name" in client(code.format("me/none"), address, tmp_path / "home")
        push = (
            f"from ita import Tagger\nfrom ita.errors import UserError\ntagger = Tagger.from_pretrained({str(run)!r})\n"
        )
        push += "try:\n    tagger.push_to_hub('a b')\nexcept UserError as error:\n    print(error)"
        assert "'a b' cannot be uploaded" in client(push, address, tmp_path / "home")
    with pytest.raises(UserError, match="no such folder"):
        fetch_folder("./none/there")
