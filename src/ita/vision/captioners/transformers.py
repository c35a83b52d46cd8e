"""Image-text models of transformers' Auto classes."""

from __future__ import annotations

from collections.abc import Sequence

from ita.config import Caption
from ita.errors import UserError
from ita.model import hub
from ita.model.device import arithmetic, resolve
from ita.vision.types import DecodedImage, ImageCaption

SETTING = "caption.model"


class TransformersCaptioner:
    """Any model of ``AutoModelForImageTextToText``: BLIP, BLIP-2, GIT, Florence-2, Qwen-VL, ..."""

    def __init__(self, settings: Caption) -> None:
        """Loads the model.

        Raises:
            UserError: when it can not be had, is no captioner, or more captions than beams are asked for.
        """
        if settings.captions > settings.beams:
            raise UserError(
                f"setting caption.captions: {settings.captions} captions cannot come out of {settings.beams} beams; "
                "raise caption.beams or lower caption.captions"
            )
        self.settings = settings
        self.device = resolve(settings.device)
        self.dtype = arithmetic(self.device, settings.precision, 0)
        found = hub.find(settings.model, settings.revision, settings.local_files_only, SETTING)
        # Pillow's resizing wherever a model has it: torchvision's differs a little and is not there on every machine.
        self.processor = hub.load("AutoProcessor", found, SETTING, backend="pil")
        if not (hasattr(self.processor, "tokenizer") and hasattr(self.processor, "image_processor")):
            raise UserError(f"setting {SETTING}: '{settings.model}' has no processor for images and text together")
        # Generation continues from the last token, which therefore must not be padding.
        self.processor.tokenizer.padding_side = "left"
        model = hub.load("AutoModelForImageTextToText", found, SETTING, use_safetensors=True, dtype=self.dtype)
        self.model = model.to(self.device).eval()
        self.metadata = {**hub.facts(found, model), "device": str(self.device), "precision": str(self.dtype)}

    def caption(self, pictures: Sequence[DecodedImage]) -> list[list[ImageCaption]]:
        """Captions of each picture by beam search; in fp32 they do not depend on what else is in the batch."""
        import torch

        images = [picture.image for picture in pictures]
        prompt = self.prompt()
        text = {"text": [prompt] * len(images), "padding": True} if prompt else {}
        inputs = self.processor(images=images, return_tensors="pt", **text).to(self.device)
        for name, value in inputs.items():
            if torch.is_floating_point(value):
                inputs[name] = value.to(self.dtype)
        each = self.settings.captions
        with torch.inference_mode():
            output = self.model.generate(
                **inputs,
                do_sample=False,
                num_beams=self.settings.beams,
                num_return_sequences=each,
                max_new_tokens=self.settings.max_tokens,
                return_dict_in_generate=True,
                output_scores=True,
            )
        tokens = output.sequences
        given = inputs.get("input_ids")
        if given is not None:  # decoder-only models repeat what they were given
            given = given.repeat_interleave(each, dim=0)
            if tokens.shape[1] >= given.shape[1] and bool((tokens[:, : given.shape[1]] == given).all()):
                tokens = tokens[:, given.shape[1] :]
        texts = [self.clean(line) for line in self.processor.batch_decode(tokens, skip_special_tokens=True)]
        scores = getattr(output, "sequences_scores", None)
        logprobs = [None] * len(texts) if scores is None else scores.float().tolist()
        captions = [ImageCaption(line, score) for line, score in zip(texts, logprobs, strict=True)]
        return [captions[start : start + each] for start in range(0, len(captions), each)]

    def prompt(self) -> str | None:
        """What the model is started with: the setting, in the frame of its chat where it has one."""
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
