# SPDX-License-Identifier: Apache-2.0
"""How the service says no: message registries and error responses.

DSP0266 section 8.6 (error responses); the keys and their arguments are those
of DMTF's Base and Composition message registries.
"""

from typing import Any

VERSIONS = {"Base": "1.18", "Composition": "1.1", "ResourceEvent": "1.4",
            "TaskEvent": "1.0"}

# What a client sent is repeated to it, but not a megabyte of it.
_ARG_LENGTH = 200

# key: registry, severity, message, resolution
_MESSAGES: dict[str, tuple[str, str, str, str]] = {
    "Success": (
        "Base", "OK", "The request completed successfully.", "None."),
    "GeneralError": (
        "Base", "Critical", "A general error has occurred.",
        "See the other messages and resubmit the request."),
    "InternalError": (
        "Base", "Critical",
        "The request failed because of an internal error of the service.",
        "Resubmit the request."),
    "MalformedJSON": (
        "Base", "Critical", "The request body is not valid JSON.",
        "Correct the JSON and resubmit the request."),
    "PayloadTooLarge": (
        "Base", "Warning", "The request body is larger than the service "
        "accepts.", "Send a smaller body."),
    "UnrecognizedRequestBody": (
        "Base", "Warning", "The request body could not be recognised.",
        "Send one JSON object with content type application/json."),
    "PropertyMissing": (
        "Base", "Warning",
        "The property '%1' is required and is missing from the request.",
        "Add the property and resubmit the request."),
    "PropertyUnknown": (
        "Base", "Warning", "The property '%1' is not among those the "
        "resource accepts.",
        "Remove the property and resubmit the request."),
    "PropertyNotWritable": (
        "Base", "Warning", "The property '%1' is read-only.",
        "Remove the property and resubmit the request."),
    "PropertyValueTypeError": (
        "Base", "Warning", "The value '%1' of the property '%2' is of "
        "another type than the property accepts.",
        "Correct the value and resubmit the request."),
    "PropertyValueNotInList": (
        "Base", "Warning", "The value '%1' of the property '%2' is not "
        "among the acceptable values.",
        "Choose a value from those allowed and resubmit the request."),
    "PropertyValueIncorrect": (
        "Base", "Warning", "The value '%2' of the property '%1' does not "
        "meet the constraints of the service.",
        "Correct the value and resubmit the request."),
    "ActionParameterMissing": (
        "Base", "Critical", "The action '%1' requires the parameter '%2'.",
        "Add the parameter and resubmit the request."),
    "ActionParameterNotSupported": (
        "Base", "Warning",
        "The parameter '%1' is not supported by the action '%2'.",
        "Remove the parameter and resubmit the request."),
    "ActionParameterValueTypeError": (
        "Base", "Warning", "The value '%1' of the parameter '%2' of the "
        "action '%3' is of another type than the parameter accepts.",
        "Correct the value and resubmit the request."),
    "ActionParameterValueNotInList": (
        "Base", "Warning", "The value '%1' of the parameter '%2' of the "
        "action '%3' is not among the acceptable values.",
        "Choose a value from those allowed and resubmit the request."),
    "QueryNotSupported": (
        "Base", "Warning", "A query parameter is not supported.",
        "Remove the query parameter and resubmit the request."),
    "QueryNotSupportedOnResource": (
        "Base", "Warning",
        "The resource does not support the query parameter.",
        "Remove the query parameter and resubmit the request."),
    "QueryParameterValueFormatError": (
        "Base", "Warning", "The value '%1' of the query parameter '%2' is "
        "not of a form the parameter accepts.",
        "Correct the query parameter and resubmit the request."),
    "QueryParameterOutOfRange": (
        "Base", "Warning", "The value '%1' of the query parameter '%2' is "
        "out of the range %3.",
        "Keep the query parameter within the range."),
    "ResourceMissingAtURI": (
        "Base", "Critical", "There is no resource at the URI '%1'.",
        "Correct the URI and resubmit the request."),
    "ResourceInUse": (
        "Base", "Warning", "The resource is in use or in transition.",
        "Wait for the other operation and resubmit the request."),
    "OperationNotAllowed": (
        "Base", "Warning",
        "The HTTP method is not allowed on this resource.",
        "Use one of the methods of the Allow header."),
    "PreconditionFailed": (
        "Base", "Critical",
        "The ETag of the request does not match the resource's.",
        "Read the resource again and resubmit with its current ETag."),
    "EventSubscriptionLimitExceeded": (
        "Base", "Critical",
        "The number of event subscriptions exceeds the limit of the "
        "service.", "Delete a subscription and resubmit the request."),
    "InsufficientPrivilege": (
        "Base", "Critical", "The account has not the privileges to do this.",
        "Use an account that has, or change its role."),
    "NoOperation": (
        "Base", "Warning", "The request has no property to act on.",
        "Send a property that can be changed."),
    "ResourceCannotBeDeleted": (
        "Base", "Critical", "The resource cannot be deleted.",
        "Do not delete a resource that cannot be."),
    "CreateLimitReachedForResource": (
        "Base", "Critical", "There can be no more resources of this kind.",
        "Delete one and resubmit the request."),
    "PreconditionRequired": (
        "Base", "Critical",
        "A precondition header is required to change the resource.",
        "Send If-Match with the ETag of the resource, or the ETags in the "
        "body."),
    "TaskCancelled": (
        "TaskEvent", "Warning",
        "The task with Id '%1' was cancelled.", "None."),
    "ResourceCreated": (
        "ResourceEvent", "OK", "The resource was created.", "None."),
    "ResourceUpdated": (
        "ResourceEvent", "OK", "The resource was updated.", "None."),
    "ResourceRemoved": (
        "ResourceEvent", "OK", "The resource was removed.", "None."),
    "SpecifiedResourceAlreadyReserved": (
        "Composition", "Critical",
        "The resource block '%1' is reserved by another client.",
        "Remove the resource block and resubmit the request."),
    "NoValidSession": (
        "Base", "Critical", "The request carries no valid credentials.",
        "Log in and resubmit the request."),
    "ResourceAtUriUnauthorized": (
        "Base", "Critical",
        "Access to '%1' was refused: %2",
        "Use valid credentials and resubmit the request."),
    "ResourceBlockInUse": (
        "Composition", "Warning",
        "The resource block '%1' cannot take part in another composition.",
        "Remove the resource block and resubmit the request."),
    "ResourceBlockNotFound": (
        "Composition", "Critical", "The resource block '%1' was not found.",
        "Remove the resource block and resubmit the request."),
    "IncompatibleZone": (
        "Composition", "Critical",
        "The requested resource blocks span multiple resource zones.",
        "Request resource blocks of one resource zone."),
    "NoResourceMatch": (
        "Composition", "Critical",
        "The requested resources of type '%1' are not available.",
        "Change the requested resources and resubmit the request."),
}


