# SPDX-License-Identifier: Apache-2.0
"""The commands.

oslo.service has to be told about its backend before anything imports
oslo.messaging, or that import picks eventlet (``BackendAlreadySelected``).
"""

import os
import warnings

# Nor does it need a resolver of its own (7 MB).
os.environ.setdefault('EVENTLET_NO_GREENDNS', 'yes')
# eventlet is installed with oslo.service and imported by it, but not used.
warnings.filterwarnings('ignore', message=r'\s*Eventlet is deprecated')

from oslo_service import backend  # noqa: E402

backend.init_backend(backend.BackendType.THREADING)
