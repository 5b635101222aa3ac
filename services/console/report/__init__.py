"""The report of a campaign: report.json, report.md and report.png."""
