# SPDX-License-Identifier: Apache-2.0
"""How an operation that takes a while is followed.

DSP0266 section 12.2 (asynchronous operations): 202 with the URI of a task
monitor, which itself answers 202 until the operation is over and then what
the operation would have answered.
"""

import contextlib
import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from valence.simulator.ledger import Ledger
from valence.simulator.pods import Later
from valence.simulator.redfish import render
from valence.simulator.redfish.messages import RedfishError, message
from valence.simulator.redfish.model import MONITORS, TASK_SERVICE, TASKS, Pod
from valence.simulator.resources import Collection, Document, Resource
from valence.simulator.wire import Answer

# Finished tasks beyond this many are forgotten, the oldest first.
_KEPT = 1000


@dataclass(slots=True, eq=False)
class Task(Resource):
    id: str
    name: str
    started: str
    ended: str | None = None
    state: str = "Running"
    message: dict[str, Any] | None = None


@dataclass(slots=True, eq=False)
class Monitor(Resource):
    """The task monitor; ``answer`` is None while the task runs.

    ``give_up`` undoes what the task holds meanwhile.
    """

    task: Task
    give_up: Callable[[], None]
    answer: Answer | None = None


@render.document.register
def _task(task: Task) -> dict[str, Any]:
    body: dict[str, Any] = {
        "@odata.id": task.uri,
        "@odata.type": "#Task.v1_7_4.Task",
        "@odata.etag": task.etag,
        "Id": task.id,
        "Name": task.name,
        "TaskState": task.state,
        "TaskStatus": "Critical" if task.state == "Exception" else "OK",
        "StartTime": task.started,
        "PercentComplete": 100 if task.ended else 0,
        "TaskMonitor": f"{MONITORS}/{task.id}",
        "Messages": [task.message] if task.message else [],
    }
    if task.ended:
        body["EndTime"] = task.ended
    return body


