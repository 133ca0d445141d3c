# SPDX-License-Identifier: Apache-2.0
"""Which accounts there are, and what each may do.

The one of the command line cannot be changed; others come and go, and none
of them outlasts the process.
"""

import hmac
from dataclasses import dataclass
from typing import Any

from valence.simulator.redfish import render
from valence.simulator.redfish.messages import RedfishError, message
from valence.simulator.redfish.model import ROOT, SESSIONS, Pod
from valence.simulator.resources import Collection, Document, Resource

ACCOUNT_SERVICE = f"{ROOT}/AccountService"
_ACCOUNTS = f"{ACCOUNT_SERVICE}/Accounts"
_ROLES = f"{ACCOUNT_SERVICE}/Roles"
# DSP0266 section 13.4.3: the roles every service has.
_PRIVILEGES = {
    "Administrator": ["Login", "ConfigureManager", "ConfigureUsers",
                      "ConfigureSelf", "ConfigureComponents"],
    "Operator": ["Login", "ConfigureSelf", "ConfigureComponents"],
    "ReadOnly": ["Login", "ConfigureSelf"],
}
_MOST = 64
_LENGTHS = (8, 64)
_REQUIRED = ("UserName", "Password", "RoleId")


@dataclass(slots=True, eq=False)
class Account(Resource):
    id: str
    user: str
    password: str
    role: str
    enabled: bool = True


@render.document.register
def _account(account: Account) -> dict[str, Any]:
    return {
        "@odata.id": account.uri,
        "@odata.type": "#ManagerAccount.v1_14_1.ManagerAccount",
        "@odata.etag": account.etag,
        "Id": account.id,
        "Name": f"Account {account.id}",
        "UserName": account.user,
        "Password": None,
        "RoleId": account.role,
        "Enabled": account.enabled,
        "Locked": False,
        "AccountTypes": ["Redfish"],
        "Links": {"Role": {"@odata.id": f"{_ROLES}/{account.role}"}},
    }


