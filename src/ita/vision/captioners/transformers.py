"""Image-text models of transformers' Auto classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ita.config import Caption
from ita.errors import UserError
from ita.model import hub
from ita.model.device import compute_dtype, resolve_device
from ita.vision.captioners.common import SETTING
from ita.vision.types import DecodedImage, ImageCaption

if TYPE_CHECKING:
    from torch import Tensor


class TransformersCaptioner:
    """Any model of ``AutoModelForImageTextToText``: BLIP, BLIP-2, GIT, Florence-2, Qwen-VL, ..."""

    def __init__(self, settings: Caption) -> None:
        """Loads the model.

        Raises:
            UserError: when it cannot be loaded, is no captioner, or the settings do not go together.
        """
        self.settings = settings
        self.device = resolve_device(settings.device)
        self.dtype = compute_dtype(self.device, settings.precision, 0)
        source = hub.find(settings.model, settings.revision, settings.local_files_only, SETTING)
        # Pillow's resizing wherever a model has it: torchvision's differs a little and is not on every machine.
        self.processor = hub.load("AutoProcessor", source, SETTING, backend="pil")
        if not (hasattr(self.processor, "tokenizer") and hasattr(self.processor, "image_processor")):
            raise UserError(f"setting {SETTING}: '{settings.model}' has no processor for images and text together")
        # Generation continues from the last token, which therefore must not be padding.
        self.processor.tokenizer.padding_side = "left"
        model = hub.load("AutoModelForImageTextToText", source, SETTING, use_safetensors=True, dtype=self.dtype)
        self.model = model.to(self.device).eval()
        self.metadata = {**hub.identity(source, model), "device": str(self.device), "precision": str(self.dtype)}

    def caption(self, images: Sequence[DecodedImage]) -> list[list[ImageCaption]]:
        """Captions of each image by beam search; in fp32 they do not depend on what else is in the batch."""
        import torch

        prompt = self.prompt()
        text = {"text": [prompt] * len(images), "padding": True} if prompt else {}
        pixels = [image.image for image in images]
        inputs = self.processor(images=pixels, return_tensors="pt", **text).to(self.device)
        for name, value in inputs.items():
            if torch.is_floating_point(value):
                inputs[name] = value.to(self.dtype)
        per_image = self.settings.captions
        with torch.inference_mode():
            output = self.model.generate(
                **inputs,
                do_sample=False,
                num_beams=self.settings.beams,
                num_return_sequences=per_image,
                max_new_tokens=self.settings.max_tokens,
                return_dict_in_generate=True,
                output_scores=True,
            )
        ids = without_prompt(output.sequences, inputs.get("input_ids"))
        texts = [self.clean(line) for line in self.processor.batch_decode(ids, skip_special_tokens=True)]
        scores = getattr(output, "sequences_scores", None)
        logprobs = [None] * len(texts) if scores is None else scores.float().tolist()
        captions = [ImageCaption(text, logprob) for text, logprob in zip(texts, logprobs, strict=True)]
        return [captions[start : start + per_image] for start in range(0, len(captions), per_image)]

    def prompt(self) -> str | None:
        """The setting, in the model's chat template where it has one; None without a prompt."""
        if not getattr(self.processor, "chat_template", None):
            return self.settings.prompt
        text = self.settings.prompt or "Describe the image in one sentence."
        content = [{"type": "image"}, {"type": "text", "text": text}]
        chat = [{"role": "user", "content": content}]
        return str(self.processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False))

    def clean(self, text: str) -> str:
        """Single spaces, and without the prompt, which BLIP repeats (in lower case)."""
        text = " ".join(text.split())
        prompt = " ".join((self.settings.prompt or "").split())
        return text[len(prompt) :].lstrip() if text.lower().startswith(prompt.lower()) else text


def without_prompt(ids: Tensor, prompt_ids: Tensor | None) -> Tensor:
    """Generated ids without those of the prompt, which decoder-only models repeat.

    Args:
        ids: (B * C, T) C captions per image.
        prompt_ids: (B, P), or None for a model without a prompt.
    """
    if prompt_ids is None:
        return ids
    length = prompt_ids.shape[1]
    prompts = prompt_ids.repeat_interleave(len(ids) // len(prompt_ids), dim=0)
    repeated = ids.shape[1] >= length and bool((ids[:, :length] == prompts).all())
    return ids[:, length:] if repeated else ids
