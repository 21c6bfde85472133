"""All measurements, as Markdown: `make bench`."""

import os
import platform

from benchmarks import throughput
from benchmarks.service import report


def main() -> None:
    print(f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}, Python {platform.python_version()}")
    report.main()
    throughput.main()


if __name__ == "__main__":
    main()
