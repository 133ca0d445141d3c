# SPDX-License-Identifier: Apache-2.0
"""Does the RSD driver keep the contract, against a pod of each version?"""

import testtools

from valence.drivers.rsd import RsdDriver
from valence.tests.functional.pods import Simulated

EFFECTS = ('allocate', 'assemble', 'boot', 'attach', 'detach', 'delete')


class Rsd(Simulated):
    """The pod has one rack."""

    driver = RsdDriver
    pod = ('rsd,racks=1,sleds=6,nvme=6,volumes=4,allocate-delay=0.1,'
           'assemble-delay=0.2')
    holds = {'systems': 6, 'zones': 0, 'compute': 6, 'nvme': 6,
             'storage': 4}

    def count(self, entries):
        return sum(
            entry['effect'] in EFFECTS or entry.get('phase') == 'applied'
            for entry in entries)


class Rsd21(Rsd, testtools.TestCase):
    pod = Rsd.pod + ',profile=2.1,auth=basic'
    properties = {'authentication': 'basic'}


class Rsd23(Rsd, testtools.TestCase):
    pod = Rsd.pod + ',profile=2.3,page-size=4'


class Rsd25(Rsd, testtools.TestCase):
    pod = Rsd.pod + ',profile=2.5'
