"""`python -m benchmarks.service [part …]`."""

import sys

from benchmarks.service import report

report.main(sys.argv[1:])
