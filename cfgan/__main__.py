"""``python -m cfgan``: the command line."""

from cfgan_cli.main import main

if __name__ == "__main__":
    main()
