"""`torchrun ... -m services.trainer.distributed.hosts`: one leased job on all processes of all hosts.

The first rank is an ordinary worker of one job (`services.runtime.jobs.run_jobs`): it alone writes to the log. The
others wait for its announcement of the job, and train along.
"""

from __future__ import annotations

import os

from services.runtime.jobs import run_jobs
from services.runtime.main import ENVIRONMENT
from services.trainer.app import SERVICE
from services.trainer.distributed.data_parallel import announce, this_rank, wait_for_job
from services.trainer.engine import follow


def main() -> None:
    """Run this process's part."""
    if this_rank().first:
        try:
            run_jobs.main(SERVICE, 1)
        finally:
            announce(None)  # if there was no job, or none that could begin
        return
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    if job := wait_for_job():
        follow(job)


if __name__ == "__main__":
    main()
