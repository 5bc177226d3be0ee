"""CPython's own tests of `queue`, on ours: as C and as Python code, which both have to pass."""

import unittest

import pytest

from lisle import queue

standard = pytest.importorskip("test.test_queue", reason="this interpreter came without its own tests")


def _cases():
    for name, found in sorted(vars(standard).items()):
        if isinstance(found, type) and issubclass(found, unittest.TestCase) and hasattr(found, "queue"):
            yield type(name, (found,), {"queue": queue, "__module__": __name__})


# 3.11 has 5 of them.
CASES = list(_cases())


def test_that_they_were_found():
    assert len(CASES) >= 5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_standard(case):
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    assert result.testsRun > 0
    assert not result.errors + result.failures, "\n".join(text for _, text in result.errors + result.failures)
