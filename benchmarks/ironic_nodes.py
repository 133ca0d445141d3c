# SPDX-License-Identifier: Apache-2.0
"""Which nodes does Ironic have in the benchmark?

``ironic_nodes.py CONFIG COUNT`` writes them, by Ironic's own objects. It is
run by the Python of Ironic's environment and needs nothing of Valence.
"""

import sys

from ironic.common import context, service
from oslo_utils import uuidutils


def main(config: str, count: int) -> None:
    service.prepare_command(['ironic', '--config-file', config])
    from ironic import objects

    objects.register_all()
    admin = context.get_admin_context()
    for number in range(count):
        objects.Node(
            admin, uuid=uuidutils.generate_uuid(), name=f'node-{number}',
            driver='fake-hardware', provision_state='available',
            power_state='power on', resource_class='baremetal',
            properties={'cpus': 64, 'memory_mb': 262144, 'local_gb': 1788,
                        'cpu_arch': 'x86_64'}).create()


if __name__ == '__main__':
    main(sys.argv[1], int(sys.argv[2]))
