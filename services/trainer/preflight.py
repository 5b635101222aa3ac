def check(job):
    pass
