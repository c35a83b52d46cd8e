"""Models of transformers that read pictures and write text: captioners, chat models, readers of characters."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ita.config.vision import Search
from ita.data.generated_text import clean
from ita.errors import UserError
from ita.model import hub
from ita.model.device import compute_dtype, resolve_device
from ita.vision.images import shrink
from ita.vision.types import ImageCaption

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


class ModelSettings(Protocol):
    """Settings that name a model and say how it runs."""

    @property
    def model(self) -> str | None: ...

    @property
    def revision(self) -> str | None: ...

    @property
    def local_files_only(self) -> bool: ...

    @property
    def device(self) -> str: ...

    @property
    def precision(self) -> str: ...


class ImageTextModel:
    """Any model of ``AutoModelForImageTextToText``: BLIP, GIT, Florence-2, Qwen-VL, SmolVLM, Gemma, Donut, ...

    Attributes:
        chat: the model has a chat template, in which it is asked.
        metadata: what identifies it.
    """

    def __init__(self, settings: ModelSettings, setting: str) -> None:
        """Loads the model.

        Args:
            settings: of the stage that runs it.
            setting: the setting that names it, for messages: ``caption.model``.

        Raises:
            UserError: when it cannot be loaded, or has no processor for images and text together.
        """
        self.setting, self.name = setting, settings.model
        self.device = resolve_device(settings.device)
        source = hub.find(settings.model, settings.revision, settings.local_files_only, setting)
        self.processor = hub.load_processor(source, setting)
        if not (hasattr(self.processor, "tokenizer") and hasattr(self.processor, "image_processor")):
            raise UserError(f"setting {setting}: '{settings.model}' has no processor for images and text together")
        self.dtype = compute_dtype(self.device, settings.precision, 0)
        # Generation continues from the last token, which therefore must not be padding.
        self.processor.tokenizer.padding_side = "left"
        model = hub.load("AutoModelForImageTextToText", source, setting, use_safetensors=True, dtype=self.dtype)
        self.model = model.to(self.device).eval()
        self.chat = bool(getattr(self.processor, "chat_template", None))
        self.metadata = {**hub.identity(source, model), "device": str(self.device), "precision": str(self.dtype)}

    def write(self, pictures: Sequence[Image], prompt: str | None, search: Search) -> list[list[ImageCaption]]:
        """Texts about each picture, best first; in fp32 they do not depend on what else is in the batch.

        Args:
            pictures: RGB.
            prompt: what a chat model is asked, what others begin with.
            search: as for captions; without beams the likeliest word follows each word.
        """
        ids, scores = self.generate(pictures, prompt, search)
        lines = self.processor.batch_decode(ids, skip_special_tokens=True)
        texts = [clean(line) if self.chat else without_prompt_text(line, prompt) for line in lines]
        logprobs = [None] * len(texts) if scores is None else scores.float().tolist()
        results = [ImageCaption(text, logprob) for text, logprob in zip(texts, logprobs, strict=True)]
        return [results[start : start + search.captions] for start in range(0, len(results), search.captions)]

    def generate(self, pictures: Sequence[Image], prompt: str | None, search: Search) -> tuple[Tensor, Tensor | None]:
        """Ids (B * C, T) of C texts for each of B pictures, and their scores (B * C,) where beams have such."""
        import torch

        inputs = self._inputs(pictures, prompt)
        # Models without a token for padding pad with the end; BLIP and others know their own.
        padding = {"pad_token_id": self.processor.tokenizer.eos_token_id} if self._lacks_padding() else {}
        with torch.inference_mode():
            output = self.model.generate(
                **inputs,
                **padding,
                do_sample=False,
                num_beams=search.beams,
                num_return_sequences=search.captions,
                max_new_tokens=search.max_tokens,
                return_dict_in_generate=True,
                output_scores=search.beams > 1,
            )
        return without_prompt(output.sequences, inputs.get("input_ids")), getattr(output, "sequences_scores", None)

    def _inputs(self, pictures: Sequence[Image], prompt: str | None) -> dict[str, Any]:
        """What the model reads: numbers in its arithmetic, on its device."""
        import torch

        options: dict[str, Any] = {"return_tensors": "pt"}
        if self.model.config.model_type == "vision-encoder-decoder":
            inputs = dict(self.processor.image_processor(images=list(pictures), **options))
            if prompt:
                tokens = self.processor.tokenizer([prompt] * len(pictures), add_special_tokens=False, **options)
                inputs["decoder_input_ids"] = tokens["input_ids"]
        elif self.chat:
            # A chat template has written the special tokens already.
            options |= {"text": [self._question(prompt or "")] * len(pictures), "add_special_tokens": False}
            if self._lacks_padding():
                self.processor.tokenizer.pad_token = self.processor.tokenizer.eos_token
            inputs = dict(self.processor(images=[[picture] for picture in pictures], padding=True, **options))
        else:
            text = {"text": [prompt] * len(pictures), "padding": True} if prompt else {}
            inputs = dict(self.processor(images=list(pictures), **text, **options))
        if "token_type_ids" not in inspect.signature(self.model.forward).parameters:
            inputs.pop("token_type_ids", None)
        return {
            name: value.to(self.device, self.dtype if torch.is_floating_point(value) else value.dtype)
            for name, value in inputs.items()
        }

    def _lacks_padding(self) -> bool:
        return self.chat and self.processor.tokenizer.pad_token is None

    def _question(self, prompt: str) -> str:
        """A prompt in the chat template, behind the picture.

        Raises:
            UserError: when the template refuses it.
        """
        chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}]
        try:
            return str(self.processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False))
        except Exception as error:  # templates raise whatever they like
            raise UserError(
                f"setting {self.setting}: the chat template of '{self.name}' refuses a picture with a prompt ({error})"
            ) from None


def capped(pictures: Sequence[Image], max_pixels: int) -> list[Image]:
    """Pictures that are no larger than a chat model, whose inputs grow with them, shall read."""
    return [shrink(picture, max_pixels) for picture in pictures]


def without_prompt_text(text: str, prompt: str | None) -> str:
    """Single spaces, and without the prompt, which BLIP repeats (in lower case)."""
    text = " ".join(text.split())
    prompt = " ".join((prompt or "").split())
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
