"""The audit: decisions retaken from the log, projections rebuilt, what-ifs and the exposure ledger."""
