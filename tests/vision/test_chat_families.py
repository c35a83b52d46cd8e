"""Families of chat models, each a tiny one of random weights that the Auto classes load."""

from functools import partial

import pytest
from transformers.utils import is_torchvision_available

from ita.config import Caption
from ita.errors import UserError
from ita.model import hub
from ita.vision.captioners.transformers import TransformersCaptioner
from tests.support.chat_models import make_llava
from tests.support.detectors import decoded_scenes
from tests.support.vision_models import make_gemma3, make_idefics3, make_qwen

NEEDS_TORCHVISION = pytest.mark.skipif(
    not is_torchvision_available(), reason="the processors of Qwen-VL need a torchvision that fits torch"
)
FAMILIES = {
    "llava": make_llava,
    "idefics3": make_idefics3,
    "gemma3": make_gemma3,
    "qwen2_5_vl": make_qwen,
    "qwen3_vl": partial(make_qwen, family="qwen3_vl"),
}


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=NEEDS_TORCHVISION if "qwen" in name else ()) for name in FAMILIES]
)
def test_pictures_of_several_shapes_are_answered_as_single_ones_are(family, tmp_path):
    model = FAMILIES[family](tmp_path / family)
    captioner = TransformersCaptioner(
        Caption(backend="transformers", model=model, device="cpu", precision="fp32", max_tokens=8, prompt="Who?")
    )
    assert captioner.model.chat and captioner.search == (1, 1, 8)
    images = decoded_scenes((60, 40), (40, 60), (60, 40), (97, 20))
    together = captioner.caption(images)
    assert together == [captioner.caption([image])[0] for image in images]
    assert all(len(captions) == 1 for captions in together)
    assert len({captions[0].text for captions in together}) > 1, "the picture had an effect"


def test_models_that_read_videos_have_pillows_resizing_too(monkeypatch):
    """Their video processor has no such thing, which must not cost the pictures theirs."""

    class Processor:
        image_processor = "torchvision's"

    def load(auto, source, setting, **options):
        if auto == "AutoImageProcessor":
            assert options == {"backend": "pil"}
            return "Pillow's"
        if options:
            raise UserError("setting x: 'm' does not load: Video processor cannot be loaded - requested pil backend")
        return Processor()

    monkeypatch.setattr(hub, "load", load)
    assert hub.load_processor({}, "x").image_processor == "Pillow's"

    def broken(auto, source, setting, **options):
        raise UserError("setting x: 'm' does not load")

    monkeypatch.setattr(hub, "load", broken)
    with pytest.raises(UserError, match="does not load"):
        hub.load_processor({}, "x")
