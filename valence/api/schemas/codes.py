# SPDX-License-Identifier: Apache-2.0
"""What does each code of an error mean, and what can be done about it?

A code stays what it is once a version has had it; programs rely on it.
"""

#: Of answers: the statuses it comes with, and what to do.
CODES: dict[str, tuple[tuple[int, ...], str]] = {
    'invalid_request': (
        (400,), 'put right what ``field`` names'),
    'invalid_json': (
        (400,), 'send JSON: in UTF-8, without NUL and duplicate keys, no '
                'more than 25 levels deep'),
    'invalid_version': (
        (400,), 'send ``OpenStack-API-Version: composable-hardware X.Y``'),
    'marker_not_found': (
        (400,), 'start again from the first page'),
    'unknown_pod_manager': (
        (400,), 'name a pod manager that is registered'),
    'unknown_driver': (
        (400,), 'choose one of the drivers that ``detail`` lists'),
    'unknown_flavor': (
        (400,), 'name a flavor that there is'),
    'unknown_device': (
        (400,), 'there is no pooled device of that UUID'),
    'other_pod_manager': (
        (400,), "choose a device of the node's pod manager"),
    'unsupported': (
        (400,), 'the pod manager cannot; ``detail`` says what it can'),
    'insecure_tls_not_allowed': (
        (400,), 'give ``ca_certificates``, or have the operator set '
                '``[pod_managers] allow_insecure_tls``'),
    'address_denied': (
        (400,), 'have the operator allow the network in '
                '``[pod_managers] allowed_networks``'),
    'no_key_manager': (
        (400,), 'have the operator configure one, or give a password'),
    'authentication_required': (
        (400,), 'give ``authentication`` again, for the host is another'),
    'unauthorized': (
        (401,), 'say who you are; ``WWW-Authenticate`` says how'),
    'forbidden': (
        (403,), 'ask for the role that the policy wants'),
    'quota_exceeded': (
        (403,), 'release something, or ask for a larger quota'),
    'not_found': (
        (404,), 'there is no such thing, or it is not yours'),
    'method_not_allowed': (
        (405,), 'use a method that ``Allow`` lists'),
    'unknown_version': (
        (406,), 'ask for a version in the range that ``detail`` says'),
    'request_timeout': (
        (408,), 'send the body faster'),
    'conflict': (
        (409,), 'the present state does not allow it; ``detail`` says why'),
    'no_valid_resources': (
        (409,), 'nothing fits now; ``detail`` says what is missing. With '
                '``Retry-After``, ask again'),
    'no_pod_manager': (
        (409,), 'register one first'),
    'name_taken': (
        (409,), 'choose another name'),
    'url_taken': (
        (409,), 'it is registered already, under another name'),
    'pod_manager_in_use': (
        (409,), 'release its nodes first, or forget them with '
                '``force=true``'),
    'node_busy': (
        (409,), 'wait for the operation that ``detail`` names, see '
                '``Retry-After``'),
    'node_not_active': (
        (409,), "the node's state does not allow it"),
    'device_in_use': (
        (409,), 'choose another device'),
    'device_not_attached': (
        (409,), 'it is not part of the node'),
    'other_zone': (
        (409,), "choose a device of a zone of the node's"),
    'not_cancellable': (
        (409,), 'wait for the operation to end'),
    'not_retryable': (
        (409,), 'ask for it anew'),
    'operation_ended': (
        (409,), 'there is nothing left to stop'),
    'node_gone': (
        (409,), 'there is nothing left to do it to'),
    'no_hardware': (
        (409,), 'release the node; there is no hardware to look at'),
    'sync_ending': (
        (409,), 'ask again'),
    'request_in_progress': (
        (409,), 'the same request is being accepted just now; ask again'),
    'patch_failed': (
        (409,), 'get the resource again and patch what is there'),
    'precondition_failed': (
        (412,), 'get the resource again, and decide anew'),
    'body_too_large': (
        (413,), 'send less'),
    'uri_too_long': (
        (414,), 'send a shorter path or query'),
    'unsupported_media_type': (
        (415,), 'send what ``Accept`` or ``Accept-Patch`` lists'),
    'idempotency_key_reused': (
        (422,), 'use a new key'),
    'too_many_requests': (
        (429,), 'ask again after ``Retry-After``'),
    'headers_too_large': (
        (431,), 'send fewer or shorter headers'),
    'internal_error': (
        (500,), 'tell the operator the ``request_id``'),
    'service_unavailable': (
        (503,), 'the database is away and nothing was accepted; see '
                '``Retry-After``'),
    'no_conductor': (
        (503,), 'no conductor is alive; ask again later'),
    'insufficient_storage': (
        (507,), 'the database is full and nothing was accepted'),
}
