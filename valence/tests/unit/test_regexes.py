# SPDX-License-Identifier: Apache-2.0
"""No text makes a regular expression of Valence's take long.

All of them are found in the source and in the schemas, and each is let at
texts made of what it looks for, long and almost fitting. One that goes back
and forth takes seconds for those, the others a millisecond.
"""

import ast
import itertools
import pathlib
import re
import time
import unittest
from re import _constants, _parser

import valence
from valence.api import routes
from valence.tests.unit.api import base  # noqa: F401 - oslo.service's backend

_FUNCTIONS = ('match', 'fullmatch', 'search', 'sub', 'subn', 'split',
              'findall', 'finditer')
_LENGTH = 10_000
#: Seconds for one text; a linear expression takes a hundredth of it.
_LONGEST = 0.25
_CLASSES = {_constants.CATEGORY_DIGIT: '07', _constants.CATEGORY_WORD: 'a_',
            _constants.CATEGORY_SPACE: ' \n',
            _constants.CATEGORY_NOT_SPACE: 'a', _constants.CATEGORY_NOT_WORD:
            '-', _constants.CATEGORY_NOT_DIGIT: 'a'}


def in_source():
    """(where, pattern, flags, the functions it is used by)."""
    root = pathlib.Path(valence.__file__).parent
    for path in sorted(root.rglob('*.py')):
        # The simulator's rules have patterns of its users', in tests.
        if {'tests', 'simulator'} & set(path.relative_to(root).parts):
            continue
        tree = ast.parse(path.read_text())
        uses = {}
        for node in ast.walk(tree):
            if (isinstance(node, ast.Attribute) and node.attr in _FUNCTIONS
                    and isinstance(node.value, ast.Name)):
                uses.setdefault(node.value.id, set()).add(node.attr)
        compiled = {id(node.value): node.targets[0].id
                    for node in ast.walk(tree) if isinstance(node, ast.Assign)
                    and isinstance(node.targets[0], ast.Name)}
        constants = {node.targets[0].id: node.value for node in tree.body
                     if isinstance(node, ast.Assign)
                     and isinstance(node.targets[0], ast.Name)}
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(
                    node.func, ast.Attribute) and isinstance(
                    node.func.value, ast.Name) and node.func.value.id == 're'
                    and node.func.attr in (*_FUNCTIONS, 'compile')):
                continue
            where = f'{path.relative_to(root)}:{node.lineno}'
            pattern = _value(node.args[0], constants)
            name = compiled.get(id(node))
            yield where, pattern, _flags(node), (
                uses.get(name) or {'search'}
                if node.func.attr == 'compile' else {node.func.attr})


def _value(node, constants):
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in constants:
        return _value(constants[node.id], constants)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = (_value(side, constants)
                       for side in (node.left, node.right))
        return None if None in (left, right) else left + right
    return None


def _flags(call):
    found = [node.attr for node in ast.walk(ast.Module(
        [ast.Expr(arg) for arg in (*call.args[1:], *(
            word.value for word in call.keywords))], []))
        if isinstance(node, ast.Attribute) and node.attr.isupper()]
    return sum({getattr(re, name) for name in found}, start=re.NOFLAG)


def in_schemas():
    """Every ``pattern``; JSON Schema searches."""
    seen = set()

    def walk(schema):
        if isinstance(schema, dict):
            if isinstance(schema.get('pattern'), str):
                seen.add(schema['pattern'])
            for value in schema.values():
                walk(value)
        elif isinstance(schema, (list, tuple)):
            for value in schema:
                walk(value)

    for route in routes.ROUTES:
        walk([part for part in route if isinstance(part, (dict, list))])
    return [(f'schema {text!r}', text, 0, {'search'}) for text in seen]


def characters(pattern, flags):
    """Some of what the pattern looks for, in its order."""
    found = []

    def walk(tree):
        for operation, argument in tree:
            if operation in (_constants.LITERAL, _constants.NOT_LITERAL):
                found.append(argument)
            elif operation is _constants.RANGE:
                found.extend(argument)
            elif operation is _constants.CATEGORY:
                found.extend(_CLASSES.get(argument, 'a').encode())
            elif operation is _constants.ANY:
                found.append(97)
            elif isinstance(argument, (list, tuple)):
                for one in argument:
                    if isinstance(one, _parser.SubPattern):
                        walk(one)
                    elif isinstance(one, list):
                        for each in one:
                            walk(each if isinstance(each, _parser.SubPattern)
                                 else [each])
                    elif isinstance(one, tuple) and len(one) == 2:
                        walk([one])
            elif isinstance(argument, _parser.SubPattern):
                walk(argument)

    walk(_parser.parse(pattern, flags))
    return list(dict.fromkeys(
        chr(one) for one in found if isinstance(one, int)))


def texts(pattern, flags, length):
    """Long texts that almost fit."""
    binary = isinstance(pattern, bytes)
    some = characters(pattern, flags)
    start = ''.join(some[:40])
    some = (some[:5] + some[-3:]) or ['a']
    pumps = {*some, *map(''.join, itertools.permutations(some[:5], 2))}
    for pump in sorted(pumps):
        for before in ('', start):
            text = before + pump * (length // len(pump)) + '\0!'
            yield text.encode('latin-1', 'replace') if binary else text


def seconds(pattern, flags, function, text):
    compiled = re.compile(pattern, flags)
    arguments = (type(text)(),) if function in ('sub', 'subn') else ()
    best = None
    # Again where the machine was busy with something else.
    for _ in range(3):
        before = time.process_time()
        result = getattr(compiled, function)(*arguments, text)
        if function == 'finditer':
            list(result)
        took = time.process_time() - before
        best = took if best is None else min(best, took)
        if best < _LONGEST:
            break
    return best


def slowest(pattern, flags, function):
    """The first text that takes too long, and how long; or None."""
    # The exponential ones would never end with the long texts.
    for length in (16, 20, 24, 28, 32, 36, 300, 1000, _LENGTH):
        for text in texts(pattern, flags, length):
            took = seconds(pattern, flags, function, text)
            if took > _LONGEST:
                return f'{took:.2f} s for {len(text)} of {text[:60]!r}'
    return None


class RegexTest(unittest.TestCase):

    def test_all_are_linear(self):
        found = [*in_source(), *in_schemas()]
        self.assertGreater(len(found), 30)
        for where, pattern, flags, functions in found:
            with self.subTest(where, pattern=pattern):
                self.assertIsNotNone(pattern, 'write the pattern out')
                for function in functions:
                    self.assertIsNone(slowest(pattern, flags, function))

    def test_the_test_finds_what_is_slow(self):
        for pattern, function in ((r'^(a|aa)+$', 'match'),
                                  (r'\w+\d+\s', 'match')):
            self.assertIsNotNone(slowest(pattern, 0, function), pattern)
