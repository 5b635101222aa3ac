"""`python -m tests.stub_service NAME`: the real service with the stubs for its long jobs."""

import importlib
import sys
from dataclasses import replace

from services.runtime.main import main

STUBS = {"data": "tests.stubs:make", "train": "tests.stubs:train", "score": "tests.stubs:score"}

if __name__ == "__main__":
    service = importlib.import_module(f"services.{sys.argv[1]}.app").SERVICE
    jobs = tuple(replace(kind, function=STUBS.get(kind.queue, kind.function)) for kind in service.jobs)
    main(replace(service, jobs=jobs, preload=("tests.stubs",)))
