"""`python -m loadtests`: Locust with these users; its arguments and `LOCUST_*` are Locust's own."""

import sys
from pathlib import Path

# First of all: it replaces the standard library's sockets.
from locust.main import main

sys.argv[1:1] = ["-f", str(Path(__file__).with_name("locustfile.py"))]
main()
