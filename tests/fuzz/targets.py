"""What reads mutated input, and what must hold of whatever is read without complaint.

A target draws an input (bytes) and reads it. It returns where the input was read and the promises about the result
hold; it raises UserError where the input is refused. Everything else is a fault.
"""

from tests.fuzz.base import Target
from tests.fuzz.file_targets import Archives, Images, RunFolders, Tables
from tests.fuzz.system_targets import Answers, Configurations, Requests
from tests.fuzz.text_targets import Annotations, EscapedWords, ImageTexts, NewPosts, Objects

TARGETS: dict[str, type[Target]] = {
    "annotations": Annotations,
    "new-posts": NewPosts,
    "image-texts": ImageTexts,
    "objects": Objects,
    "images": Images,
    "archives": Archives,
    "tables": Tables,
    "run-folders": RunFolders,
    "configurations": Configurations,
    "answers": Answers,
    "requests": Requests,
    "escaped-words": EscapedWords,
}
"""Name on the command line -> target."""
