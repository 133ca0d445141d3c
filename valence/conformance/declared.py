# SPDX-License-Identifier: Apache-2.0
"""Does the driver's class declare what Valence loads and shows it by?"""

import dataclasses
import socket
import threading
import unittest.mock
from typing import Any

import jsonschema
import orjson

from valence.common import power
from valence.conformance import values
from valence.conformance.case import Case
from valence.drivers import base

#: By capability, the methods that it takes.
METHODS = {
    'compose': ('compose', 'observe', 'release'),
    'expand': ('prepare',),
    'tags': ('find',),
    'attach': ('attach', 'detach', 'observe'),
    'reset_types': ('set_power', 'observe'),
    'boot_targets': ('set_boot', 'observe'),
}
MUTATIONS = ('compose', 'attach', 'detach', 'set_power', 'set_boot',
             'release')


class DeclaredTests(Case):

    def test_it_is_a_driver_of_this_contract(self) -> None:
        if not issubclass(self.driver, base.Driver):
            self.violated('vocabulary', 'the class is no subclass of Driver')
        major, minor = self.driver.contract_version
        ours = base.CONTRACT_VERSION
        if major != ours[0] or minor > ours[1]:
            self.violated('vocabulary', f'contract_version is {major}.{minor}'
                          f', which this Valence ({ours[0]}.{ours[1]}) does '
                          'not load')
        for name in ('version', 'description'):
            text = getattr(self.driver, name)
            if not isinstance(text, str) or not text.strip() or (
                    '\n' in text):
                self.violated('vocabulary', f'{name} is {text!r}; the API '
                              'shows it to operators as one line')

    def test_capabilities_are_in_the_words_of_the_contract(self) -> None:
        able = self.driver.capabilities
        self.check(able)
        self.check_words(able)

    def test_what_is_promised_is_implemented(self) -> None:
        for capability, methods in METHODS.items():
            if not getattr(self.driver.capabilities, capability):
                continue
            for name in methods:
                if getattr(self.driver, name) is getattr(base.Driver, name):
                    self.violated('unsupported', f'{capability} is promised '
                                  f'but {name} is not implemented')

    def test_safety_of_every_mutation_is_declared(self) -> None:
        for name in MUTATIONS:
            if not isinstance(self.driver.safety.get(name), base.Safety):
                self.violated('safety', f'safety[{name!r}] is '
                              f'{self.driver.safety.get(name)!r}')

    def test_a_driver_without_tags_prepares(self) -> None:
        able = self.driver.capabilities
        if not able.compose or able.tags:
            self.skipTest('the driver promises tags, or no compose')
        if self.driver.prepare is base.Driver.prepare:
            self.violated('prepare', 'neither tags nor prepare can tell a '
                          'node from others after a lost answer')
        if self.driver.safety['compose'] != base.Safety.IDEMPOTENT:
            self.violated('prepare', "safety['compose'] is "
                          f"{self.driver.safety['compose']}, not idempotent")

    def test_connection_schema_is_valid(self) -> None:
        schema: Any = self.driver.connection_schema
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
            text = orjson.dumps(schema)
        except (jsonschema.SchemaError, TypeError) as error:
            self.violated('schema', f'connection_schema: {error}')
        if schema.get('type') != 'object':
            self.violated('schema', 'connection_schema is not of type object')
        if b'"$ref":"http' in text:
            self.violated('schema', 'connection_schema refers to another '
                          'host, which nothing will fetch')
        for name, one in schema.get('properties', {}).items():
            if 'default' in one:
                wrong = list(jsonschema.Draft202012Validator(
                    one).iter_errors(one['default']))
                if wrong:
                    self.violated('schema', f'the default of {name} is not '
                                  f'valid: {wrong[0].message}')

    def test_the_endpoint_suits_the_schema(self) -> None:
        try:
            jsonschema.validate(
                dict(self.backend.endpoint.properties),
                self.driver.connection_schema,
                jsonschema.Draft202012Validator)
        except jsonschema.ValidationError as error:
            self.violated('schema', 'the properties of the endpoint under '
                          f'test are not valid: {error.message}')

    def test_building_it_does_nothing(self) -> None:
        endpoint = self.backend.endpoint
        threads = threading.active_count()
        touched: list[str] = []

        def touch(what: str) -> Any:
            def refuse(*args: Any, **kwargs: Any) -> None:
                touched.append(what)
                raise OSError('not while a driver is built')
            return refuse

        with unittest.mock.patch.object(
                socket, 'getaddrinfo', touch('resolves a name')), \
             unittest.mock.patch.object(
                 socket.socket, 'connect', touch('connects')), \
             unittest.mock.patch.object(
                 socket.socket, 'connect_ex', touch('connects')):
            try:
                self.driver(endpoint).close()
            except OSError:
                pass
        if touched:
            self.violated('no_io', f'building the driver {touched[0]}')
        if threading.active_count() > threads:
            self.violated('no_threads', 'building the driver starts a thread')

    def test_a_url_of_no_use_is_misconfigured(self) -> None:
        endpoint = dataclasses.replace(
            self.backend.endpoint, url='gopher://127.0.0.1/nothing')

        def identify() -> None:
            driver = self.driver(endpoint)
            try:
                driver.identify()
            finally:
                driver.close()

        self.raises('errors', 'a gopher: URL', identify, base.Misconfigured,
                    base.Unsupported, base.Unreachable)

    def test_printing_it_shows_no_credential(self) -> None:
        driver = self.driver(self.backend.endpoint)
        self.addCleanup(driver.close)
        self.check_secrets('repr of the driver', repr(driver) + str(driver))
        self.check_secrets('repr of the endpoint', repr(driver.endpoint))

    def check_words(self, able: base.Capabilities) -> None:
        """Resets and boot targets are Redfish's."""
        for name, words in (('reset_types', power.RESET_TYPES),
                            ('boot_targets', power.BOOT_TARGETS)):
            told = getattr(able, name)
            strange = sorted(set(told).difference(words))
            if strange or len(set(told)) != len(told):
                self.violated('vocabulary', f'{name} has '
                              f'{", ".join(strange) or "a word twice"}; the '
                              f'words are {", ".join(sorted(words))}')
        if not isinstance(able.allocation, base.Allocation):
            self.violated('vocabulary', f'allocation is {able.allocation!r}')
        for flaw in values.flaws(able):
            self.violated('plain_values', flaw)
