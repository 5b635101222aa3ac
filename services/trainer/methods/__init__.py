"""How weights learn: from completions, or from rewards. Each method is a job in progress, from `restore` to `go`."""
