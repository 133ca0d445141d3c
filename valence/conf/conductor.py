# SPDX-License-Identifier: Apache-2.0
"""Options of valence-conductor."""

from oslo_config import cfg

GROUP = 'conductor'

OPTS = (
    cfg.IntOpt(
        'workers', default=1, min=1, max=256,
        help='Processes that run operations on this host.'),
    cfg.IntOpt(
        'threads', default=16, min=1, max=1000,
        help='Operations that one process works on at the same time.'),
    cfg.IntOpt(
        'threads_per_pod', default=4, min=1, max=1000,
        help='How many of these may be on one pod manager, so that one '
             'which hangs does not keep the others waiting.'),
    cfg.FloatOpt(
        'lease', default=20.0, min=3.0, max=3600.0,
        help='Seconds for which a conductor owns an operation unless it '
             'renews the lease. The work of a conductor that died is taken '
             'over after this time and a poll interval at the latest. No '
             'call to hardware may take longer.'),
    cfg.FloatOpt(
        'poll_interval', default=5.0, min=0.1, max=300.0,
        help='Seconds between looks into the database for work that no '
             'message announced.'),
    cfg.FloatOpt(
        'drain_timeout', default=60.0, min=0.0, max=3600.0,
        help='Seconds that a stopping conductor waits for its operations '
             'to reach a safe point. The process has 20 s more to say '
             'goodbye, unless graceful_shutdown_timeout is set; what '
             'supervises it, such as TimeoutStopSec of systemd, has to '
             'grant as much.'),
    cfg.FloatOpt(
        'alive_timeout', default=30.0, min=1.0, max=3600.0,
        help='A conductor whose last heartbeat is older than this many '
             'seconds does not count any more. Heartbeats are sent with '
             'each poll.'),
    cfg.URIOpt(
        'event_url', schemes=['http', 'https'],
        help='Where pod managers reach the API, such as '
             'https://valence.example.org. With it, Valence subscribes to '
             'the events of those that have any, and reads a pod anew soon '
             'after one came in. Without it, and whatever becomes of '
             'events, a pod is read each sync_interval.'),
    cfg.FloatOpt(
        'event_interval', default=10.0, min=0.0,
        help='Events bring about at most one sync of a pod manager in this '
             'many seconds.'),
    cfg.IntOpt(
        'breaker_tolerance', default=5, min=1,
        help='After this many calls in a row without an answer a pod '
             'manager is left alone for a while.'),
    cfg.FloatOpt(
        'breaker_pause', default=5.0, min=0.1,
        help='Seconds for which it is left alone at first; each further '
             'silence doubles them.'),
    cfg.FloatOpt(
        'breaker_longest', default=60.0, min=0.1,
        help='The longest that it is left alone, in seconds.'),
    cfg.FloatOpt(
        'sync_interval', default=300.0, min=1.0,
        help='Seconds from the end of one inventory scan of a pod manager '
             'to the start of the next.'),
    cfg.FloatOpt(
        'sync_retry_interval', default=60.0, min=1.0,
        help='The same after a scan that failed.'),
    cfg.StrOpt(
        'adoption_project', default='valence',
        help='The project that a node belongs to which is found on the '
             'hardware, carries the mark of Valence, and of which the '
             'database knows nothing any more.'),
)


def register(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(OPTS, GROUP)
