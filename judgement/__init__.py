"""The pure mathematics that several services share: scorer, statistics, Gaussian process, drift test, search."""
