# SPDX-License-Identifier: Apache-2.0
"""Does the driver keep Valence's contract, against the simulated bridge?"""

import threading
import unittest

from valence_driver_acme.driver import AcmeDriver
from valence_driver_acme.simulator import Bridge, serve

from valence import conformance
from valence.common.secret import Secret
from valence.drivers import base


# [conformance]
class Acme(conformance.DriverTests):
    driver = AcmeDriver
    delay = 0.0
    page_size = 100

    def new_backend(self):
        bridge = Bridge(delay=self.delay)
        server = serve(bridge, 'operator', 'the secret of the bridge')
        threading.Thread(target=server.serve_forever, args=(0.05,),
                         daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return conformance.Backend(
            base.Endpoint(
                f'http://127.0.0.1:{server.server_address[1]}', 'operator',
                Secret('the secret of the bridge'),
                properties={'page_size': self.page_size},
                limits=base.Limits(allow_http=True,
                                   allowed_networks=('127.0.0.0/8',))),
            effects=lambda: len(bridge.effects),
            holds={'racks': 2, 'devices': 16, 'zones': 1, 'compute': 4,
                   'nvme': 8, 'gpu': 4},
            capabilities=AcmeDriver.capabilities)


class AtOnce(Acme, unittest.TestCase):
    """The bridge joins and takes apart at once."""


class TakesTime(Acme, unittest.TestCase):
    """The bridge answers 202 and goes on."""

    delay = 0.2
    page_size = 3
# [end]


if __name__ == '__main__':
    unittest.main()
