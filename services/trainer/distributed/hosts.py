"""`torchrun ... -m services.trainer.distributed.hosts`: one leased job on all processes of all hosts, and the end.

The first rank is an ordinary worker of one job (`services.runtime.jobs.run_jobs`): it alone speaks to the log. The
others wait to be told the job, and learn along.
"""

from __future__ import annotations

import os

from services.runtime.jobs import run_jobs as stint
from services.runtime.main import ENVIRONMENT
from services.trainer.app import SERVICE
from services.trainer.distributed.data_parallel import hear, here, tell
from services.trainer.engine import follow


def main() -> None:
    """Run this process's part."""
    if here().first:
        try:
            stint.main(SERVICE, 1)
        finally:
            tell(None)  # where no job came, or none that could begin
        return
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    if job := hear():
        follow(job)


if __name__ == "__main__":
    main()
