# SPDX-License-Identifier: Apache-2.0
"""How is the ExpEther Manager asked, and told?

Its REST API is a flat list of devices. A change of a group id carries the
``update_time`` that the device was last seen with, so that the manager can
refuse it if somebody else changed the device in between.
"""

import base64
from collections.abc import Callable, Iterable, Mapping

from valence.drivers import base
from valence.drivers.expether import records
from valence.drivers.expether.records import Record
from valence.drivers.http import Answer, Client

#: The path of the API where the URL of the pod manager has none.
DEFAULT_ROOT = '/eem'

_CONFLICTS = (409, 412)


class BasicAuth:
    """HTTP Basic (RFC 7617) with every request."""

    def __init__(self, username: str, password: str) -> None:
        self._password = password
        pair = f'{username}:{password}'.encode()
        self._code = base64.b64encode(pair).decode('ascii')

    def headers(self) -> Mapping[str, str]:
        return {'Authorization': f'Basic {self._code}'}

    def renew(self, used: Mapping[str, str]) -> bool:
        return False

    def secrets(self) -> Iterable[str]:
        return self._code, self._password


class Service:
    """One ExpEther Manager. Nothing is kept between calls."""

    def __init__(self, endpoint: base.Endpoint) -> None:
        """No I/O happens here."""
        self.client = Client(endpoint, DEFAULT_ROOT)
        self.root = self.client.origin.root
        self._limits = endpoint.limits
        self._guard = endpoint.properties.get('send_update_time', True)
        if endpoint.username is not None and endpoint.password is not None:
            self.client.auth = BasicAuth(endpoint.username,
                                         endpoint.password.reveal())

    def version(self) -> str:
        """The version of the API; proves the credentials too."""
        body = self.client.get(f'{self.root}/api_version').body
        version = records.text(body.get('version_number'), 64)
        if version is None:
            raise base.BadAnswer(
                f'{self.client.origin.host} does not answer as an ExpEther '
                'Manager does; correct the URL of the pod manager')
        # Some answer their version to anybody.
        self.client.get(f'{self.root}/groups')
        return version

    def device(self, path: str) -> Record:
        """One device.

        :raises NotFound: if the manager has none of that path.
        """
        name = self._name(path)
        answer = self.client.get(path)
        record = records.parse(answer.body.get('device'), self.root)
        if record.id.lower() != name.lower():
            raise base.BadAnswer(f'asked for {name}, the ExpEther Manager '
                                 f'answered {record.id}')
        return record

    def devices(self, query: str = ''
                ) -> tuple[list[Record], list[base.Problem]]:
        """All devices in detail, and those that could not be understood.

        :param query: ``?name=value`` of a filter.
        """
        path = f'{self.root}/devices/detail'
        told = self.client.get(path + query).body.get('devices')
        if not isinstance(told, list):
            raise base.BadAnswer('the ExpEther Manager answered no list of '
                                 'devices')
        found: dict[str, Record] = {}
        problems = []
        for body in told[:self._limits.max_members]:
            try:
                record = records.parse(body, self.root)
            except base.BadAnswer as error:
                problems.append(base.Problem(path, str(error)))
            else:
                found.setdefault(record.path, record)
        if len(told) > self._limits.max_members:
            problems.append(base.Problem(
                path, f'only {self._limits.max_members} of {len(told)} '
                'devices are taken'))
        return list(found.values()), problems

    def members(self, group_id: str) -> list[Record]:
        """Who is in a group. Complete, or an error."""
        found, problems = self.devices(f'?group_id={group_id}')
        if problems:
            raise base.BadAnswer(problems[0].reason)
        return [one for one in found if one.group_id == group_id]

    def set_group(self, record: Record, group_id: str | None) -> str:
        """Put a device in a group, None for one that the manager picks.

        :returns: the group id.
        :raises Refused: also if the device has changed since it was read.
        """
        def send(now: Record) -> Answer:
            body: dict[str, str | int] = {}
            if group_id is not None:
                body['group_id'] = group_id
            if self._guard and now.update_time is not None:
                body['update_time'] = now.update_time
            return self.client.send('PUT', f'{now.path}/group_id', body)

        answer = self._guarded(record, send)
        given = records.decimal(answer.body.get('group_id'))
        if not given:
            given = self.device(record.path).group_id
        if not records.is_group(given) or group_id not in (None, given):
            raise base.BadAnswer(
                f'the ExpEther Manager said that it changed the group of '
                f'{record.id}, which is now {given or "nowhere"}')
        return given

    def clear_group(self, record: Record) -> None:
        """Take a device out of its group.

        :raises Refused: also if the device has changed since it was read.
        """
        def send(now: Record) -> Answer:
            query = ''
            if self._guard and now.update_time is not None:
                query = f'?update_time={now.update_time}'
            return self.client.send('DELETE', f'{now.path}/group_id{query}')

        self._guarded(record, send)

    def _guarded(self, record: Record,
                 send: Callable[[Record], Answer]) -> Answer:
        """Send, and once more if only the time of the device was stale.

        A refusal is a promise that nothing was done.
        """
        try:
            return send(record)
        except base.Refused as error:
            if error.status not in _CONFLICTS or not self._guard:
                raise
            now = self.device(record.path)
            if now.group_id != record.group_id:
                raise base.Refused(
                    f'{record.kind} {record.id} was put in group '
                    f'{now.group_id or "unknown"} by somebody else in the '
                    'meantime', error.status, error.message_ids) from error
            if now.update_time == record.update_time:
                raise
            return send(now)

    def _name(self, path: str) -> str:
        parent, _, name = self.client.origin.path(path).rpartition('/')
        if parent != f'{self.root}/devices' or not records.is_id(name):
            raise base.Refused(f'{path} is no device of this ExpEther '
                               'Manager')
        return name