class Tasks:
    """The task service of one pod."""

    def __init__(self, pod: Pod, later: Later, ledger: Ledger,
                 vanish: bool = False) -> None:
        """Where monitors ``vanish``, they do when the task is over."""
        self._pod = pod
        self._later = later
        self._ledger = ledger
        self._vanish = vanish
        self._count = 0
        self._collection = Collection(TASKS, "TaskCollection", "Tasks", {})
        pod.add(self._collection)
        pod.add(Document(TASK_SERVICE, {
            "@odata.id": TASK_SERVICE,
            "@odata.type": "#TaskService.v1_2_0.TaskService",
            "Id": "TaskService",
            "Name": "Task Service",
            "Status": render.OK,
            "ServiceEnabled": True,
            "CompletedTaskOverWritePolicy": "Oldest",
            "LifeCycleEventOnTaskStateChange": False,
            "Tasks": {"@odata.id": TASKS},
        }))

    def start(self, name: str, delay: float, operation: Callable[[], Answer],
              give_up: Callable[[], None]) -> Answer:
        """Run ``operation`` after ``delay`` seconds, and ``give_up`` where
        it comes to nothing.

        Returns the answer for now; raises OSError.
        """
        self._forget_oldest()
        number = str(self._count + 1)
        task = Task(f"{TASKS}/{number}", number, name, _now())
        self._ledger.note("task", id=number, name=name, started=task.started)
        monitor = Monitor(f"{MONITORS}/{number}", task, give_up)
        self._show(task, monitor)
        self._later(delay, lambda: self._finish(monitor, operation))
        return self.follow(monitor)

    def _show(self, task: Task, monitor: Monitor) -> None:
        self._count = max(self._count, int(task.id))
        self._collection.members[task.uri] = task
        self._pod.touch(self._collection)
        self._pod.add(task)
        self._pod.add(monitor)

    def replay(self) -> None:
        """Bring back the tasks from before a restart.

        What ran then is killed: nothing of it happened.
        """
        for entry in self._ledger.history:
            number = entry.get("id", "")
            task = self._pod.resources.get(f"{TASKS}/{number}")
            if entry["effect"] == "task":
                task = Task(f"{TASKS}/{number}", number, entry["name"],
                            entry["started"])
                self._show(task, Monitor(f"{MONITORS}/{number}", task,
                                         lambda: None))
                self._kill(task)
            elif not isinstance(task, Task):
                continue
            elif entry["effect"] == "task-end":
                task.state, task.ended = entry["state"], entry["ended"]
                task.message = entry["message"]
                monitor = self._pod.resources[f"{MONITORS}/{number}"]
                assert isinstance(monitor, Monitor)
                monitor.answer = Answer(*entry["answer"])
                if self._vanish or task.state == "Cancelled":
                    del self._pod.resources[monitor.uri]
            elif entry["effect"] == "task-delete":
                self._forget(task)

    def _kill(self, task: Task) -> None:
        failure = RedfishError(500, "InternalError")
        task.state, task.message = "Killed", failure.message
        task.ended = _now()
        monitor = self._pod.resources[f"{MONITORS}/{task.id}"]
        assert isinstance(monitor, Monitor)
        monitor.answer = Answer(500, failure.body())

    def follow(self, monitor: Monitor) -> Answer:
        """The answer to a GET of the task monitor."""
        if monitor.answer:
            return monitor.answer
        return Answer(202, render.document(monitor.task),
                      {"Location": monitor.uri, "Retry-After": "1"})

    def _finish(self, monitor: Monitor,
                operation: Callable[[], Answer]) -> None:
        task = monitor.task
        if task.ended:
            return
        try:
            answer = operation()
            state, told = "Completed", message("Success")
        except (OSError, RedfishError) as error:
            # Where the ledger could not be written nothing may happen.
            monitor.give_up()
            failure = (error if isinstance(error, RedfishError)
                       else RedfishError(500, "InternalError"))
            answer = Answer(failure.status, failure.body(), failure.headers)
            state, told = "Exception", failure.message
        self._end(monitor, state, told, answer)
        if self._vanish:
            self._pod.resources.pop(monitor.uri, None)

    def _end(self, monitor: Monitor, state: str, told: dict[str, Any],
             answer: Answer) -> None:
        task = monitor.task
        task.state, task.message, task.ended = state, told, _now()
        monitor.answer = answer
        self._pod.touch(task)
        # The effect is recorded; that the task is over may be forgotten.
        with contextlib.suppress(OSError):
            self._ledger.note(
                "task-end", id=task.id, state=state, ended=task.ended,
                message=told, answer=[answer.status, answer.body,
                                      answer.headers])

    def delete(self, task: Task) -> None:
        """Cancel a task that runs, forget one that is over.

        DSP0266 section 12.2: after that there is no monitor; the cancelled
        task stays. Raises OSError.
        """
        monitor = self._pod.resources.get(f"{MONITORS}/{task.id}")
        if task.ended:
            self._ledger.note("task-delete", id=task.id)
            self._forget(task)
        elif isinstance(monitor, Monitor):
            monitor.give_up()
            self._end(monitor, "Cancelled", message("TaskCancelled", task.id),
                      Answer(404, None))
            del self._pod.resources[monitor.uri]

    def vanish(self) -> int:
        """Take away the monitor of every task that is over."""
        gone = [resource.uri for resource in self._pod.resources.values()
                if isinstance(resource, Monitor) and resource.answer]
        for uri in gone:
            del self._pod.resources[uri]
        return len(gone)

    def _forget(self, task: Task) -> None:
        del self._collection.members[task.uri]
        del self._pod.resources[task.uri]
        self._pod.resources.pop(f"{MONITORS}/{task.id}", None)
        self._pod.touch(self._collection)

    def _forget_oldest(self) -> None:
        if len(self._collection.members) < _KEPT:
            return
        for member in self._collection.members.values():
            if isinstance(member, Task) and member.ended:
                self.delete(member)
                return


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
