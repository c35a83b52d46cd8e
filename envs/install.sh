#!/bin/sh
# Called by the Containerfile: install.sh VARIANT TORCH_LINKS. Fills /opt/ita with the packages of envs/image.lock and
# /opt/tools with those of envs/build.lock; every package is checked against its hash.
set -eu
cd "$(dirname "$0")"
variant=$1 torch_links=$2

# Prints the entries of a lock whose name matches a pattern (1), or does not (0): entries 1 PATTERN < LOCK
entries() { awk -v pattern="^($2)" -v wanted="$1" '/^[A-Za-z]/ { keep = ($0 ~ pattern) == wanted } keep'; }

checked="--no-cache-dir --disable-pip-version-check --no-deps --require-hashes"
python3 -m venv /opt/tools
python3 -m venv /opt/ita
/opt/tools/bin/pip install $checked -r build.lock

# Packages without a wheel: pip by itself would fetch what builds them, without a hash.
sources="seqeval==|connection-pool=="
entries 1 "$sources" <image.lock >sources.lock
/opt/tools/bin/pip wheel $checked --no-build-isolation --wheel-dir wheels -r sources.lock
# By name, since the bill of materials cannot name what was installed from a file.
sed -n 's/^\([^ ]*==[^ ]*\).*/\1/p' sources.lock >sources.txt
/opt/ita/bin/pip install --no-deps --no-index --find-links wheels -r sources.txt

case $variant in
cuda)
    entries 0 "$sources" <image.lock >packages.lock
    /opt/ita/bin/pip install $checked --only-binary :all: -r packages.lock
    ;;
cpu)
    # Without what only a CUDA build of torch needs.
    entries 0 "$sources|torch==|triton==|cuda-|nvidia-" <image.lock >packages.lock
    /opt/ita/bin/pip install $checked --only-binary :all: ${torch_links:+--find-links "$torch_links"} -r torch-cpu.lock -r packages.lock
    ;;
*)
    echo "VARIANT is '$variant'; it is cpu or cuda" >&2
    exit 1
    ;;
esac
/opt/ita/bin/pip check
