# SPDX-License-Identifier: Apache-2.0
import ast
import pathlib
import re
import unittest

import valence
from valence.api.schemas.codes import CODES
from valence.common import errors

_ROOT = pathlib.Path(valence.__file__).parent
_FAILURES = _ROOT.parent / 'doc/source/admin/failures.rst'
#: Whose errors are those of operations, and of the hardware behind them.
_BEHIND = ('conductor', 'drivers', 'conformance', 'simulator', 'tests')


def raised():
    """(code, status or None, place) of all that the code names."""
    for path in sorted(_ROOT.glob('**/*.py')):
        place = path.relative_to(_ROOT)
        if place.parts[0] in _BEHIND:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            status = getattr(getattr(
                errors, getattr(node.func, 'attr', ''), None), 'status', None)
            for word in node.keywords:
                if word.arg in ('code', 'error_code'):
                    yield ast.unparse(word.value).strip("'"), status, place
    for cls in _subclasses(errors.ValenceError):
        if cls.__module__ == errors.__name__:
            yield cls.code, cls.status, pathlib.Path('common/errors.py')


def _subclasses(cls):
    yield cls
    for sub in cls.__subclasses__():
        yield from _subclasses(sub)


class CodesTest(unittest.TestCase):

    def test_every_code_in_the_source_is_in_the_table(self):
        for code, status, place in raised():
            with self.subTest(code=code, place=str(place)):
                if code == "f'{field}_taken":
                    code = 'url_taken'
                if status is None:
                    # An operation's; the administrator's guide has it.
                    self.assertIn(code, self.of_operations())
                    continue
                self.assertIn(code, list(CODES))
                self.assertIn(status, CODES[code][0])

    def of_operations(self):
        if not _FAILURES.exists():
            self.skipTest('not run from a source tree')
        table = _FAILURES.read_text().partition('Why an operation failed')[2]
        return re.findall(r'(?m)^``(\w+)`` ', table)

    def test_every_code_in_the_table_is_in_the_source(self):
        known = {code for code, status, _ in raised() if status}
        self.assertEqual({'url_taken'}, set(CODES) - known)

    def test_codes_are_words(self):
        for code, (statuses, words) in CODES.items():
            self.assertRegex(code, r'^[a-z]+(_[a-z]+)*$')
            self.assertTrue(statuses and words)