def registry(name: str) -> dict[str, Any]:
    """The messages of a registry, as a MessageRegistry has them."""
    return {key: _entry(*rest) for key, (home, *rest) in _MESSAGES.items()
            if home == name}


def _entry(severity: str, text: str, resolution: str) -> dict[str, Any]:
    count = sum(f"%{number}" in text for number in range(1, 4))
    entry: dict[str, Any] = {
        "Description": text, "LongDescription": text, "Message": text,
        "MessageSeverity": severity, "NumberOfArgs": count,
        "Resolution": resolution}
    if count:
        entry["ParamTypes"] = ["string"] * count
        entry["ArgDescriptions"] = [f"Argument {n + 1}."
                                    for n in range(count)]
        entry["ArgLongDescriptions"] = [
            f"This argument shall contain argument {n + 1} of the message."
            for n in range(count)]
    return entry


class RedfishError(Exception):
    """A refusal: HTTP ``status`` and a registered message."""

    def __init__(self, status: int, key: str, *args: str,
                 related: str | None = None,
                 headers: dict[str, str] | None = None) -> None:
        super().__init__(key)
        self.status = status
        self.key = key
        self.headers = headers or {}
        self.message = message(key, *args, related=related)

    def body(self) -> dict[str, Any]:
        return {"error": {"code": self.message["MessageId"],
                          "message": self.message["Message"],
                          "@Message.ExtendedInfo": [self.message]}}


def message(key: str, *args: str,
            related: str | None = None) -> dict[str, Any]:
    """A Message object; ``related`` is a JSON pointer into the request."""
    registry, severity, text, resolution = _MESSAGES[key]
    args = tuple(arg[:_ARG_LENGTH] for arg in args)
    for number, arg in enumerate(args, 1):
        text = text.replace(f"%{number}", arg)
    entry: dict[str, Any] = {
        "@odata.type": "#Message.v1_1_2.Message",
        "MessageId": f"{registry}.{VERSIONS[registry]}.{key}",
        "Message": text,
        "MessageArgs": list(args),
        "MessageSeverity": severity,
        "Resolution": resolution,
    }
    if related:
        entry["RelatedProperties"] = [related]
    return entry
