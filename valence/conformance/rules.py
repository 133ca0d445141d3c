# SPDX-License-Identifier: Apache-2.0
"""Which sentences does the suite hold a driver to?

``sentence`` is quoted from where it is written: word by word from
``valence.drivers.base``, or in other words where it follows from how the
conductor uses a driver. ``advice`` is what an author does about a failure.
"""

import dataclasses

BASE = 'valence.drivers.base'
CONDUCTOR = 'the conductor'


@dataclasses.dataclass(frozen=True)
class Rule:
    where: str
    sentence: str
    advice: str


#: By the name that the tests use.
RULES: dict[str, Rule] = {
    'no_io': Rule(
        BASE, 'without any I/O',
        'connect, resolve and log in with the first call, not in __init__'),
    'no_state': Rule(
        BASE, 'any call may be the first one that a new process makes',
        'put what a later call needs into Handle.extra or Pending.monitor; '
        'attributes of the instance may only be caches'),
    'no_threads': Rule(
        BASE, 'keeps no threads between calls',
        'end the threads of a call before it returns'),
    'plain_values': Rule(
        BASE, 'all values that cross this boundary are plain, immutable and '
        'JSON-serialisable',
        'give str, int, float, bool, None, lists and dicts with text keys; '
        'in free-form fields (details, extra, monitor, location) a tuple '
        'comes back from JSON as a list, so use lists there'),
    'inventory_fits': Rule(
        CONDUCTOR, 'The inventory keeps texts and numbers of bounded size, '
        'by resource path.',
        'cut texts and drop numbers out of range in the driver, where it is '
        'known what they mean; keep resource paths whole and unique'),
    'vocabulary': Rule(
        BASE, "translates between the vocabulary below and one vendor's "
        'dialect',
        'translate into the types, units and words that the dataclasses '
        'document'),
    'reads_change_nothing': Rule(
        BASE, 'may be repeated at will and change nothing',
        'make reads with GET; where the dialect reads with POST, override '
        'Case.changes to say which requests change something'),
    'at_most_once': Rule(
        BASE, 'A mutation sends each changing request at most once.',
        'send through valence.drivers.http.Client.send, and catch no '
        'Ambiguous to try again'),
    'ambiguous': Rule(
        BASE, 'If the answer is lost it raises',
        'once a changing request was sent, anything but an answer is '
        'Ambiguous (or look at the backend and tell what is)'),
    'unreachable': Rule(
        BASE, 'No connection, no answer in time, or a 5xx: and nothing was '
        'changed.',
        'raise Unreachable for reads that fail and for changing requests '
        'that were certainly not sent; not for those that may have arrived'),
    'unauthorized': Rule(
        BASE, 'The backend does not accept the credentials.',
        'raise Unauthorized for 401 (and what else the dialect has)'),
    'errors': Rule(
        BASE, 'with a sentence for the operator, never with a credential '
        'in it',
        'raise the errors of valence.drivers.base, with one line of text; '
        'let no exception of a library through'),
    'deadline': Rule(
        BASE, 'Every call keeps within',
        'ask valence.common.deadline.remaining before every wait, or use '
        'valence.drivers.http, which does; set your own limit from '
        'Endpoint.limits with deadline.limit'),
    'capabilities': Rule(
        BASE, 'The most that any backend behind this driver can do.',
        'declare in the class all that identify may report, and implement '
        'it'),
    'unsupported': Rule(
        BASE, 'what it leaves out is refused as',
        'leave the method out, or raise Unsupported before any request that '
        'changes something'),
    'safety': Rule(
        BASE, 'What a successor may do with each mutation it finds '
        'unfinished.',
        'give one of Safety for compose, attach, detach, set_power, set_boot '
        'and release'),
    'schema': Rule(
        BASE, 'JSON Schema (2020-12) of ``Endpoint.properties``.',
        'correct connection_schema'),
    'complete': Rule(
        BASE, '``complete`` is false as soon as anything that should have '
        'been there could not be read',
        'record a Problem and set complete=False whenever a read fails; '
        'raise only where nothing could be read'),
    'same_scan': Rule(
        CONDUCTOR, 'Two scans of an unchanged pod are equal, so that a sync '
        'writes nothing.',
        'sort what the backend gives in changing order, and keep times and '
        'counters out of the inventory'),
    'tag': Rule(
        BASE, 'is unique to the node and has to end up on the hardware, '
        'where',
        'write Spec.tag where the backend keeps it, compare the whole of it '
        'in find, and show it as System.tag in discover'),
    'find_none': Rule(
        BASE, 'None is a promise that there is none: a look that was not '
        'complete raises instead.',
        'raise the error of the failed read; while the backend still works '
        'on a composition that may be ours, return its handle or raise Busy'),
    'prepare': Rule(
        BASE, 'Called, and written down, before ``compose`` if the driver '
        'promises no tags.',
        'give in prepare a handle by which observe, release and compose '
        'tell what there is of the node; change nothing in it, and declare '
        'compose idempotent'),
    'resume': Rule(
        BASE, 'Go on with a composition that ``find`` found unrecorded.',
        'return what is left to do as Pending, or Done if it is whole; a '
        'compose after a find that gave None must be able to start anew'),
    'compose': Rule(
        BASE, "Join ``spec``'s devices into a system that carries its tag.",
        'compose of exactly the given devices, and say where it is in '
        'Done.handle'),
    'observe': Rule(
        BASE, 'Read one system back; None once it is certainly gone.',
        'return None only where the backend says that it does not exist; '
        'every failed read raises'),
    'release': Rule(
        BASE, 'Take the system apart; its devices become free again.',
        'treat what is not there as released: Done'),
    'refused': Rule(
        BASE, 'The backend understood and said no, in its own words.',
        'raise Refused (or NotFound, Busy, Unsupported), and change '
        'nothing'),
    'cancel': Rule(
        BASE, 'Ask the backend to stop; best effort, never a proof.',
        'pass the wish on where the backend takes one, and leave alone what '
        'has ended; poll then tells how it ended, and what was not made '
        'leaves nothing behind'),
    'poll': Rule(
        BASE, 'Raises what the mutation itself would raise.',
        'poll by what is in Pending.monitor alone'),
    'power': Rule(
        BASE, 'Send a reset. The power state may follow seconds later.',
        "report power_state as On or Off, in Redfish's words, and accept "
        'every reset that is promised'),
    'boot': Rule(
        CONDUCTOR, 'A boot override is read back as it was set.',
        "report boot_target and boot_enabled in Redfish's words, "
        "'Disabled' where there is no override; raise Refused where the "
        'backend ignores it'),
    'attach': Rule(
        BASE, 'they are chosen, claimed, attached and detached as one',
        'observe must show a device as soon as it is attached, and no more '
        'once it is detached'),
    'threads': Rule(
        CONDUCTOR, 'One instance serves all threads of a conductor at the '
        'same time.',
        'guard what the instance caches with a lock'),
    'close': Rule(
        BASE, 'Give back connections and sessions; never raises.',
        'catch every error in close, bound it to a few seconds, and let '
        'later calls connect anew or raise a DriverError'),
}
