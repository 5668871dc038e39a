"""The entry point of ``cfgan``. It imports next to nothing, so that from its first line on a stop is one sentence."""

from __future__ import annotations

import sys

from cfgan_cli import stop


def main() -> None:
    """Entry point of the installed command."""
    try:
        stop.listen()
        from cfgan_cli.app import app

        app()
    except (stop.Stopped, KeyboardInterrupt):
        _end()
    except Exception:
        if not stop.asked():  # else a library made its own error of the stop
            raise
        _end()
    except SystemExit as end:
        if end.code and end.code != stop.EXIT_STOPPED and stop.asked():
            _end()
        raise


def _end() -> None:
    stop.ignore()
    sys.stderr.write("Stopped.\n")
    sys.exit(stop.EXIT_STOPPED)


if __name__ == "__main__":
    main()
