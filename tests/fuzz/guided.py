"""Coverage-guided: ``python -m tests.fuzz.guided TARGET [--kind KIND] [--seconds N]``; needs the extra [fuzz].

atheris (libFuzzer) grows inputs of a target towards lines of ``ita`` that were not reached. It starts from samples and
keeps what reached something new in the folder of the corpus, so that a later run goes on. A broken promise ends it and
leaves the input beside.
"""

import argparse
import os
import sys
from pathlib import Path
from random import Random


def main() -> None:
    """Runs atheris; it ends the process itself."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target")
    parser.add_argument("--kind", help="of the inputs, such as jsonl (default: the first of the target)")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, default=Path("results/fuzz/corpus"))
    options = parser.parse_args()
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: pip install -c constraints.txt -e '.[fuzz]'")
    with atheris.instrument_imports(include=["ita"]):
        import ita.data.external_texts
        import ita.reporting.escape
        import ita.stages.download
        import ita.stages.posts
        import ita.tagging.input_files
        import ita.tagging.output_files
        import ita.vision.precomputed  # noqa: F401
    from tests.fuzz.guard import Guard
    from tests.fuzz.targets import TARGETS
    from tests.fuzz.worker import attempt

    corpus = (options.corpus / f"{options.target}-{options.kind or 'all'}").resolve()
    corpus.mkdir(parents=True, exist_ok=True)
    scratch = corpus.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    os.chdir(scratch)
    target = TARGETS[options.target](scratch)
    target.kind = options.kind or target.kinds[0]
    for seed in range(8):
        (corpus / f"sample{seed}").write_bytes(target.sample(Random(seed)))
    guard = Guard(scratch)

    def test_one_input(data: bytes) -> None:
        outcome = attempt(target, data, guard)
        if not isinstance(outcome, str):
            raise RuntimeError("a promise is broken") from outcome

    atheris.Setup(
        [sys.argv[0], f"-max_total_time={options.seconds}", "-rss_limit_mb=4096", str(corpus)], test_one_input
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
