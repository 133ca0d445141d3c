# SPDX-License-Identifier: Apache-2.0
"""How is a tree of resources read as fast as the backend allows?

A :class:`Crawl` is told what is wanted and what to do with it. Requests run
in a few threads; what they bring is handled one after the other in the
caller's, and may make it want more. So each resource is requested as soon
as something names it, the time tends to (levels of the tree) x (latency),
and nothing that handles answers needs a lock.
"""

import contextvars
import dataclasses
import functools
import queue
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from oslo_log import log as logging

from valence.common.context import carried
from valence.drivers import base
from valence.drivers.http_links import printable
from valence.drivers.redfish import service as redfish
from valence.drivers.redfish import values

LOG = logging.getLogger(__name__)

#: All that one crawl may read, in multiples of Limits.max_members and of
#: Limits.max_body: a service that lists 10,000 systems of 10,000 processors
#: is not believed. 10,000 resource blocks of 10 KiB each are 12 bodies.
RESOURCES_PER_MEMBER = 20
BODIES = 16
MAX_PROBLEMS = 1000

Body = dict[str, Any]
Handler = Callable[[str, Body], None]

#: What a service answers for a part that it does not have.
NOT_THERE = (404, 405, 410, 501)
#: What it answers for what has gone since it was listed.
GONE = (404, 410)


