"""Failed checks show what they saw, as those in test modules do."""

import pytest

pytest.register_assert_rewrite("tests.chaos.checks", "tests.chaos.faults")
