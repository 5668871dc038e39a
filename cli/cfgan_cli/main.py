"""The entry point of ``cfgan``. It imports next to nothing, so that from its first line on a stop is one sentence."""

from __future__ import annotations

import os
import sys

from cfgan_cli import stop


def main() -> None:
    """Entry point of the installed command."""
    try:
        stop.listen()
        _open_streams()
        from cfgan_cli.app import app_for

        try:
            app_for(sys.argv[1:])()
        finally:
            sys.stdout.flush()  # here a disk that is full is one sentence, and later no more
    except (stop.Stopped, KeyboardInterrupt):
        _end()
    except OSError as error:  # of stdout: the commands answer for all else
        if stop.asked():
            _end()
        _give_up(error)
    except Exception:
        if not stop.asked():  # else a library made its own error of the stop
            raise
        _end()
    except SystemExit as end:
        if end.code and end.code != stop.EXIT_STOPPED and stop.asked():
            _end()
        raise


def _open_streams() -> None:
    """What whoever started us has closed is there and holds nothing."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - for good


def _give_up(error: OSError) -> None:
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - nothing more is written there
    if not isinstance(error, BrokenPipeError):
        sys.stderr.write(f"Error: the output cannot be written: {error.strerror or error}.\n")
    sys.exit(0 if isinstance(error, BrokenPipeError) else 1)


def _end() -> None:
    stop.ignore()
    sys.stderr.write("Stopped.\n")
    sys.exit(stop.EXIT_STOPPED)


if __name__ == "__main__":
    main()
