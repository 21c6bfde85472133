"""The dashboard: pages of TypeScript in `src`, bundled into `dist` by `python -m dashboard`."""

from pathlib import Path

HERE = Path(__file__).parent
#: What the gateway serves; not there before the first build.
DIST = HERE / "dist"
