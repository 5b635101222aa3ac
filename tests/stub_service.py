"""`python -m tests.stub_service NAME`: the real service with stubs for its long jobs; boards are asked in earnest.

`STUB_REAL` names queues whose jobs are done in earnest, too. Nothing is imported outside of `run`: multiprocessing
imports a service's main module again in the process of each job.
"""

import sys


def run(name: str) -> None:
    import importlib
    import os
    from dataclasses import replace

    from services.runtime.main import main

    stubs = {"data": "tests.stubs:make", "train": "tests.stubs:train", "score": "tests.stubs:score"}
    for real in os.environ.get("STUB_REAL", "").split():
        del stubs[real]
    service = importlib.import_module(f"services.{name}.app").SERVICE
    jobs = tuple(replace(kind, function=stubs.get(kind.queue, kind.function)) for kind in service.jobs)
    main(replace(service, jobs=jobs, preload=("tests.stubs",)))


if __name__ == "__main__":
    run(sys.argv[1])
