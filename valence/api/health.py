# SPDX-License-Identifier: Apache-2.0
"""Can this process serve? What a load balancer asks at ``/healthcheck``.

oslo.middleware's Healthcheck answers, with the backends below (entry points
of ``oslo.middleware.healthcheck``) and those of ``[healthcheck] backends``.
Anybody may ask, so an answer says no more than which part is away, and
however many ask, a part is looked at once a second at most.

Without the database nothing works: 503. Without the broker all works, only
later, so that is said with a 200: it must not take every API out of service.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from oslo_middleware import healthcheck
from oslo_middleware.healthcheck import opts, pluginbase

from valence.api.request import Reply
from valence.common import errors
from valence.db.engine import Database

LOG = logging.getLogger(__name__)

PATH = '/healthcheck'

_KEY = 'valence_probes'
_METHODS = 'GET, HEAD, OPTIONS'


class Probe:
    """The outcome of ``look``, no older than ``keep`` seconds.

    :param look: raises where the part is away
    :param patience: seconds after which it counts as away
    """

    def __init__(self, name: str, look: Callable[[], object],
                 patience: float = 3.0, keep: float = 1.0) -> None:
        self._name = name
        self._look = look
        self._patience = patience
        self._keep = keep
        self._lock = threading.Lock()
        self._ended: threading.Event | None = None
        self._outcome: tuple[float, bool] | None = None

    def answers(self) -> bool:
        """Whether the part is there; takes ``patience`` at most."""
        with self._lock:
            if (self._outcome is not None and time.monotonic()
                    - self._outcome[0] < self._keep):
                return self._outcome[1]
            if self._ended is None:
                self._ended = threading.Event()
                threading.Thread(
                    target=self._run, args=(self._ended,), daemon=True,
                    name=f'health-{self._name}').start()
            ended = self._ended
        return (ended.wait(self._patience) and self._outcome is not None
                and self._outcome[1])

    def _run(self, ended: threading.Event) -> None:
        good = False
        try:
            self._look()
            good = True
        except Exception as error:
            LOG.warning('the %s is away: %s', self._name,
                        ' '.join(str(error).split())[:500])
        with self._lock:
            self._outcome = time.monotonic(), good
            self._ended = None
        ended.set()


def database_probe(database: Database) -> Probe:
    def look() -> None:
        with database.read() as conn:
            conn.execute(sa.select(1))
    return Probe('database', look)


class DatabaseCheck(pluginbase.HealthcheckBaseExtension):

    def healthcheck(self, server_port: int) -> pluginbase.HealthcheckResult:
        if self.conf[_KEY]['database'].answers():
            return pluginbase.HealthcheckResult(True, 'database: OK')
        return pluginbase.HealthcheckResult(False, 'database: away')


class BrokerCheck(pluginbase.HealthcheckBaseExtension):

    def healthcheck(self, server_port: int) -> pluginbase.HealthcheckResult:
        probe = self.conf[_KEY].get('broker')
        if probe is None:
            return pluginbase.HealthcheckResult(True, 'broker: none needed')
        return pluginbase.HealthcheckResult(
            True, 'broker: OK' if probe.answers()
            else 'broker: away, conductors find work by their poll')


class Healthcheck:
    """Answers :data:`PATH` and passes all else on."""

    def __init__(self, application: Callable[..., Iterable[bytes]],
                 conf: Any, probes: Mapping[str, Probe]) -> None:
        self._application = application
        conf.register_opts(opts.HEALTHCHECK_OPTS, 'healthcheck')
        # Details would be stack traces, for anybody.
        self._healthcheck: Any = healthcheck.Healthcheck(application, {
            'detailed': False, _KEY: probes, 'backends': [
                'valence_database', 'valence_broker',
                *conf.healthcheck.backends]})

    def __call__(self, environ: dict[str, Any],
                 start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get('PATH_INFO') != PATH:
            return self._application(environ, start_response)
        method = environ['REQUEST_METHOD']
        if method == 'OPTIONS':
            return Reply('204 No Content', headers=[('Allow', _METHODS)])(
                environ, start_response)
        if method not in ('GET', 'HEAD'):
            raise errors.MethodNotAllowed(
                'the method is not allowed at this path',
                headers={'Allow': _METHODS})
        # Its own answer to HEAD has another status than that to GET.
        answer: Iterable[bytes] = self._healthcheck(
            {**environ, 'REQUEST_METHOD': 'GET'}, start_response)
        return [] if method == 'HEAD' else answer