class Crawl:
    """One reading of a tree.

    ``problems`` is what could not be read and ``errors`` the reasons, one
    each; ``read`` counts the answers. A collection of more than ``most``
    members is not read to its end.
    """

    def __init__(self, service: redfish.Service,
                 most: int | None = None) -> None:
        self._service = service
        limits = service.client.limits
        if most is not None:
            limits = dataclasses.replace(
                limits, max_members=min(most, limits.max_members))
        self._limits = limits
        self._left = limits.max_members * RESOURCES_PER_MEMBER
        self._waiting: dict[str, list[tuple[Handler, Collection[int]]]] = {}
        self._ready: list[Callable[[], None]] = []
        self._results: queue.SimpleQueue[Callable[[], None]]
        self._results = queue.SimpleQueue()
        self._running = 0
        self._lock = threading.Lock()
        self._bytes = 0
        self._useless: set[redfish.Expansion] = set()
        self._pool = ThreadPoolExecutor(limits.connections,
                                        thread_name_prefix='valence-redfish')
        self.problems: list[base.Problem] = []
        self.errors: list[base.DriverError] = []
        self.read = 0

    def want(self, link: Any, then: Handler,
             absent: Collection[int] = ()) -> None:
        """Call ``then(path, body)`` with the resource that is linked to.

        ``link`` is a link object, or the expanded resource itself.
        ``absent``: the statuses with which it may be missing.
        """
        path = self._path(values.reference(link))
        if path is None:
            return
        if redfish.expanded(link):
            self._ready.append(lambda: then(path, link))
        elif path in self._waiting:
            self._waiting[path].append((then, absent))
        else:
            self._waiting[path] = [(then, absent)]
            self._submit(lambda: self._read(path),
                         lambda body: self._arrived(path, body),
                         lambda error: self._failed(path, error))

    def collection(self, link: Any, each: Handler,
                   absent: Collection[int] = (), levels: int = 1,
                   first: Callable[[Body], None] | None = None,
                   missing: Collection[int] = ()) -> None:
        """Call ``each(path, body)`` with every member of a collection.

        :param levels: how deep to ``$expand``, where the service can.
        :param absent: the statuses with which the collection may be missing.
        :param first: called with the collection's own (first) page.
        :param missing: the same for a member.
        """
        path = self._path(values.reference(link))
        if path is None:
            return
        pages = _Pages(path, each, absent, missing, first)
        if redfish.members(link) is not None:
            self._ready.append(lambda: self._page(pages, path, dict(link)))
        else:
            self._first_page(pages, levels)

    def run(self) -> None:
        """Read until nothing is wanted any more."""
        try:
            while self._ready or self._running:
                if self._ready:
                    self._ready.pop()()
                    continue
                handle = self._results.get()
                self._running -= 1
                handle()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._service.client.rest(keep=1)

    def problem(self, path: str, reason: str,
                error: base.DriverError | None = None) -> None:
        """Note that not all of ``path`` could be read."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(base.Problem(path, reason))
            self.errors.append(error or base.BadAnswer(f'{path}: {reason}'))

    def _read(self, path: str) -> Body:
        answer = self._service.client.get(path)
        with self._lock:
            self._bytes += answer.size
            if self._bytes > self._limits.max_body * BODIES:
                raise base.BadAnswer('the backend has more to say than is '
                                     'read in one scan')
            self.read += 1
        return dict(answer.body)

    def _path(self, reference: Any) -> str | None:
        try:
            return self._service.origin.path(reference)
        except base.BadAnswer as error:
            shown = reference if isinstance(reference, str) else ''
            self.problem(printable(shown, 200), str(error))
            return None

    def _first_page(self, pages: '_Pages', levels: int) -> None:
        def fetch() -> Body:
            failure = None
            for one in self._service.expansions(levels):
                if one in self._useless:
                    continue
                try:
                    body = self._read(pages.path + one.page())
                except (base.Unauthorized, base.NotFound):
                    break               # the plain request has the last word
                except base.DriverError as error:
                    failure = error
                    self._useless.add(one)
                else:
                    pages.expansion = one
                    return body
            if failure:
                LOG.warning('the members of %s are read one by one, as they '
                            'cannot be had together: %s', pages.path, failure)
            return self._read(pages.path)

        self._submit(fetch, lambda body: self._page(pages, pages.path, body),
                     lambda error: self._give_up(pages.path, error,
                                                 pages.absent))

    def _page(self, pages: '_Pages', path: str, body: Body) -> None:
        listed = redfish.members(body)
        if listed is None:
            self.problem(path, 'the backend answered no collection here')
            return
        if not pages.turned and pages.first is not None:
            pages.first(body)
        pages.turned.add(path)
        pages.count = max(pages.count, redfish.member_count(body))
        for member in listed:
            pages.listed += 1
            if pages.listed > self._limits.max_members:
                self.problem(pages.path, 'more than '
                             f'{self._limits.max_members} members')
                return
            name = values.reference(member)
            if not isinstance(name, str):
                self.problem(pages.path, 'a member is no link')
            elif name not in pages.seen:
                pages.seen.add(name)
                self.want(member, pages.each, pages.missing)
        self._next_page(pages, body, bool(listed))

    def _next_page(self, pages: '_Pages', body: Body, more: bool) -> None:
        """Turn to the page that the service names, or the one we count to.

        :param more: whether there was anything on this page
        """
        link = body.get('Members@odata.nextLink', values.obj(
            body.get('Links')).get('Members@odata.nextLink'))
        if link is not None:
            try:
                path = self._service.origin.path(
                    values.reference(link) or link, query=True)
            except base.BadAnswer as error:
                self.problem(pages.path, str(error))
                return
        elif len(pages.seen) >= pages.count:
            return
        elif more and pages.expansion and pages.expansion.top:
            path = pages.path + pages.expansion.page(pages.listed)
        else:
            self.problem(pages.path, f'{pages.count} members announced, '
                         f'{len(pages.seen)} listed')
            return
        if path in pages.turned:
            self.problem(pages.path, 'its pages go round in a circle')
        elif len(pages.turned) >= self._limits.max_pages:
            self.problem(pages.path,
                         f'more than {self._limits.max_pages} pages')
        else:
            self._submit(lambda: self._read(path),
                         lambda body: self._page(pages, path, body),
                         lambda error: self._give_up(pages.path, error, ()))

    def _submit(self, fetch: Callable[[], Body],
                good: Callable[[Body], None],
                bad: Callable[[base.DriverError], None]) -> None:
        self._left -= 1
        if self._left < 0:
            bad(base.BadAnswer('the backend lists more resources than are '
                               'read in one scan'))
            return

        def work() -> None:
            try:
                handle = functools.partial(good, fetch())
            except base.DriverError as error:
                handle = functools.partial(bad, error)
            except Exception as error:          # noqa: BLE001
                # Whatever it is, run() waits for an outcome.
                handle = functools.partial(bad, base.BadAnswer(
                    f'cannot be handled: {type(error).__name__}'))
            self._results.put(handle)

        self._running += 1
        # The deadline is in the context, which does not follow into threads,
        # nor does the request that the log lines are of.
        self._pool.submit(contextvars.copy_context().run, carried(work))

    def _arrived(self, path: str, body: Body) -> None:
        for then, _ in self._waiting.pop(path, ()):
            then(path, body)

    def _failed(self, path: str, error: base.DriverError) -> None:
        asked = self._waiting.pop(path, [])
        absent = set.intersection(*(set(one) for _, one in asked))
        self._give_up(path, error, absent)

    def _give_up(self, path: str, error: base.DriverError,
                 absent: Collection[int]) -> None:
        if isinstance(error, base.Refused) and error.status in absent:
            return
        self.problem(path, str(error), error)


class _Pages:
    """How far the reading of one collection is."""

    def __init__(self, path: str, each: Handler, absent: Collection[int],
                 missing: Collection[int],
                 first: Callable[[Body], None] | None) -> None:
        self.path = path
        self.each = each
        self.absent = absent
        self.missing = missing
        self.first = first
        self.turned: set[str] = set()
        self.seen: set[str] = set()
        self.listed = 0
        self.count = 0
        #: How the first page was asked for, where its members came along.
        self.expansion: redfish.Expansion | None = None
