"""`python -m tests.stub_service NAME`: the real service with stubs for its long jobs; boards are asked in earnest.

`STUB_REAL` names queues whose jobs are done in earnest, too.
"""

import importlib
import os
import sys
from dataclasses import replace

from services.runtime.main import main

STUBS = {"data": "tests.stubs:make", "train": "tests.stubs:train", "score": "tests.stubs:score"}

REAL = os.environ.get("STUB_REAL", "").split()

if __name__ == "__main__":
    service = importlib.import_module(f"services.{sys.argv[1]}.app").SERVICE
    stubs = {queue: stub for queue, stub in STUBS.items() if queue not in REAL}
    jobs = tuple(replace(kind, function=stubs.get(kind.queue, kind.function)) for kind in service.jobs)
    main(replace(service, jobs=jobs, preload=("tests.stubs",)))