class Accounts:
    """The account service of one pod."""

    def __init__(self, pod: Pod, username: str, password: str) -> None:
        self._pod = pod
        first = Account(f"{_ACCOUNTS}/1", "1", username, password,
                        "Administrator")
        self._first = first
        self._count = 1
        self.accounts = Collection(_ACCOUNTS, "ManagerAccountCollection",
                                   "Accounts", {first.uri: first})
        pod.add(first)
        pod.add(self.accounts)
        roles: dict[str, Resource] = {}
        for name, privileges in _PRIVILEGES.items():
            role = Document(f"{_ROLES}/{name}", {
                "@odata.id": f"{_ROLES}/{name}",
                "@odata.type": "#Role.v1_3_3.Role",
                "Id": name,
                "Name": f"Role {name}",
                "RoleId": name,
                "IsPredefined": True,
                "AssignedPrivileges": privileges,
            })
            roles[role.uri] = role
            pod.add(role)
        pod.add(Collection(_ROLES, "RoleCollection", "Roles", roles))
        pod.add(Document(ACCOUNT_SERVICE, {
            "@odata.id": ACCOUNT_SERVICE,
            "@odata.type": "#AccountService.v1_18_0.AccountService",
            "Id": "AccountService",
            "Name": "Account Service",
            "Status": render.OK,
            "ServiceEnabled": True,
            "MinPasswordLength": _LENGTHS[0],
            "MaxPasswordLength": _LENGTHS[1],
            "Accounts": {"@odata.id": _ACCOUNTS},
            "Roles": {"@odata.id": _ROLES},
        }))

    def verify(self, user: str, password: str) -> bool:
        """Whether somebody of this name has this password."""
        account = self._named(user)
        # Compared with something in any case, so that it takes as long.
        known = account or self._first
        same = hmac.compare_digest(_utf8(password), _utf8(known.password))
        return account is not None and account.enabled and same

    def _named(self, user: str) -> Account | None:
        for account in self.accounts.members.values():
            if isinstance(account, Account) and account.user == user:
                return account
        return None

    def require(self, user: str | None, method: str,
                resource: Resource) -> None:
        """Raise RedfishError (403) unless ``user`` may change this.

        None stands for a service without authentication.
        """
        account = self._named(user) if user is not None else self._first
        role = account.role if account else "ReadOnly"
        needed = "ConfigureComponents"
        if isinstance(resource, Account) or resource is self.accounts:
            needed = "ConfigureUsers"
            if resource is account and method == "PATCH":
                needed = "ConfigureSelf"
        elif resource.uri.startswith(SESSIONS):
            needed = "ConfigureSelf"
        if needed not in _PRIVILEGES[role]:
            raise RedfishError(403, "InsufficientPrivilege")

    def create(self, body: dict[str, Any]) -> Account:
        """POST to the accounts; raises RedfishError."""
        for name in body:
            if name not in (*_REQUIRED, "Enabled"):
                raise RedfishError(400, "PropertyUnknown", name,
                                   related=f"#/{name}")
        for name in _REQUIRED:
            if name not in body:
                raise RedfishError(400, "PropertyMissing", name,
                                   related=f"#/{name}")
        for name, value in body.items():
            self._check(name, value)
        if len(self.accounts.members) >= _MOST:
            raise RedfishError(503, "CreateLimitReachedForResource")
        self._count += 1
        made = Account(f"{_ACCOUNTS}/{self._count}", str(self._count),
                       body["UserName"], body["Password"], body["RoleId"],
                       body.get("Enabled", True))
        self.accounts.members[made.uri] = made
        self._pod.touch(self.accounts)
        self._pod.add(made)
        return made

    def _check(self, name: str, value: Any) -> None:
        where = f"#/{name}"
        right: type = bool if name == "Enabled" else str
        if not isinstance(value, right):
            raise RedfishError(400, "PropertyValueTypeError", "***", name,
                               related=where)
        text = str(value)
        if name == "RoleId" and text not in _PRIVILEGES:
            raise RedfishError(400, "PropertyValueNotInList", text, name,
                               related=where)
        if name == "Password" and not (
                _LENGTHS[0] <= len(text) <= _LENGTHS[1]):
            raise RedfishError(400, "PropertyValueIncorrect", name, "***",
                               related=where)
        if name == "UserName" and (not text or ":" in text
                                   or self._named(text)):
            raise RedfishError(400, "PropertyValueIncorrect", name, text,
                               related=where)

    def amend(self, account: Account,
              body: dict[str, Any]) -> dict[str, Any]:
        """PATCH of an account; returns what else the answer holds.

        Of what is asked for, all that can be set is set (DSP0266 section
        7.7.2). Raises RedfishError where that is nothing.
        """
        wanted = {name: value for name, value in body.items()
                  if not name.startswith("@odata.")}
        if not wanted:
            raise RedfishError(400, "NoOperation")
        names = {"Password": "password", "RoleId": "role",
                 "Enabled": "enabled", "UserName": "user"}
        settable = names if account is not self._first else {}
        known = render.document(account)
        told = []
        for name in wanted:
            if name not in settable:
                key = ("PropertyNotWritable" if name in known
                       else "PropertyUnknown")
                told.append(message(key, name, related=f"#/{name}"))
        if len(told) == len(wanted):
            name = next(iter(wanted))
            raise RedfishError(
                400, "PropertyNotWritable" if name in known
                else "PropertyUnknown", name, related=f"#/{name}")
        accepted = {name: value for name, value in wanted.items()
                    if name in settable}
        for name, value in accepted.items():
            self._check(name, value)
        for name, value in accepted.items():
            setattr(account, names[name], value)
        self._pod.touch(account)
        return {"@Message.ExtendedInfo": told} if told else {}

    def delete(self, account: Account) -> None:
        """Raises RedfishError for the account of the command line."""
        if account is self._first:
            raise RedfishError(403, "ResourceCannotBeDeleted")
        del self.accounts.members[account.uri]
        del self._pod.resources[account.uri]
        self._pod.touch(self.accounts)


def _utf8(text: str) -> bytes:
    # A lone surrogate is legal in JSON and not in UTF-8.
    return text.encode("utf-8", "surrogatepass")
