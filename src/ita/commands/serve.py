"""serve: answer over HTTP with a trained model; a page to try it, JSON, KServe v2, metrics.

MODEL is a run folder or a repository of the Hugging Face Hub. The page is at /, the description of all routes at
/docs. Posts of all clients that wait are tagged together. Images are uploaded, or fetched from public servers; no path
of this machine is read. SIGTERM ends the service when it has answered what has come. See docs/serve.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import socket
import sys
from collections.abc import Sequence
from dataclasses import fields

from ita.cli import read_settings
from ita.errors import UserError
from ita.io.disk_errors import explained
from ita.log import configure_log, log
from ita.serving.options import ServeOptions

NEEDED = ("fastapi", "uvicorn", "prometheus_client", "python_multipart")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line: ``ita serve MODEL``."""
    arguments = parser().parse_args(argv)
    configure_log(None)
    try:
        run(arguments)
    except (UserError, OSError) as error:
        log.error("serve: %s", explained(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line; a limit is an option named like its field."""
    parser = argparse.ArgumentParser(
        prog="ita serve", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="run folder (results/DATASET/runs/ENCODER/SYSTEM/seedN) or hub id")
    parser.add_argument("--host", default="127.0.0.1", help="address (default: this machine alone; 0.0.0.0: all)")
    parser.add_argument("--port", type=int, default=8000, help="0: any free one (default: 8000)")
    parser.add_argument("--name", help="of the model for clients (default: DATASET-ENCODER-SYSTEM)")
    parser.add_argument("--view", choices=["auto", "t"], default="auto", help="t: images are never looked at")
    parser.add_argument("--settings", default="{}", metavar="JSON", help="as of ita predict, or @FILE")
    parser.add_argument("--revision", help="commit, tag or branch of a model on the hub")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where the model runs")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="as of ita predict")
    parser.add_argument("--quantize", choices=["int8"], help="as of ita predict")
    parser.add_argument("--risk", type=float, metavar="SHARE", help="as of ita predict")
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default="info")
    for option in fields(ServeOptions):
        flag, kind = f"--{option.name.replace('_', '-')}", type(option.default)
        text = f"{option.metadata['help']} (default: {option.default})".replace("%", "%%")
        parser.add_argument(flag, type=kind, default=option.default, metavar="N", help=text)
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Serves until a signal comes.

    Raises:
        UserError: for what is missing, a limit that cannot be, an address that is taken, or a model.
    """
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise UserError(f"Python packages are not installed: {', '.join(missing)}; pip install 'ita-ner[serve]'")
    from ita.serving.server import ModelChoice, serve
    from ita.serving.workers import Workers

    options = ServeOptions(**{option.name: getattr(arguments, option.name) for option in fields(ServeOptions)})
    options.check()
    names = ("model", "revision", "device", "name", "view", "precision", "quantize", "risk", "log_level")
    choice = ModelChoice(
        **{name: getattr(arguments, name) for name in names}, settings=read_settings(arguments.settings)
    )
    listener = bind(arguments.host, arguments.port)
    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def ready() -> None:
        log.info("serve: %s on %s/ (routes: %s/docs)", arguments.model, address, address)

    if options.workers == 1:
        serve(choice, options, listener, ready)
    else:
        Workers(choice, options, listener).run(ready)


def bind(host: str, port: int) -> socket.socket:
    """A socket with the address, so that a wrong one is told before a model is loaded.

    Raises:
        UserError: when the address is taken or not of this machine.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise UserError(f"{host}, port {port}: {error}; name another --host or --port") from None
    return listener


if __name__ == "__main__":
    sys.exit(main())
