# SPDX-License-Identifier: Apache-2.0
"""How are the answers of keystonemiddleware taken?

What it says of real tokens is tested with a real Keystone.
"""

import testtools

from valence.api import keystone
from valence.common import errors


class Asked(testtools.TestCase):

    def test_a_path_that_is_no_text(self):
        """As mod_wsgi hands it on, and access rules are compared with it."""
        def middleware(environ, start_response):
            path = environ['PATH_INFO'].encode('latin-1').decode()
            raise AssertionError(f'{path} was read')

        self.assertRaises(errors.NotFound, keystone._ask, middleware, {
            'PATH_INFO': '/v1/\xff', 'SCRIPT_NAME': ''})
