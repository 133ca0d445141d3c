# SPDX-License-Identifier: Apache-2.0
"""What a Redfish pod can be told and how it is built from that."""

from oslo_config import cfg, types

from valence.simulator.pods import CannotBuild, Pod, Site
from valence.simulator.redfish.behaviour import Behaviour
from valence.simulator.redfish.generate import Shape
from valence.simulator.redfish.service import Service

# The calls that can be tasks.
CALLS = ("compose", "decompose", "attach", "manifest", "reset", "boot",
         "reserve", "all")
STYLES = ("specific", "constrained", "manifest", "none")
ATTACH = ("action", "patch", "put", "none")
TASKS = True

OPTIONS = (
    cfg.IntOpt("racks", default=2, min=1, max=10000,
               help="Racks in the pod."),
    cfg.IntOpt("compute", default=8, min=0, max=1000000,
               help="Compute resource blocks (processors and memory)."),
    cfg.IntOpt("nvme", default=16, min=0, max=1000000,
               help="Storage resource blocks (one NVMe drive each)."),
    cfg.IntOpt("gpu", default=8, min=0, max=1000000,
               help="GPU resource blocks."),
    cfg.IntOpt("nic", default=8, min=0, max=1000000,
               help="Network resource blocks."),
    cfg.IntOpt("systems", default=0, min=0, max=1000000,
               help="Fixed, whole systems besides the pooled blocks."),
    cfg.IntOpt("zones", default=2, min=1, max=10000,
               help="Resource zones the blocks are spread over; one system "
                    "is composed from one zone."),
    cfg.BoolOpt("tasks", default=False,
                help="Answer compose and delete with 202 and a task monitor."),
    cfg.ListOpt("task-calls", default=["compose", "decompose"],
                item_type=types.String(choices=CALLS),
                help="What --tasks is about."),
    cfg.BoolOpt("vanish-monitors", default=False,
                help="A task monitor is gone as soon as its task is over."),
    cfg.FloatOpt("task-delay", default=0.5, min=0,
                 help="Seconds a task takes."),
    cfg.FloatOpt("power-delay", default=0.2, min=0,
                 help="Seconds between the answer to a reset and the change "
                      "of PowerState."),
    cfg.BoolOpt("expand", default=True,
                help="Advertise and honour $expand; --no-expand does not."),
    cfg.IntOpt("page-size", default=0, min=0,
               help="Members per page of a collection; 0 does not page."),
    cfg.BoolOpt("composition", default=True,
                help="Offer a CompositionService; --no-composition does "
                     "not."),
    cfg.ListOpt("composition-styles", default=["specific"],
                item_type=types.String(choices=STYLES),
                help="How systems can be composed; none are for a pod whose "
                     "servers only take blocks."),
    cfg.ListOpt("attach", default=["none"],
                item_type=types.String(choices=ATTACH),
                help="How blocks are added to and removed from a system."),
    cfg.BoolOpt("expandable", default=False,
                help="The fixed systems are expandable: blocks can be added "
                     "to them, and each is a resource block, too."),
    cfg.IntOpt("sharing", default=1, min=1, max=1000,
               help="Most compositions of one storage block."),
    cfg.BoolOpt("pools", default=False,
                help="Offer FreePool and ActivePool."),
    cfg.FloatOpt("reservation-duration", default=60.0, min=0,
                 help="Seconds a reservation by manifest lasts."),
    cfg.BoolOpt("require-etag", default=False,
                help="Refuse PATCH and PUT without If-Match, and actions "
                     "without ETags in the body, with 428."),
    cfg.IntOpt("session-timeout", default=1800, min=1, max=86400,
               help="Seconds a session may be idle."),
    cfg.BoolOpt("events", default=True,
                help="Offer an EventService; it delivers to loopback only."),
    cfg.FloatOpt("event-drop", default=0.0, min=0, max=1,
                 help="Probability, by seed, that an event is lost."),
    cfg.FloatOpt("event-duplicate", default=0.0, min=0, max=1,
                 help="Probability, by seed, that an event comes twice."),
)


def build(conf: cfg.ConfigOpts, site: Site) -> Pod:
    """The pod that ``conf`` describes; raises CannotBuild."""
    if not conf.composition_styles or not conf.attach:
        raise CannotBuild("composition-styles and attach need a value.")
    for name in ("composition_styles", "attach"):
        if "none" in conf[name] and len(conf[name]) > 1:
            raise CannotBuild(f"{name.replace('_', '-')} is either none or "
                              "something else.")
    attach = tuple(way for way in conf.attach if way != "none")
    if conf.expandable and not (attach and conf.systems):
        raise CannotBuild("expandable systems need attach and systems.")
    shape = Shape(
        seed=conf.seed, racks=conf.racks, compute=conf.compute,
        nvme=conf.nvme, gpu=conf.gpu, nic=conf.nic, systems=conf.systems,
        zones=conf.zones, sharing=conf.sharing, expandable=conf.expandable)
    behaviour = Behaviour(
        username=conf.username, password=conf.password, auth=conf.auth,
        tasks=conf.tasks, task_delay=conf.task_delay,
        power_delay=conf.power_delay, expand=conf.expand,
        page_size=conf.page_size, composition=conf.composition,
        task_calls=tuple(conf.task_calls),
        vanish_monitors=conf.vanish_monitors,
        styles=tuple(style for style in conf.composition_styles
                     if style != "none"), attach=attach,
        pools=conf.pools, reservation_duration=conf.reservation_duration,
        require_etag=conf.require_etag,
        session_timeout=conf.session_timeout, events=conf.events,
        event_drop=conf.event_drop, event_duplicate=conf.event_duplicate)
    return Service(shape, behaviour, site)
