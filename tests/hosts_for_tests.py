"""What torchrun starts in tests: the first process is given a job's file, in place of a queue."""

import sys
from pathlib import Path

from services.trainer import engine
from services.trainer.distributed import hosts
from services.trainer.distributed.data_parallel import this_rank
from services.trainer.job import TrainingJob

if __name__ == "__main__":
    if not this_rank().first:
        hosts.main()
    else:
        job = TrainingJob.model_validate_json(Path(sys.argv[1]).read_text())
        Path(sys.argv[2]).write_text(engine.train(job, lambda _: None).model_dump_json())
