"""The texts of decisions and drift verdicts, with their numbers. Events store them, so they keep their bytes."""
