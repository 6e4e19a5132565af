"""``python -m analogdp`` is the command ``analogdp``."""

from analogdp.cli import main

if __name__ == "__main__":
    main()
