"""Programs that claim to double a number without doing it. None may pass."""

FORGERIES = {
    "leaving with status 0 at once": """
import os
os._exit(0)
""",
    "leaving with status 0 when asked": """
import os
def double(x): os._exit(0)
""",
    "leaving politely": """
import sys
def double(x): sys.exit(0)
""",
    "an exit handler": """
import atexit, os
atexit.register(os._exit, 0)
def double(x): raise SystemExit(0)
""",
    "printing what a checker might read": """
print('passed')
def double(x):
    print('passed')
    return 'passed'
""",
    "writing to every descriptor": r"""
import os
def double(x):
    for descriptor in range(64):
        try:
            os.write(descriptor, b'passed\nready\npassed\n')
        except OSError:
            pass
""",
    "an answer that equals everything": """
class Any:
    def __eq__(self, other): return True
def double(x): return Any()
""",
    "a number that equals everything": """
class Any(int):
    def __eq__(self, other): return True
def double(x): return Any(7)
""",
    "text that equals everything": """
class Any(str):
    def __eq__(self, other): return True
def double(x): return Any('z')
""",
    "no more assertions": """
import builtins
builtins.AssertionError = type('No', (BaseException,), {})
builtins.isinstance = lambda *_: True
def double(x): return None
""",
    "its own tests": """
def check(*_): pass
def double(x): return None
""",
    "another codec": """
import json
json.dumps = lambda *_: 'passed'
def double(x): return None
""",
    "no answer that can be read": r"""
import os
def double(x):
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b'[' * 60_000 + b'\n')
        except OSError:
            pass
""",
    "a very long answer": """
def double(x): return 'a' * (64 << 20)
""",
    "an exception for everything": """
def double(x): raise AssertionError('passed')
""",
    "the tester's own exception": """
class Unanswered(BaseException): pass
def double(x): raise Unanswered
""",
    "looking for the tests in memory": """
import gc
def double(x):
    for found in gc.get_objects():
        if isinstance(found, dict) and 'tests' in found and 'given' in found:
            return 2 * x
""",
    "no function at all": "double = 4",
    "not a program": "def double(x: return",
}
"""By name: what the program hopes that the checker falls for."""
