def launch(job, report):
    raise NotImplementedError
