"""Write `dashboards/` again: ``python -m surgeproof.observe [FOLDER]``."""

from __future__ import annotations

import argparse
from pathlib import Path

from surgeproof.observe.dashboards import dashboard_files

__all__ = ["main"]


def main() -> None:
    """Write the generated files into the folder that is named."""
    parser = argparse.ArgumentParser(
        prog="python -m surgeproof.observe",
        description="Write the Grafana overview, the scrape config and the rules.",
    )
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("dashboards"),
        help="where to write (default: %(default)s)",
    )
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in dashboard_files().items():
        (folder / name).write_text(text, encoding="utf-8")
        print(folder / name)


if __name__ == "__main__":
    main()
